"""The two bodies that text tasks understand.

`{"strings": ["text", …]}` is short and always answered by a list, one item a
text. `{"inputs": "text" or ["text", …], "parameters": {…}}` is what the Hugging
Face toolkit takes: one text gives one item, a list gives a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from portside.serving.error import InvalidBodyError

_EXPECTED: Final = (
    'expected `{"strings": ["Ada Lovelace lived in London"]}` or '
    '`{"inputs": "Ada Lovelace lived in London", "parameters": {}}`'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRequest:
    """Texts to work on; `is_single` when one text was sent bare and wants one answer bare."""

    texts: list[str]
    is_single: bool
    parameters: dict[str, Any]


def text_request(body: object) -> TextRequest:
    """Read a decoded body; anything but the two is refused with an example of each."""
    match body:
        case {"strings": list(texts), **rest} if not rest:
            return TextRequest(texts=_strings(texts, "strings"), is_single=False, parameters={})
        case {"inputs": str(text), **rest} if rest.keys() <= {"parameters"}:
            return TextRequest(texts=[text], is_single=True, parameters=_parameters(rest))
        case {"inputs": list(texts), **rest} if rest.keys() <= {"parameters"}:
            texts = _strings(texts, "inputs")
            return TextRequest(texts=texts, is_single=False, parameters=_parameters(rest))
        case _:
            raise InvalidBodyError(f"{_EXPECTED}, got {_describe(body)}")


def _strings(items: list[Any], key: str) -> list[str]:
    for index, item in enumerate(items):
        if not isinstance(item, str):
            raise InvalidBodyError(f"{_EXPECTED}, got {_KINDS[type(item)]} as `{key}[{index}]`")
    return items


def _parameters(rest: dict[Any, Any]) -> dict[str, Any]:
    match rest.get("parameters"):
        case None:
            return {}
        case dict(parameters):
            return parameters
        case other:
            raise InvalidBodyError(f"{_EXPECTED}, got {_KINDS[type(other)]} as `parameters`")


_KINDS: Final = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "`null`",
}


def _describe(body: object) -> str:
    match body:
        case dict() if len(body) == 1:
            [(key, value)] = body.items()
            return f"{_KINDS[type(value)]} as `{key}`"
        case dict() if body:
            return f"an object with the keys {', '.join(f'`{key}`' for key in body)}"
        case _:
            return _KINDS[type(body)]
