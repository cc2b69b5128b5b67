"""An input held against its model, in the words of Coral, AWS's own server framework.

Each violation is one clause; the fault counts them and strings them together:

    1 validation error detected: Value 'a b' at 'endpointName' failed to satisfy
    constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9])*

Lengths of blobs are left alone: of the one blob that is served, InvokeEndpoint's body,
AWS's own sources give different limits, and the runtime service knows which one holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from botocore.model import ListShape, MapShape, Shape, StructureShape

from portside.local.protocol import pattern
from portside.local.protocol.call import Value
from portside.local.protocol.fault import Fault
from portside.local.protocol.service import Operation


def validate(operation: Operation, params: dict[str, Value]) -> None:
    """Raise the service's fault where the parsed input breaks the model."""
    shape = operation.model.input_shape
    violations = [] if shape is None else list(_structure_violations(params, shape, path=""))
    if violations:
        count = len(violations)
        noun = "error" if count == 1 else "errors"
        message = f"{count} validation {noun} detected: {'; '.join(violations)}"
        raise Fault(operation.service.invalid_code, message)


def _violations(value: Value, shape: Shape, *, path: str) -> Iterator[str]:
    if value is None:
        yield f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
        return
    for constraint in _constraints(value, shape):
        shown = "Value" if shape.metadata.get("sensitive") else f"Value '{_show(value, shape)}'"
        yield f"{shown} at '{path}' failed to satisfy constraint: {constraint}"
    match shape:
        case StructureShape():
            yield from _structure_violations(value, shape, path=f"{path}.")
        case ListShape():
            yield from _list_violations(value, shape, path=path)
        case MapShape():
            yield from _map_violations(value, shape, path=path)
        case _:
            pass


def _structure_violations(
    value: dict[str, Value], shape: StructureShape, *, path: str
) -> Iterator[str]:
    for name, member in shape.members.items():
        if name in value or name in shape.required_members:
            yield from _violations(value.get(name), member, path=path + _lower_camel(name))


def _list_violations(value: list[Value], shape: ListShape, *, path: str) -> Iterator[str]:
    if isinstance(shape.member, StructureShape | ListShape | MapShape):
        for index, item in enumerate(value, start=1):
            yield from _violations(item, shape.member, path=f"{path}.{index}.member")
    elif _any_broken(value, shape.member):
        yield _of_scalars("Member must", value, shape, path=path, scalar=shape.member)


def _map_violations(value: dict[str, Value], shape: MapShape, *, path: str) -> Iterator[str]:
    if _any_broken(value, shape.key):
        yield _of_scalars("Map keys must", value, shape, path=path, scalar=shape.key)
    if isinstance(shape.value, StructureShape | ListShape | MapShape):
        for key, item in value.items():
            yield from _violations(item, shape.value, path=f"{path}.{key}.member")
    elif _any_broken(value.values(), shape.value):
        yield _of_scalars("Map value must", value, shape, path=path, scalar=shape.value)


def _any_broken(values: Iterable[Value], shape: Shape) -> bool:
    return any(value is None or any(_constraints(value, shape)) for value in values)


def _of_scalars(subject: str, value: Value, shape: Shape, *, path: str, scalar: Shape) -> str:
    """Coral names a collection of plain values whole, with all that its members have to keep."""
    rules = ", ".join([*_rules(scalar), "Member must not be null"])
    shown = _show(value, shape)
    return (
        f"Value '{shown}' at '{path}' failed to satisfy constraint: "
        f"{subject} satisfy constraint: [{rules}]"
    )


# --- One value against one shape ---------------------------------------------


def _constraints(value: Value, shape: Shape) -> Iterator[str]:
    """The constraints of a shape that a value breaks."""
    rules = shape.metadata
    match shape.type_name:
        case "string":
            if not rules.get("min", 0) <= len(value) <= rules.get("max", len(value)):
                yield from _length_rules(shape, len(value))
            if "pattern" in rules and not pattern.matches(rules["pattern"], value):
                yield _pattern_rule(shape)
            if "enum" in rules and value not in rules["enum"]:
                yield _enum_rule(shape)
        case "list" | "map":
            yield from _length_rules(shape, len(value))
        case "integer" | "long" | "float" | "double":
            yield from _range_rules(shape, value)
        case _:
            pass


def _rules(shape: Shape) -> Iterator[str]:
    """All constraints of a shape of plain values, broken or not."""
    if shape.type_name == "string":
        yield from _length_rules(shape, None)
        if "pattern" in shape.metadata:
            yield _pattern_rule(shape)
        if "enum" in shape.metadata:
            yield _enum_rule(shape)
    else:
        yield from _range_rules(shape, None)


def _length_rules(shape: Shape, length: int | None) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if high is not None and (length is None or length > high):
        yield f"Member must have length less than or equal to {high}"
    if low is not None and (length is None or length < low):
        yield f"Member must have length greater than or equal to {low}"


def _range_rules(shape: Shape, value: float | None) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if high is not None and (value is None or value > high):
        yield f"Member must have value less than or equal to {high}"
    if low is not None and (value is None or value < low):
        yield f"Member must have value greater than or equal to {low}"


def _pattern_rule(shape: Shape) -> str:
    return f"Member must satisfy regular expression pattern: {shape.metadata['pattern']}"


def _enum_rule(shape: Shape) -> str:
    return f"Member must satisfy enum value set: [{', '.join(shape.metadata['enum'])}]"


# --- Showing values ----------------------------------------------------------


def _show(value: Value, shape: Shape) -> str:
    """A value as Java prints it."""
    match shape:
        case StructureShape():
            members = ", ".join(
                f"{_lower_camel(name)}={_show(value.get(name), member)}"
                for name, member in shape.members.items()
            )
            return f"{shape.name}({members})"
        case ListShape():
            return f"[{', '.join(_show(item, shape.member) for item in value)}]"
        case MapShape():
            items = (f"{key}={_show(item, shape.value)}" for key, item in value.items())
            return f"{{{', '.join(items)}}}"
        case _ if isinstance(value, bool):
            return str(value).lower()
        case _:
            return str(value)


def _lower_camel(name: str) -> str:
    return name[:1].lower() + name[1:]
