"""A matplotlib figure as SVG inside a page: the page's own font, colours that follow light and dark."""

import io
import re
import warnings
from html import escape
from typing import TYPE_CHECKING

from grus.inspection.palette import ROLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ID = re.compile(r'(?<= id=")|(?<=url\(#)|(?<=href="#)')
_SIZE = re.compile(r'(<svg\b[^>]*?) width="([0-9.]+)pt" height="[0-9.]+pt"')
_HEAD = re.compile(r"^.*?(?=<svg\b)|\s*<metadata>.*?</metadata>", re.DOTALL)
_FONT = re.compile(r"font: ([0-9.]+px) [^;\"]*")
_FAMILY = re.compile(r" ?font-family: [^;\"]*;?")


def to_svg(figure: "Figure", name: str, description: str) -> str:
    """Render a figure as one ``<svg>`` element.

    Args:
        figure: drawn in the colours of `grus.inspection.palette`.
        name: unique on the page; goes before every id.
        description: what the picture shows, for those who cannot see it.

    Returns:
        The element, at most as wide as it was drawn, with ``var(--role)`` in place of the palette's colours and the
        font left to the page.
    """
    import matplotlib

    out = io.StringIO()
    # Text stays text (it can be selected and read aloud), and the same figure gives the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        # A letter that matplotlib's own font lacks is drawn by the reader's.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = _HEAD.sub("", out.getvalue())
    text = _ID.sub(f"{name}-", text)
    text = _FAMILY.sub("", _FONT.sub(r"font-size: \1", text))
    for role, (light, _) in ROLES.items():
        text = text.replace(light, f"var(--{role})")
    label = f' role="img" aria-label="{escape(description)}"'
    return _SIZE.sub(rf'\1 style="max-width: \2pt"{label}', text, count=1).strip()
