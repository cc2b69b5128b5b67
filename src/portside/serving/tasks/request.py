"""The bodies that every task understands, and the parameters in them.

    {"inputs": ITEM}                       one item, one answer
    {"inputs": [ITEM, …]}                  a list of answers
    {"inputs": …, "parameters": {…}}       as the Hugging Face toolkit has it
    {"strings": ["…", …]}                  short for texts without parameters; a list of answers
    "…"                                    a bare text (`text/plain`), one answer
    [BODY, …]                              a list of answers (JSON lines: a body each line)

What an item is, and which parameters there are, is the task's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from portside.serving.tasks.field import Choice, Field

TEXT_BODIES: Final = (
    '`{"strings": ["Ada Lovelace lived in London"]}` or '
    '`{"inputs": "Ada Lovelace lived in London", "parameters": {}}`'
)
"""What a task that takes texts and nothing else expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Items to work on; `is_single` when one was sent bare and wants its answer bare."""

    items: Sequence[Field]
    is_single: bool
    parameters: Parameters


class Parameters:
    """What stands under `parameters`, by name."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        """Whether it is given, be it as `null`."""
        return name in self._fields

    def get(self, name: str) -> Field | None:
        """One that is given, and not as `null`."""
        found = self._fields.get(name)
        return found if found is not None and found.value is not None else None

    def flag(self, name: str, *, default: bool) -> bool:
        """A boolean."""
        found = self.get(name)
        return found.flag() if found else default

    def whole_number(self, name: str, *, default: int, least: int, most: int | None = None) -> int:
        """A whole number within its bounds."""
        found = self.get(name)
        return found.whole_number(least=least, most=most) if found else default

    def choice(self, name: str, *, default: Choice) -> Choice:
        """One of the words that `default` is one of."""
        found = self.get(name)
        return found.choice(type(default)) if found else default


def read_request(body: Field, *, expected: str, parameters: Sequence[str]) -> Request:
    """Read one body; `expected` shows what one looks like, `parameters` names what it may set."""
    match body.value:
        case str():
            return Request(items=[body], is_single=True, parameters=Parameters({}))
        case {"strings": _, **rest} if not rest:
            items = body.members("strings")["strings"].items()
            return Request(items=items, is_single=False, parameters=Parameters({}))
        case {"inputs": inputs, **rest} if rest.keys() <= {"parameters"}:
            members = body.members("inputs", optional=("parameters",))
            is_single = not isinstance(inputs, list)
            return Request(
                items=[members["inputs"]] if is_single else members["inputs"].items(),
                is_single=is_single,
                parameters=_read_parameters(members.get("parameters"), known=parameters),
            )
        case _:
            raise body.refuse(expected)


def _read_parameters(field: Field | None, *, known: Sequence[str]) -> Parameters:
    if field is None or field.value is None:
        return Parameters({})
    return Parameters(field.members(optional=known))
