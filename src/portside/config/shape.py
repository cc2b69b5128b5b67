"""From a table of TOML to sections, or to a message that names the key and says what to write."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from portside.config.section import (
    KINDS,
    FileSection,
    GateSection,
    HandlerSection,
    ImageSection,
    ModelSection,
    Precision,
    Realtime,
    Section,
    Serverless,
)
from portside.errors import ConfigError

_WORDS: Final = {
    "`array`": "a list",
    "`bool`": "`true` or `false`",
    "`float`": "a number",
    "`int`": "a whole number",
    "`object`": "a table",
    "`object | null`": "a table",
    "`str | null`": "a text",
    "`str`": "a text",
    "<=": "of at most",
    ">=": "of at least",
}
"""How TOML's users call what msgspec names as Python and JSON do."""

_UNKNOWN_KEY: Final = re.compile(
    r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `\$\.?(?P<at>.*)`)?"
)
_NO_CHOICE: Final = re.compile(r"Invalid enum value '(?P<value>.*)' - at `\$\.?(?P<at>.*)`")
_WRONG_VALUE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<at>.*)`)?")

_MAY_NOT_BE_EMPTY: Final = (
    ("model", "path"),
    ("model", "samples"),
    ("handler", "file"),
    ("image", "requirements"),
)


def shape(table: dict[str, Any]) -> FileSection:
    """The sections of a table; raises `ConfigError` for a wrong type and for an unknown key."""
    for path, endpoint in _endpoint_tables(table):
        kind = endpoint.setdefault("kind", "serverless")
        if kind not in KINDS:
            raise ConfigError(
                f"`{kind}` is not a kind of endpoint that Portside deploys",
                path=f"{path}.kind",
                hint=f"set `kind` to one of: {', '.join(KINDS)}",
            )
    try:
        file = msgspec.convert(table, FileSection)
    except msgspec.ValidationError as error:
        raise _explain(str(error), table) from error
    for section, key in _MAY_NOT_BE_EMPTY:
        if table.get(section, {}).get(key) == "":
            raise ConfigError(
                "it is empty",
                path=f"{section}.{key}",
                hint="name a path from the project's folder on, or remove the key",
            )
    return file


def _endpoint_tables(table: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [("endpoint", table.get("endpoint"))]
    several = table.get("endpoints")
    if isinstance(several, dict):
        found += [(f"endpoints.{name}", value) for name, value in several.items()]
    return [(path, value) for path, value in found if isinstance(value, dict)]


def _explain(text: str, table: Mapping[str, Any]) -> ConfigError:
    """msgspec's one-line reason in our words: the key's path first."""
    if unknown := _UNKNOWN_KEY.fullmatch(text):
        at, key = unknown["at"] or "", unknown["key"]
        known = _known_keys(at, table) or []
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"write `{near[0]}` instead" if near else f"use one of: {', '.join(known)}"
        return ConfigError("there is no such key", path=f"{at}.{key}".strip("."), hint=hint)
    if choice := _NO_CHOICE.fullmatch(text):
        choices = ", ".join(get_args(Precision))  # the one key that has some
        return ConfigError(
            f"`{choice['value']}` is none of its values",
            path=choice["at"],
            hint=f"set it to one of: {choices}",
        )
    wrong = _WRONG_VALUE.fullmatch(text)
    what, at = (wrong["what"], wrong["at"] or "") if wrong else (text, "")
    at = at.removesuffix("[...]")  # any of a table's own keys
    return ConfigError(_in_words(what), path=at, hint=_hint(what, at, table))


def _in_words(what: str) -> str:
    what = what.replace("Expected", "expected").rstrip(".")
    for theirs, ours in _WORDS.items():
        what = what.replace(theirs, ours)
    return re.sub(r"(\d)\.0\b", r"\1", what)


def _hint(what: str, at: str, table: Mapping[str, Any]) -> str:
    if what.startswith("Expected `object"):
        known = _known_keys(at, table)
        keys = f" and set there what you need of: {', '.join(known)}" if known else ""
        return f"write a table `[{at}]`{keys}"
    if what.startswith("Expected `str"):
        return "put the value between quotes"
    return "change the value"


def _known_keys(at: str, table: Mapping[str, Any]) -> list[str] | None:
    """The keys that the table at a path may have; None where they are the user's own."""
    sections: dict[str, type[Section]] = {
        "": FileSection,
        "model": ModelSection,
        "model.gate": GateSection,
        "handler": HandlerSection,
        "image": ImageSection,
    }
    if at in sections:
        return list(sections[at].__struct_fields__)
    if at != "endpoint" and not re.fullmatch(r"endpoints\.[^.]+|endpoints\[\.\.\.\]", at):
        return None
    kind = dict(_endpoint_tables(table)).get(at, {}).get("kind")
    return ["kind", *(Realtime if kind == "realtime" else Serverless).__struct_fields__]
