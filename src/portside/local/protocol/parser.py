"""A request's input as values: from the wire to a dict by AWS's member names.

What has the wrong type altogether is a SerializationException, as at AWS; what has
the right type but a forbidden value is left to `validate`. Unknown members and nulls
are dropped, as AWS does.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from botocore.model import ListShape, MapShape, Shape, StructureShape

from portside.local.protocol.call import Value
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Request
from portside.local.protocol.service import Operation, Wire

_INTEGER_BITS: Final = {"integer": 32, "long": 64}
_JAVA_NAMES: Final = {
    "string": "String",
    "integer": "Integer",
    "long": "Long",
    "float": "Float",
    "double": "Double",
    "boolean": "Boolean",
    "timestamp": "Date",
    "blob": "ByteBuffer",
}


def parse(operation: Operation, request: Request, body: bytes) -> dict[str, Value]:
    """The operation's input; timestamps become aware datetimes, blobs bytes."""
    shape = operation.model.input_shape
    if shape is None:
        return {}
    if operation.service.wire is Wire.REST_JSON:
        return _parse_rest(operation, shape, request, body)
    return _parse_structure(_load(body), shape)


def _parse_rest(
    operation: Operation, shape: StructureShape, request: Request, body: bytes
) -> dict[str, Value]:
    params: dict[str, Value] = {}
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        wire_name = member.serialization.get("name", name)
        if location == "uri":
            text = operation.labels.get(wire_name)
        elif location == "header":
            text = request.header(wire_name.lower())
        else:
            continue
        if text is not None:
            params[name] = _parse_text(text, member)
    payload = shape.serialization.get("payload")
    if payload is None:
        return params | _parse_structure(_load(body), shape)
    member = shape.members[payload]
    if member.type_name == "blob":
        return params | {payload: body}
    return params | {payload: _parse_structure(_load(body), member)}


def _parse_text(text: str, shape: Shape) -> Value:
    """A value of a header or a path, where all there is is text."""
    if shape.type_name == "string":
        return text
    try:
        return parse_value(json.loads(text), shape)
    except ValueError as error:
        raise _unfit(f"'{text}'", shape) from error


def _load(body: bytes) -> Value:
    if not body:
        return {}
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Fault("SerializationException", f"The body is not JSON: {error}") from error


def _refuse_constant(name: str) -> Value:
    raise ValueError(f"{name} is not a number of JSON")


# --- By shape ----------------------------------------------------------------


def parse_value(value: Value, shape: Shape) -> Value:
    """One value of a JSON document, by its shape."""
    return _PARSERS[shape.type_name](value, shape)


def _parse_structure(value: Value, shape: Shape) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise _unfit(_token(value), shape)
    members = shape.members if isinstance(shape, StructureShape) else {}
    params = {}
    for name, member in members.items():
        if "location" in member.serialization:
            continue
        found = value.get(member.serialization.get("name", name))
        if found is not None:
            params[name] = parse_value(found, member)
    return params


def _parse_list(value: Value, shape: Shape) -> list[Value]:
    if not isinstance(value, list) or not isinstance(shape, ListShape):
        raise _unfit(_token(value), shape)
    return [None if item is None else parse_value(item, shape.member) for item in value]


def _parse_map(value: Value, shape: Shape) -> dict[str, Value]:
    if not isinstance(value, dict) or not isinstance(shape, MapShape):
        raise _unfit(_token(value), shape)
    return {
        _parse_string(key, shape.key): None if item is None else parse_value(item, shape.value)
        for key, item in value.items()
    }


def _parse_string(value: Value, shape: Shape) -> str:
    if not isinstance(value, str):
        raise _unfit(_token(value), shape)
    try:
        value.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, written as \ud800
        raise _unfit("A lone surrogate", shape) from error
    return value


def _parse_integer(value: Value, shape: Shape) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _unfit(_token(value), shape)
    if not -(bound := 1 << (_INTEGER_BITS[shape.type_name] - 1)) <= value < bound:
        raise _unfit("A number out of range", shape)
    return value


def _parse_float(value: Value, shape: Shape) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _unfit(_token(value), shape)
    try:
        number = float(value)
    except OverflowError as error:
        raise _unfit("A number out of range", shape) from error
    if number in {float("inf"), float("-inf")}:  # 1e999 is a number of JSON
        raise _unfit("A number out of range", shape)
    return number


def _parse_boolean(value: Value, shape: Shape) -> bool:
    if not isinstance(value, bool):
        raise _unfit(_token(value), shape)
    return value


def _parse_timestamp(value: Value, shape: Shape) -> datetime:
    try:
        return datetime.fromtimestamp(_parse_float(value, shape), UTC)
    except (ValueError, OverflowError, OSError) as error:  # beyond the years 1 to 9999
        raise _unfit("A number out of range", shape) from error


def _parse_blob(value: Value, shape: Shape) -> bytes:
    try:
        return base64.b64decode(_parse_string(value, shape), validate=True)
    except ValueError as error:
        raise _unfit("A string that is not base64", shape) from error


_PARSERS: Final[dict[str, Callable[[Value, Shape], Value]]] = {
    "structure": _parse_structure,
    "list": _parse_list,
    "map": _parse_map,
    "string": _parse_string,
    "integer": _parse_integer,
    "long": _parse_integer,
    "float": _parse_float,
    "double": _parse_float,
    "boolean": _parse_boolean,
    "timestamp": _parse_timestamp,
    "blob": _parse_blob,
}


# --- Refusing ----------------------------------------------------------------


def _unfit(found: str, shape: Shape) -> Fault:
    """What AWS's JSON reader says of a value of the wrong type, token names and all."""
    if shape.type_name == "structure":
        message = "Unexpected field type"
    elif shape.type_name in {"list", "map"}:
        message = f"Expected {shape.type_name} or null"
    else:
        message = f"{found} can not be converted to {_JAVA_NAMES[shape.type_name]}"
    return Fault("SerializationException", message)


def _token(value: Value) -> str:
    match value:
        case bool():
            return f"{value}_VALUE".upper()
        case int() | float():
            return "NUMBER_VALUE"
        case str():
            return "STRING_VALUE"
        case dict():
            return "START_OBJECT"
        case list():
            return "START_ARRAY"
        case _:
            return "NULL_VALUE"
