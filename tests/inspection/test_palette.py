"""The palette keeps its promise: told apart by lightness alone, readable on its page."""

import itertools

import pytest

from grus.inspection.palette import ROLES, style_sheet


def luminance(colour: str) -> float:
    """Relative luminance of sRGB (WCAG 2.2), 0 to 1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def lightness(colour: str) -> float:
    """CIE L*, 0 to 100."""
    return 116 * luminance(colour) ** (1 / 3) - 16


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measures_themselves():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert lightness("#ffffff") == pytest.approx(100)
    assert lightness("#777777") == pytest.approx(50, abs=0.6)


@pytest.mark.parametrize("dark", [False, True])
def test_lines_are_told_apart_without_hue(dark):
    shades = [lightness(ROLES[role][dark]) for role in ("ink", "model", "baseline")]
    assert min(abs(a - b) for a, b in itertools.combinations(shades, 2)) >= 12


@pytest.mark.parametrize("dark", [False, True])
def test_everything_stands_out_from_its_page(dark):
    for ground in ("paper", "validation", "test"):
        assert contrast(ROLES["ink"][dark], ROLES[ground][dark]) >= 7
    assert contrast(ROLES["soft"][dark], ROLES["paper"][dark]) >= 4.5
    assert contrast(ROLES["model"][dark], ROLES["paper"][dark]) >= 4.5
    assert contrast(ROLES["baseline"][dark], ROLES["paper"][dark]) >= 3


def test_no_two_roles_share_a_colour():
    for dark in (False, True):
        assert len({colours[dark] for colours in ROLES.values()}) == len(ROLES)
    assert style_sheet(False).startswith("--paper: #fffffe; --ink: #1f2328;")
    assert "--model: #56b4e9;" in style_sheet(True)
