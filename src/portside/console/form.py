"""The forms of the page, read.

A form is what anybody with its token can send, so each value is checked before it becomes
a header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from portside.console.trial import Format, Trial
from portside.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

Form = dict[str, str]

TEXT: Final = "text"
BODY: Final = "body"


def read_form(body: bytes) -> Form:
    """The fields of an `application/x-www-form-urlencoded` body, the first of each name."""
    fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True)
    # Browsers send the lines of a text area with CRLF, whatever was typed.
    # Source: HTML Standard, "Constructing the entry list".
    return {name: values[0].replace("\r\n", "\n") for name, values in fields.items()}


def read_trial(form: Mapping[str, str]) -> Trial:
    """The request that is to be tried. Raises `UsageError`."""
    variant = _header("variant", form.get("variant", ""))
    if form.get("kind") == BODY:
        content_type = _header("content type", form.get("content_type", ""))
        if not content_type:
            raise UsageError(
                "cannot send a body without a content type", hint="`application/json` is common"
            )
        return Trial(
            body=form.get("body", "").encode(),
            content_type=content_type,
            accept=_header("accept", form.get("accept", "")),
            variant=variant,
        )
    try:
        style = Format(form.get("format", Format.STRINGS))
    except ValueError as error:
        raise UsageError(
            f"cannot send a text as `{form['format']}`", hint=f"one of {', '.join(Format)}"
        ) from error
    return Trial.of_text(form.get("text", ""), style, variant=variant)


def _header(name: str, value: str) -> str:
    value = value.strip()
    if not (value.isascii() and (value.isprintable() or not value)):
        raise UsageError(
            f"cannot send the {name} `{ascii(value)[1:-1]}`: it does not fit into a header",
            hint="use printable ASCII",
        )
    return value
