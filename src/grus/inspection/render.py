"""From a template of this package to a self-contained HTML page."""

from pathlib import Path
from typing import Any

from grus.inspection.palette import style_sheet


def render(template: str, **values: Any) -> str:
    """Fill a template of this package; everything in it is escaped but the pictures, which are ours."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    light, dark = style_sheet(False), style_sheet(True)
    from grus import __version__

    return environment.get_template(template).render(light=light, dark=dark, version=__version__, **values)
