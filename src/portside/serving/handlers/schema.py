"""Type hints on `predict`, made into a check of the body and a description of both ends.

    def predict(data: list[Question], model) -> Answer: ...

`Question` may be a `msgspec.Struct`, a pydantic model, a dataclass or a
`TypedDict`; `list[str]` and the like are checked too. The work is done by
msgspec or pydantic, whichever is installed (the one that the user's file has
imported first). Hints that say little (`list`, `dict`, `Any`) or that neither
library understands (`np.ndarray`) are not enforced.
"""

from __future__ import annotations

import inspect
import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final, TypeVar, cast, get_args, get_origin, get_type_hints

from portside.serving.codecs import JSON
from portside.serving.error import InvalidBodyError
from portside.serving.handlers.openapi import ANYTHING, Description, Schema

_REFERENCE: Final = "#/components/schemas/"

_TABLE_TYPES: Final = (JSON, "application/jsonlines", "text/csv", "application/x-npy")
"""Content types that can hold a list."""

_logger: Final = logging.getLogger(__name__)


# --- What a hint says -----------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """A hint that a library understands."""

    convert: Callable[[object, str], object]
    """A decoded value to one of the type; the second is the value's path, for InvalidBodyError."""
    schema: Schema
    components: Mapping[str, Schema] = field(default_factory=dict)


class Hints:
    """What the hints of `predict` say of its data and its result."""

    def __init__(self, data: Type | None, result: Type | None) -> None:
        self._data = data
        self._result = result
        self._unwraps = data is None or not _takes_objects(data)

    def read(self, value: object) -> object:
        """What `predict` is given for a decoded body; 400 if it does not fit the hint.

        Of `{"strings": [...]}` it is the list, unless the hint asks for an object.
        """
        path = "$"
        if self._unwraps and isinstance(value, dict) and "strings" in value:
            value, path = value["strings"], "$.strings"
        return value if self._data is None else self._data.convert(value, path)

    def describe(self) -> Description:
        """Both, for the OpenAPI document."""
        result = self._result.schema if self._result else ANYTHING
        components = dict(self._result.components) if self._result else {}
        if self._data is None:
            return Description(response=result, components=components)
        request: Schema = self._data.schema
        request_types: tuple[str, ...] = (JSON,)
        if self._unwraps:
            wrapped = {
                "type": "object",
                "properties": {"strings": request},
                "required": ["strings"],
            }
            request, request_types = {"anyOf": [request, wrapped]}, _TABLE_TYPES
        return Description(
            request=request,
            request_types=request_types,
            response=result,
            components=components | dict(self._data.components),
        )


def read_hints(function: Callable[..., Any], *, is_batched: bool = False) -> Hints:
    """The hints on a function's first parameter and its result.

    Those inside the lists, of a function that takes and returns lists of them.
    """
    data, result = (_item_of(hint) if is_batched else hint for hint in _hints_of(function))
    return Hints(_make_type(data, is_result=False), _make_type(result, is_result=True))


def _takes_objects(data: Type) -> bool:
    """Whether a JSON object can be of the type."""

    def takes(schema: Schema) -> bool:
        if "$ref" in schema:
            return takes(data.components[schema["$ref"].removeprefix(_REFERENCE)])
        if "anyOf" in schema:
            return any(takes(choice) for choice in schema["anyOf"])
        return bool(schema.get("type", "object") == "object")

    return takes(data.schema)


# --- Reading hints --------------------------------------------------------------


def _hints_of(function: Callable[..., Any]) -> tuple[object, object]:
    """Of the first parameter and of the result; None where there is none to go by."""
    function = inspect.unwrap(function)
    if not hasattr(function, "__annotations__"):
        function = type(function).__call__
    annotations = function.__annotations__
    # An object that is called has `self` before its parameters, without an annotation.
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    namespace = getattr(function, "__globals__", {})
    first = annotations.get(names[0]) if names else None
    return _evaluate(first, namespace), _evaluate(annotations.get("return"), namespace)


def _evaluate(annotation: object, namespace: dict[str, Any]) -> object:
    """An annotation alone: others may have names that are imported for type checkers only."""
    if annotation is None:
        return None
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return get_type_hints(holder, globalns=namespace, include_extras=True)["it"]
    # A hint is any expression, and may fail in any way.
    except Exception as error:  # noqa: BLE001 - see above
        _logger.info("the type hint `%s` is not enforced: %s", annotation, error)
        return None


def _item_of(hint: object) -> object:
    return next(iter(get_args(hint)), None)


def _says_something(hint: object) -> bool:
    """Whether it is more than `list`, `dict` or `Any`, which users write for readers only."""
    if hint is None or hint is Any or isinstance(hint, TypeVar):
        return False
    if isinstance(hint, type):
        return hint.__module__ != "builtins"
    return get_origin(hint) is None or bool(get_args(hint))


# --- The two libraries ----------------------------------------------------------


def _make_type(hint: object, *, is_result: bool) -> Type | None:
    if not _says_something(hint):
        return None
    # What the user's file has imported comes first.
    libraries = sorted(_MAKERS, key=lambda name: name not in sys.modules)
    reason = "neither `msgspec` nor `pydantic` is installed"
    for library in libraries:
        try:
            return _MAKERS[library](hint, is_result=is_result)
        except ImportError:
            continue
        # Of what they do not understand: msgspec raises TypeError; pydantic's errors are
        # RuntimeError, and NameError for references that lead nowhere.
        except (TypeError, ValueError, RuntimeError, NameError) as error:
            reason = str(error).partition("\n")[0]
    if not is_result:
        _logger.warning("the type hint `%s` on `predict` is not enforced: %s", hint, reason)
    return None


def _make_with_msgspec(hint: object, *, is_result: bool) -> Type:  # noqa: ARG001 - as below
    import msgspec  # noqa: PLC0415 - only there if the user brings it

    def convert(value: object, path: str) -> object:
        with suppress(msgspec.ValidationError):
            return msgspec.convert(value, hint, str_keys=True)
        # JSON has no integers of its own: to JSON Schema 1.0 is one, to msgspec it is a float.
        try:
            return msgspec.convert(_with_integers(value), hint, str_keys=True)
        except msgspec.ValidationError as error:
            # "Expected `str`, got `int` - at `$.inputs[0].text`"; at the top without a place.
            reason, _, place = str(error).partition(" - at ")
            found = path + place.strip("`").removeprefix("$")
            if field_name := re.search(r"field `(.+)`$", reason):
                found += f".{field_name[1]}"
            raise _misfit([(found, reason)]) from error

    (schema,), components = msgspec.json.schema_components(
        [hint], ref_template=_REFERENCE + "{name}"
    )
    return Type(convert=convert, schema=schema, components=components)


def _with_integers(value: object) -> object:
    """A value whose whole floats are integers."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _with_integers(item) for name, item in value.items()}
        case list():
            return [_with_integers(item) for item in value]
        case _:
            return value


def _make_with_pydantic(hint: object, *, is_result: bool) -> Type:
    import pydantic  # noqa: PLC0415 - likewise

    adapter: pydantic.TypeAdapter[object] = pydantic.TypeAdapter(cast("type[object]", hint))

    def convert(value: object, path: str) -> object:
        try:
            return adapter.validate_python(value)
        except pydantic.ValidationError as error:
            found = [(_join(path, each["loc"]), each["msg"]) for each in error.errors()]
            raise _misfit(found) from error

    schema = adapter.json_schema(
        mode="serialization" if is_result else "validation", ref_template=_REFERENCE + "{model}"
    )
    components = schema.pop("$defs", {})
    return Type(convert=convert, schema=schema, components=components)


_MAKERS: Final[Mapping[str, Callable[..., Type]]] = {
    "msgspec": _make_with_msgspec,
    "pydantic": _make_with_pydantic,
}

_MOST_NAMED: Final = 3
"""Misfits that one message names; a wrong list would otherwise fill the log."""


def _misfit(found: list[tuple[str, str]]) -> InvalidBodyError:
    """The error for values that do not fit: their paths, and what is wrong with each."""
    parts = [f"at `{path}`: {reason[:1].lower()}{reason[1:]}" for path, reason in found]
    more = f"; and {len(parts) - _MOST_NAMED} more" if len(parts) > _MOST_NAMED else ""
    return InvalidBodyError(f"the body does not fit {'; '.join(parts[:_MOST_NAMED])}{more}")


def _join(path: str, keys: tuple[int | str, ...]) -> str:
    return path + "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
