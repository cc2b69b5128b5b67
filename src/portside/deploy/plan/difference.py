"""How two requests in AWS's spelling differ, field by field, for people to read (pure)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

_CAPACITY: Final = {"InitialInstanceCount", "InstanceType", "ServerlessConfig"}

Plain: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A field that changes; `old` or `new` is None where it is not set."""

    field: str
    old: Plain
    new: Plain


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    """The fields that change from `old` to `new`.

    AWS tells of a resource more than it was made from, so a field that only `old` has counts as
    removed where it is a variable, what a variant runs on, or where all of its table is gone.
    """
    before, after = dict(_flat(old)), dict(_flat(new))
    changed = [
        Change(field=field, old=before.get(field), new=value)
        for field, value in after.items()
        if field not in before or before[field] != value
    ]
    removed = [
        Change(field=field, old=value, new=None)
        for field, value in before.items()
        if field not in after and _is_removed(field, new)
    ]
    return tuple(changed + removed)


def without_values(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """The changes with variables by their names alone: a plan is shown, and kept, in CI's logs.

    What a variable holds may be a password.
    """
    return tuple(
        Change(field=change.field, **_told(change))
        if change.field.startswith("Environment.")
        else change
        for change in changes
    )


def holds(there: object, wanted: object) -> bool:
    """Whether all that is wanted is there; what else is there is AWS's own default."""
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(
            key in there and holds(there[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(there, list) and len(there) == len(wanted) and all(map(holds, there, wanted))
        )
    return there == wanted


def by_name(variants: list[dict[str, Any]]) -> dict[str, Any]:
    """Variants as a table, without what names them and their Models."""
    return {
        variant["VariantName"]: {
            key: value for key, value in variant.items() if key not in {"VariantName", "ModelName"}
        }
        for variant in variants
    }


def _told(change: Change) -> dict[str, Plain]:
    was, will = change.old is not None, change.new is not None
    return {
        "old": "set" if was else None,
        "new": ("set to another value" if was else "set") if will else None,
    }


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Plain]]:
    for key, inner in value.items():
        yield from _flat_value(inner, f"{path}.{key}" if path else key)


def _flat_value(value: Any, path: str) -> Iterator[tuple[str, Plain]]:  # noqa: ANN401  AWS's own
    match value:
        case Mapping():
            yield from _flat(value, path)
        case list() if all(isinstance(one, str) for one in value):
            yield path, ", ".join(value)
        case list():
            for number, inner in enumerate(value):
                yield from _flat_value(inner, f"{path}[{number}]")
        case _:
            yield path, value


def _is_removed(field: str, new: Mapping[str, Any]) -> bool:
    first, *rest = field.split(".")
    return first not in new or (bool(rest) and (first == "Environment" or rest[0] in _CAPACITY))
