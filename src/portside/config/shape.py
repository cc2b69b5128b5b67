"""From a table of TOML to sections, or to a message that names the key and says what to write."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from portside.config.endpoint_section import KINDS
from portside.config.file_section import FileSection
from portside.config.section import Section
from portside.errors import ConfigError

T = TypeVar("T", bound=Section)

_WORDS: Final = {
    "`array | null`": "a list",
    "`array`": "a list",
    "`bool`": "`true` or `false`",
    "`float | null`": "a number",
    "`float`": "a number",
    "`int | null`": "a whole number",
    "`int`": "a whole number",
    "`object`": "a table",
    "`object | null`": "a table",
    "`str | null`": "a text",
    "`str`": "a text",
    "<=": "of at most",
    ">=": "of at least",
    " > ": " of more than ",
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
    ("image", "base"),
    ("image", "dockerfile"),
    ("image", "requirements"),
)


def shape(table: dict[str, Any]) -> FileSection:
    """The sections of a table; raises `ConfigError` for a wrong type and for an unknown key."""
    for path, endpoint in _endpoint_tables(table):
        kind = endpoint.setdefault("kind", "serverless")
        if not isinstance(kind, str) or kind not in KINDS:
            raise ConfigError(
                f"`{kind}` is not a kind of endpoint that Portside deploys",
                path=f"{path}.kind",
                hint=f"set `kind` to one of: {', '.join(KINDS)}",
            )
        # One by one, since of `[endpoints.NAME]` msgspec does not tell the name.
        _convert(endpoint, KINDS[kind], at=path)
    file = _convert(table, FileSection, at="")
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


def _convert(table: Mapping[str, Any], section: type[T], *, at: str) -> T:
    try:
        return msgspec.convert(table, section)
    except msgspec.ValidationError as error:
        raise _explain(str(error), section, above=at) from error


def _explain(text: str, section: type[Section], *, above: str) -> ConfigError:
    """msgspec's one-line reason in our words: the key's path first."""
    if unknown := _UNKNOWN_KEY.fullmatch(text):
        at, key = unknown["at"] or "", unknown["key"]
        known = _known_keys(_type_at(section, at))
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"write `{near[0]}` instead" if near else f"use one of: {', '.join(known)}"
        return ConfigError("there is no such key", path=_joined(above, at, key), hint=hint)
    if choice := _NO_CHOICE.fullmatch(text):
        choices = ", ".join(get_args(_type_at(section, choice["at"])))
        return ConfigError(
            f"`{choice['value']}` is none of its values",
            path=_joined(above, choice["at"]),
            hint=f"set it to one of: {choices}",
        )
    wrong = _WRONG_VALUE.fullmatch(text)
    what, at = (wrong["what"], wrong["at"] or "") if wrong else (text, "")
    at = at.removesuffix("[...]")  # any of a table's own keys
    if missing := re.fullmatch(r"Object missing required field `(?P<key>[^`]*)`", what):
        path = _joined(above, at, missing["key"])
        return ConfigError("it is missing", path=path, hint=f"set `{path}`")
    path = _joined(above, at)
    return ConfigError(_in_words(what), path=path, hint=_hint(what, path, _type_at(section, at)))


def _joined(*parts: str) -> str:
    return ".".join(filter(None, parts))


def _in_words(what: str) -> str:
    what = what.replace("Expected", "expected").rstrip(".")
    for theirs, ours in _WORDS.items():
        what = what.replace(theirs, ours)
    return re.sub(r"(\d)\.0\b", r"\1", what)


def _hint(what: str, path: str, wanted: object) -> str:
    if what.startswith("Expected `object"):
        known = _known_keys(wanted)
        keys = f" and set there what you need of: {', '.join(known)}" if known else ""
        return f"write a table `[{path}]`{keys}"
    if what.startswith("Expected `array"):
        return "put the values between `[` and `]`"
    if what.startswith("Expected `str"):
        return "put the value between quotes"
    return "change the value"


def _type_at(section: type[Section], at: str) -> Any:  # noqa: ANN401  annotations have no type
    """What type the value at a path from a section on is to have; None where nobody says."""
    found: Any = section
    for part in re.findall(r"[^.\[\]]+|\[[^\]]*\]", at):
        if get_origin(found) in {tuple, dict}:
            found = get_args(found)[get_origin(found) is dict]
        elif isinstance(found, type) and issubclass(found, Section):
            found = get_type_hints(found).get(part)
        else:
            return None
        if isinstance(found, UnionType):  # of kinds of endpoint the usual one; of `X | None`, X
            found = get_args(found)[0]
    return found


def _known_keys(wanted: object) -> list[str]:
    """The keys that a table may have; none where they are the user's own."""
    if not (isinstance(wanted, type) and issubclass(wanted, Section)):
        return []
    tag = ["kind"] if wanted in KINDS.values() else []
    return [*tag, *wanted.__struct_fields__]
