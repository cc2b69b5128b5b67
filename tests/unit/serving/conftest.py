"""What the unit tests of serving share: a client for the app, a model folder to fill."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from portside.serving.app import App

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from portside.serving.handler import Handler


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json["error"]["message"]


class Client:
    """Calls an ASGI app as a server would, without a socket."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def get(self, path: str) -> Answer:
        return await self.request("GET", path)

    async def post(
        self, body: bytes, *, headers: dict[str, str] | None = None, path: str = "/invocations"
    ) -> Answer:
        return await self.request("POST", path, chunks=[body], headers=headers)

    async def request(
        self,
        method: str,
        path: str,
        *,
        chunks: Sequence[bytes] = (b"",),
        headers: dict[str, str] | None = None,
    ) -> Answer:
        messages = [
            {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
            for number, chunk in enumerate(chunks, start=1)
        ]
        sent = await self.exchange(method, path, messages=messages, headers=headers)
        start, body = sent
        answer_headers = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], answer_headers, body["body"])

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        messages: list[dict[str, Any]],
        headers: dict[str, str] | None = None,
    ) -> list[Any]:
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [
                (name.lower().encode(), value.encode()) for name, value in (headers or {}).items()
            ],
        }
        pending = iter(messages)
        sent: list[Any] = []

        async def receive() -> Any:
            return next(pending)

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent


class FunctionHandler:
    """A handler made of one function."""

    def __init__(self, function: Callable[[Any], object]) -> None:
        self._function = function

    def predict(self, body: object) -> object:
        return self._function(body)


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as made:
        yield made


@pytest.fixture
def serve(executor: ThreadPoolExecutor) -> Callable[..., Client]:
    """`serve(function)` is a client of an app whose loaded handler is `function`."""

    def make(function: Callable[[Any], object], **options: Any) -> Client:
        loading: Future[Handler] = Future()
        loading.set_result(FunctionHandler(function))
        return Client(App(loading, executor, new_request_id=lambda: "request-1", **options))

    return make


@pytest.fixture
def connect() -> Callable[[App], Client]:
    """`connect(app)` is a client of an app that the test made itself."""
    return Client


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """A model folder with all that a token classification checkpoint needs, weights empty."""
    folder = tmp_path / "model"
    folder.mkdir()
    config = {
        "architectures": ["BertForTokenClassification"],
        "id2label": {"0": "O", "1": "B-PER", "2": "I-PER"},
        "max_position_embeddings": 512,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.onnx").write_bytes(b"")
    return folder
