"""What the tests of handlers share: files of a user, and a caller who asks what is made of them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from portside.serving.handlers.find import load_handler
from portside.serving.invocation import Handler, Invocation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Reply:
    body: bytes
    content_type: str
    headers: Mapping[str, str]
    chunks: list[bytes] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Takes requests through the stages of a handler as the batcher does."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def ask(
        self,
        body: bytes | str,
        *,
        content_type: str | None = None,
        accept: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        job = self.handler.open(
            Invocation(
                body=body.encode() if isinstance(body, str) else body,
                content_type=content_type,
                accept=accept,
                headers=headers or {},
                request_id="request-1",
            )
        )
        answer = job.finish(self.handler.run(job.inputs))
        if isinstance(answer.body, bytes):
            return Reply(answer.body, answer.content_type, answer.headers)
        chunks = list(answer.body)
        return Reply(b"".join(chunks), answer.content_type, answer.headers, chunks)


@pytest.fixture(autouse=True)
def untouched_imports() -> Iterator[None]:
    path, modules = sys.path[:], set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        # What the user's files import for the first time stays: numpy cannot be loaded twice.
        if getattr(sys.modules[name], "__file__", None) and "/pytest-" in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write(code)` makes `inference.py` in the model folder."""

    def make(code: str, name: str = "inference.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        return path

    return make


@pytest.fixture
def load(tmp_path: Path, write: Callable[..., Path]) -> Iterator[Callable[..., Caller]]:
    """`load(code)` is a caller of the handler that an `inference.py` makes."""
    handlers: list[Handler] = []

    def make(code: str, **options: Any) -> Caller:
        write(code)
        handler = load_handler(tmp_path, **options)
        handlers.append(handler)  # type: ignore[arg-type] - not a mounted app
        return Caller(handler)  # type: ignore[arg-type] - likewise

    yield make
    for handler in handlers:
        handler.close()
