"""Steps and pieces of music for tests, drawn by hypothesis or by hand."""

import numpy as np
from hypothesis import strategies as st

from grus.preprocess.music.codes import END
from grus.preprocess.music.grammar import Grammar
from grus.preprocess.music.piece import Note, Piece
from grus.spec import Music, Part

CHORALE = Music(
    "voices", 4, (Part("soprano", 60, 72), Part("bass", 40, 52)), (100, 80), ()
)  # fmt: skip
WALTZ = Music("polyphony", 4, (Part("all", 40, 52),), (120,), ((3, 4), (4, 4), (3, 8)))
METERS = [(4, 4), (3, 4), (6, 8), (3, 8), (2, 2), (1, 16), (5, 16)]


@st.composite
def steps(draw):
    """Any step `Music`, of a few pitches so that pieces meet their edges."""
    layout = draw(st.sampled_from(["voices", "polyphony"]))
    resolution = draw(st.sampled_from([1, 3, 4, 12]))
    known = [m for m in METERS if m[0] * 4 * resolution % m[1] == 0]
    count = draw(st.integers(1, 3)) if layout == "voices" else 1
    parts = []
    for number in range(count):
        low = draw(st.integers(0, 124))
        parts.append(Part(f"voice {number + 1}", low, low + draw(st.integers(0, 3))))
    return Music(
        layout,
        resolution,
        tuple(parts),
        tuple(draw(st.lists(st.integers(4, 1000), min_size=1, max_size=3, unique=True))),
        tuple(draw(st.lists(st.sampled_from(known), max_size=3, unique=True))) if known else (),
    )


def drawn_tokens(step, choose, most=120):
    """A well-formed piece, each token chosen among those allowed; closed after ``most``."""
    walk, out = Grammar(step), []
    while not walk.over and len(out) < most:
        out.append(int(choose(np.flatnonzero(walk.allowed()))))
        walk.push(out[-1])
    return np.array([*out, *walk.closing()], np.int32)


@st.composite
def spelled(draw):
    """A step and a well-formed piece."""
    step = draw(steps())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):  # every other token unlikely to be the end, so that there are long pieces
        return step, drawn_tokens(step, lambda allowed: rng.choice(allowed), draw(st.integers(1, 200)))
    keep = lambda allowed: rng.choice(allowed[allowed != END] if (allowed != END).any() else allowed)  # noqa: E731
    return step, drawn_tokens(step, keep, draw(st.integers(1, 200)))


def scale(step=CHORALE, beats=4):
    """Two voices, a quarter note a beat; the lower one is silent in the first beat."""
    notes = [Note(4 * beat, 0, 60 + 2 * beat, 4 * beat + 4) for beat in range(beats)]
    notes += [Note(4 * beat, 1, 48 - beat, 4 * beat + 4) for beat in range(1, beats)]
    names = tuple(part.name for part in step.parts)
    return Piece(tuple(sorted(notes)), 4 * beats, 4, names, ((0, 600_000),), ())
