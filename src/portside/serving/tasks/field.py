"""A value inside a decoded body, with its path, so that whoever refuses it can name the place.

{"inputs": ["Ada", 3]}    expected a string as `inputs[1]`, got `3`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from portside.serving.error import InvalidBodyError

Choice = TypeVar("Choice", bound=StrEnum)

_KINDS: Final = {
    dict: "an empty object",
    list: "a list",
    bool: "a boolean",
    type(None): "`null`",
}

_MOST_KEYS: Final = 8
_MOST_LETTERS: Final = 40
"""Of what the caller sent, in a message: enough to find the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A value and where it stands: `inputs[2].question`, or nothing for the whole body."""

    value: object
    path: str = ""

    def refuse(self, expected: str, *, got: str | None = None) -> InvalidBodyError:
        """The error to raise when the value is not what was expected."""
        place = f" as `{self.path}`" if self.path else ""
        return InvalidBodyError(f"expected {expected}{place}, got {got or _describe(self.value)}")

    def text(self) -> str:
        """The value as a string."""
        if not isinstance(self.value, str):
            raise self.refuse("a string")
        return self.value

    def flag(self) -> bool:
        """The value as a boolean."""
        if not isinstance(self.value, bool):
            raise self.refuse("`true` or `false`")
        return self.value

    def whole_number(self, *, least: int, most: int | None = None) -> int:
        """The value as a whole number within its bounds."""
        match self.value:
            case bool():  # which is an `int` to Python
                pass
            case int(number) if least <= number and (most is None or number <= most):
                return number
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise self.refuse(f"a whole number {bounds}")

    def choice(self, choices: type[Choice]) -> Choice:
        """The value as one of a few words."""
        for choice in choices:
            if self.value == choice:
                return choice
        names = ", ".join(f"`{choice}`" for choice in choices)
        raise self.refuse(f"one of {names}")

    def items(self) -> list[Field]:
        """The values of a list."""
        if not isinstance(self.value, list):
            raise self.refuse("a list")
        return [
            Field(value=item, path=f"{self.path}[{index}]") for index, item in enumerate(self.value)
        ]

    def members(self, *names: str, optional: Sequence[str] = ()) -> dict[str, Field]:
        """The values of an object that has all of `names`, and may have the optional ones."""
        if not isinstance(self.value, dict):
            raise self.refuse(_in_words(names, optional))
        keys = self.value.keys()
        if set(names) - keys or keys - {*names, *optional}:
            raise self.refuse(_in_words(names, optional))
        prefix = f"{self.path}." if self.path else ""
        return {key: Field(value=value, path=f"{prefix}{key}") for key, value in self.value.items()}


def _in_words(names: Sequence[str], optional: Sequence[str]) -> str:
    """What an object has to hold."""
    needed = " and ".join(f"`{name}`" for name in names)
    allowed = ", ".join(f"`{name}`" for name in optional)
    if needed and allowed:
        return f"an object with {needed} and, if wanted, {allowed}"
    return f"an object with {needed or f'nothing but {allowed}'}"


def _describe(value: object) -> str:
    match value:
        case dict() if value:
            keys = [f"`{_shorten(str(key))}`" for key in value]
            more = ", …" if len(keys) > _MOST_KEYS else ""
            return f"an object with {', '.join(keys[:_MOST_KEYS])}{more}"
        case str():
            return f"`{_shorten(value)}`" if value else "an empty one"
        case int() | float() if not isinstance(value, bool):
            return f"`{value}`"
        case _:
            return _KINDS.get(type(value), "something else")


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
