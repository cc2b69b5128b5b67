"""The templates, and what they may use beside the values that they are given."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import jinja2

from portside.console.chart import BASE, HEIGHT
from portside.console.log import LINES
from portside.console.plot import COLUMNS, count

FOLDER: Final = Path(__file__).parent

_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: object) -> str:
    """A page, or a part of one; whatever is not markup of the template is escaped."""
    return _TEMPLATES.get_template(template).render(values)


def ago(time: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    passed_s = (now - time).total_seconds()
    for unit, length_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed_s >= length_s:
            return f"{passed_s // length_s:.0f} {unit} ago"
    return "just now"


_TEMPLATES.filters |= {"ago": ago, "count": count}
_TEMPLATES.globals |= {
    "chart_height": HEIGHT,
    "chart_base": BASE,
    "columns": list(COLUMNS),
    "log_lines": LINES,
}
