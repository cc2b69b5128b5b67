"""HTML and SVG of text that is hostile until proven otherwise: what is not markup is escaped.

tag("p", "a < b", tag("br"), class_="note")  →  <p class="note">a &lt; b<br></p>
"""

from __future__ import annotations

import html
from typing import Final

NO_BREAK: Final = "\N{NO-BREAK SPACE}"

_VOID: Final = frozenset({"br", "meta"})
"""Elements of HTML that have no end tag."""


class Markup(str):
    """Text that is markup already; only `tag`, `join` and the page's own constants make it."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float) -> Markup:
    """An element; a child that is no `Markup` is text, and escaped.

    In names of attributes `_` stands for `-`; a last one is dropped (`class_`).
    """
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(visible(_text(value)))}"'
        for key, value in attributes.items()
    )
    if name in _VOID:
        return Markup(f"<{name}{named}>")
    return Markup(f"<{name}{named}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """One after the other; what is no `Markup` is escaped."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(visible(child), quote=False)
            for child in children
        )
    )


def visible(text: str) -> str:
    r"""`text` with what cannot be seen spelled out: `\x1b`, `\u202e`, `\udcff`.

    A file's name may hold control characters, bytes that are no UTF-8, and marks that
    turn the direction of writing, so that it reads as another name.
    """
    return "".join(
        char if char.isprintable() or char == NO_BREAK else _spelled_out(char) for char in text
    )


def _spelled_out(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
