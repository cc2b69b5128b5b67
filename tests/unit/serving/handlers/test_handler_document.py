"""The examples of `docs/reference/handlers.md` answer what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portside.serving.error import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    Load = Callable[..., Any]

DOCUMENT = Path(__file__).parents[4] / "docs" / "reference" / "handlers.md"
_EXAMPLE = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXCHANGE = re.compile(r"^(?!→)(.+)\n→ ((?:.+\n)+?)(?=.+\n→|\Z)", re.MULTILINE)

EXAMPLES = _EXAMPLE.findall(DOCUMENT.read_text(encoding="utf-8"))


def test_every_example_is_found():
    assert len(EXAMPLES) == DOCUMENT.read_text(encoding="utf-8").count("```python")


@pytest.mark.parametrize(("code", "exchanges"), EXAMPLES)
def test_examples_answer_what_they_promise(load: Load, code: str, exchanges: str):
    caller = load(code)
    found = _EXCHANGE.findall(exchanges)

    assert found
    for body, answer in found:
        try:
            reply = caller.ask(body, content_type="application/json").body.decode()
        except RequestError as error:
            reply = f"{error.status} {error.message}"
        assert reply.rstrip("\n") == answer.rstrip("\n")
