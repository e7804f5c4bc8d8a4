"""The piano roll: bars where the notes are, voices told apart without hue, beats, bars and pitches by name."""

import itertools

import numpy as np
import pytest
from matplotlib.colors import to_hex
from test_palette import lightness

from grus.inspection import palette, plots
from grus.inspection.music.plots import MOST_ROWS, ROW_BEATS, draw_roll, plot_roll
from grus.preprocess.music.piece import Note, Piece
from music_cases import scale


def draw(ax):
    plots.figure_of(ax).canvas.draw()
    return ax


def bars(ax):
    """(part's fill, start, end, pitch) of every note that is drawn, in beats."""
    return sorted(
        (
            to_hex(bar.get_facecolor()),
            bar.get_x(),
            bar.get_x() + bar.get_width(),
            bar.get_y() + bar.get_height() / 2,
        )
        for container in ax.containers
        for bar in container
    )


def test_notes_are_bars_in_beats():
    ax = draw(plot_roll(scale(beats=2)))
    assert bars(ax) == [
        (palette.MODEL, 0, 1, 60), (palette.MODEL, 1, 2, 62), (palette.PAPER, 1, 2, 47),
    ]  # fmt: skip
    assert ax.get_xlim() == (0, 2)
    assert ax.get_ylim() == (46, 63)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("beat", "pitch")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["soprano", "bass"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["C3", "G3", "C4"]


def test_voices_are_told_apart_without_hue_and_in_unison():
    notes = tuple(Note(0, part, 60, 4) for part in range(4))
    ax = draw(plot_roll(Piece(notes, 4, 4, ("a", "b", "c", "d"))))
    drawn = [bar for container in ax.containers for bar in container]
    shades = [lightness(to_hex(bar.get_facecolor())) for bar in drawn]
    assert min(abs(a - b) for a, b in itertools.combinations(shades, 2)) >= 12
    # The thick ones are below, so that each sticks out from under the one above it.
    heights = [bar.get_height() for bar in sorted(drawn, key=lambda bar: bar.get_zorder())]
    assert heights == sorted(heights, reverse=True)
    assert min(-np.diff(heights)) > 0.1
    many = Piece(tuple(Note(0, part, 60 + part, 4) for part in range(9)), 4, 4, tuple("abcdefghi"))
    drawn = [bar for container in draw(plot_roll(many)).containers for bar in container]
    assert len({(to_hex(bar.get_facecolor()), bar.get_hatch()) for bar in drawn}) == 9


def test_bars_are_numbered_where_they_are_known():
    piece = Piece((Note(0, 0, 60, 30),), 36, 4, ("all",), (), ((0, (3, 4)), (12, (2, 4))))
    ax = draw(plot_roll(piece))
    assert ax.get_xlabel() == "bar"
    assert ax.get_xticks().tolist() == [0, 3, 5, 7]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["1", "2", "3", "4"]
    assert ax.get_legend() is None
    without = draw(plot_roll(Piece(piece.notes, 36, 4, ("all",))))
    assert [t.get_text() for t in without.get_xticklabels()] == ["1", "5", "9"]


def test_what_was_given_is_shaded():
    ax = draw(plot_roll(scale(), given=8))
    spans = [patch for patch in ax.patches if to_hex(patch.get_facecolor()) == palette.TEST]
    assert [(span.get_x(), span.get_width()) for span in spans] == [(0, 2)]
    assert ax.get_legend().get_texts()[-1].get_text() == "given"


def test_it_draws_on_the_axes_given():
    ax = plots.new_axes()[0]
    assert plot_roll(scale(), ax=ax, beats=(1, 3), legend=False) is ax
    assert ax.get_xlim() == (1, 3)
    assert ax.get_legend() is None
    assert [bar[1] for bar in bars(ax)] == [1, 2, 1, 2]


@pytest.mark.parametrize(("beats", "rows"), [(1, 1), (ROW_BEATS, 1), (ROW_BEATS + 1, 2), (1000, MOST_ROWS)])
def test_a_long_piece_is_drawn_in_rows_on_one_scale(beats, rows):
    notes = (Note(0, 0, 50, 1), Note(4 * beats - 1, 0, 70, 4 * beats))
    figure = draw_roll(Piece(notes, 4 * beats, 4, ("a",)))
    figure.canvas.draw()
    assert len(figure.axes) == rows
    assert {ax.get_ylim() for ax in figure.axes} == {(49, 71)}
    assert [ax.get_xlim()[0] for ax in figure.axes] == [row * ROW_BEATS for row in range(rows)]


def test_silence_and_a_single_note_can_be_drawn():
    draw(plot_roll(Piece((), 0, 4, ("a",))))
    ax = draw(plot_roll(Piece((Note(0, 0, 61, 1),), 1, 4, ("a",))))
    assert [t.get_text() for t in ax.get_yticklabels()] == ["C♯4"]
