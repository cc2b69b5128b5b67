"""What handlers return, taken apart into what JSON has."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum

from portside.serving.codecs import npy


def plain(value: object) -> object:
    """A value one step nearer to dicts, lists, texts and numbers; TypeError where there is no way.

    Tensors of torch become arrays of numpy, arrays and whatever else has a `tolist()` become
    lists, models of pydantic and structs of msgspec their fields.
    """
    match value:
        case Enum():
            return value.value
        case Decimal() | float():
            return float(value)
        case tuple():
            return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, type):
        raise TypeError
    if hasattr(value, "tolist"):
        if hasattr(value, "detach"):
            with suppress(TypeError):  # numpy has no such numbers: bfloat16, for one
                return npy.as_array(value)[()]
        return value.tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if hasattr(value, "__struct_fields__") and hasattr(value, "__struct_encode_fields__"):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {written: getattr(value, name) for written, name in names}
    raise TypeError


def find_non_finite(value: object) -> str | None:
    """Where in a value the first NaN or infinity stands, as in `[0]['score']`; None without one."""
    children: Iterable[tuple[object, object]]
    match value:
        case None | str() | int():
            return None
        case float():
            return None if math.isfinite(value) else ""
        case dict():
            children = value.items()
        case list() | tuple():
            children = enumerate(value)
        case _:
            try:
                return find_non_finite(plain(value))
            except TypeError:  # a date or another thing that orjson knows, and no number
                return None
    for key, child in children:
        if (place := find_non_finite(child)) is not None:
            return f"[{key!r}]{place}"
    return None
