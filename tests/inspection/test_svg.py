import re
import xml.etree.ElementTree as ET

import numpy as np

from grus.inspection import plots
from grus.inspection.svg import to_svg


def a_figure():
    values = {"GRU": np.array([1.0, 2.0, 1.5]), "<naive> & co": np.array([2.0, 3.0, 2.5])}
    return plots.figure_of(plots.plot_by_step(values, unit="MAE (kW/m²)", step="hours ahead"))


def test_colours_are_left_to_the_page():
    text = to_svg(a_figure(), "a", "errors")
    assert "var(--model)" in text
    assert "var(--baseline)" in text
    assert not re.findall(r"#[0-9a-fA-F]{6}", text), "a colour that does not follow light and dark"


def test_it_is_one_element_with_text_that_can_be_read():
    text = to_svg(a_figure(), "a", 'errors of "GRU" & co')
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'errors of "GRU" & co'
    assert root.get("width") is None
    assert root.get("style") == "max-width: 720pt"
    words = ["".join(t.itertext()).strip() for t in root.iter() if t.tag.endswith("text")]
    assert {"GRU", "<naive> & co", "MAE (kW/m²)", "hours ahead"} <= set(words)
    assert "DejaVu" not in text


def test_ids_do_not_clash_on_a_page():
    one, two = (to_svg(a_figure(), name, "x") for name in ("a", "b"))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', one))
    assert used
    assert used <= ids[0], "every reference still finds its target"


def test_the_same_figure_gives_the_same_bytes():
    assert to_svg(a_figure(), "a", "x") == to_svg(a_figure(), "a", "x")


def test_a_letter_that_matplotlibs_font_lacks_stays_text_and_is_no_warning():
    ax = plots.new_axes()[0]
    ax.set_xlabel("日本 👍")
    assert "日本 👍" in to_svg(plots.figure_of(ax), "x", "letters")
