"""The routes for models and the sessions of requests, through the application, without a socket.

Threads run at once, in the test's own; only the batchers have some of their own.
"""

from __future__ import annotations

import io
import itertools
import json
import queue
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from portside import contract
from portside.errors import PortsideError
from portside.serving.app import App
from portside.serving.batcher import QueueLimit
from portside.serving.exchange import Exchange
from portside.serving.invocation import Answer, BatchLimit, Invocation, Job
from portside.serving.log import RequestLog
from portside.serving.memory import MemoryBudget
from portside.serving.model_table import ModelTable
from portside.serving.session import SessionTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class CountingHandler:
    """Answers with its model's name, and how often it was asked in the session."""

    batch_limit = BatchLimit()

    def __init__(self, name: str) -> None:
        self._name = name

    def open(self, invocation: Invocation) -> Job:
        answer: dict[str, object] = {"model": self._name}
        if invocation.session is not None:
            state = invocation.session.state
            answer["turn"] = state["turn"] = state.get("turn", 0) + 1
        body = json.dumps(answer).encode()
        return Job(inputs=(), sizes=(), finish=lambda _: Answer(body, "application/json"))

    def run(self, inputs: Sequence[Any]) -> Sequence[Any]:
        return inputs

    def close(self) -> None:
        pass


class Wire:
    """The connection of an exchange; see `exchange.Wire`."""

    can_write = True

    def __init__(self) -> None:
        self.transport = self
        self.on_writable: Callable[[], None] | None = None
        self.sent = b""
        self.is_answered = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def answered(self, exchange: Exchange) -> None:
        self.is_answered = True


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json["error"]["message"]


class Instance:
    """An application, and who calls it."""

    def __init__(self, root: Path, *, sessions: SessionTable | None) -> None:
        self.root = root
        self.text = io.StringIO()
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.app = App(limit=QueueLimit(), sessions=sessions, request_log=RequestLog(self.text))
        self.table = ModelTable(
            self._load,
            root=root,
            budget=MemoryBudget(None),
            limit=QueueLimit(),
            call_soon=self._calls.put,
            spawn=lambda function: function(),
        )

    def _load(self, model_dir: Path) -> CountingHandler:
        if model_dir.name == "broken":
            raise PortsideError("cannot import `inference.py`", hint="mend it")
        return CountingHandler(model_dir.name)

    def serve_models(self) -> None:
        self.app.attach_models(self.table, call_soon=self._calls.put)

    async def serve_one(self) -> None:
        await self.app.attach(CountingHandler("only"), call_soon=self._calls.put)

    def ask(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Reply:
        wire = Wire()
        path, _, query = target.partition("?")
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        self.app.handle(
            Exchange(
                connection=wire,
                method=method,
                path=path,
                query=query,
                headers=lowered,
                body=body,
                keeps_alive=True,
                can_stream=True,
            )
        )
        deadline = time.monotonic() + 10
        while not wire.is_answered:
            assert time.monotonic() < deadline, "waited in vain"
            if self._calls.empty():
                time.sleep(0.001)
            else:
                self._calls.get()()
        head, _, content = wire.sent.partition(b"\r\n\r\n")
        start, *lines = head.decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return Reply(int(start.split()[1]), {name.lower(): v for name, v in pairs}, content)

    def load(self, name: str) -> Reply:
        (self.root / name).mkdir(exist_ok=True)
        body = {"model_name": name, "url": str(self.root / name)}
        return self.ask("POST", "/models", json.dumps(body).encode())

    @property
    def log(self) -> list[dict[str, Any]]:
        self.app.tick()
        return [json.loads(line) for line in self.text.getvalue().splitlines()]


@pytest.fixture
def sessions() -> SessionTable | None:
    return None


@pytest.fixture
def instance(tmp_path: Path, sessions: SessionTable | None) -> Iterator[Instance]:
    made = Instance(tmp_path, sessions=sessions)
    yield made
    for model in made.table.page(after="")[0]:
        made.table.batcher(model.name).close()


@pytest.fixture
def models(instance: Instance) -> Instance:
    instance.serve_models()
    return instance


# --- Models ---------------------------------------------------------------------


def test_an_instance_without_a_model_is_healthy(models: Instance):
    assert models.ask("GET", "/ping").status == 200
    assert models.ask("GET", "/models").json == {"models": []}


def test_a_model_is_loaded_described_invoked_and_unloaded(models: Instance):
    described = {"modelName": "a1", "modelUrl": str(models.root / "a1")}

    loaded = models.load("a1")
    assert (loaded.status, loaded.json) == (200, described)
    assert models.ask("GET", "/models/a1").json == described
    assert models.ask("GET", "/models").json == {"models": [described]}
    answer = models.ask("POST", "/models/a1/invoke", b"{}")
    assert (answer.status, answer.json) == (200, {"model": "a1"})
    assert models.ask("DELETE", "/models/a1").status == 200
    assert models.ask("GET", "/models").json == {"models": []}


def test_what_is_not_loaded_is_404(models: Instance):
    for method, path in [
        ("GET", "/models/a1"),
        ("DELETE", "/models/a1"),
        ("POST", "/models/a1/invoke"),
        ("GET", "/models/"),
        ("POST", "/models//invoke"),
        ("GET", "/modelsa1"),
    ]:
        assert models.ask(method, path).status == 404, path


def test_a_model_is_loaded_once(models: Instance):
    models.load("a1")
    again = models.load("a1")
    assert (again.status, again.json["error"]["code"]) == (409, "Conflict")


def test_a_model_that_cannot_be_loaded_is_told_and_not_listed(models: Instance):
    refused = models.load("broken")
    assert (refused.status, refused.json["error"]["code"]) == (500, "LoadFailed")
    assert refused.message == "cannot import `inference.py`; mend it"
    assert models.ask("GET", "/models").json == {"models": []}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"a1",
        b"[]",
        b'{"model_name": "a1"}',
        b'{"model_name": "a1", "url": 5}',
        b'{"model_name": "", "url": "/tmp"}',
        b'{"model_name": "a/b", "url": "/tmp"}',
    ],
)
def test_a_body_that_names_no_model_is_400(models: Instance, body: bytes):
    refused = models.ask("POST", "/models", body)
    assert refused.status == 400
    assert "model_name" in refused.message


def test_wrong_methods_are_405(models: Instance):
    models.load("a1")
    for method, path, allow in [
        ("DELETE", "/models", "GET, POST"),
        ("PUT", "/models/a1", "GET, DELETE"),
        ("GET", "/models/a1/invoke", "POST"),
    ]:
        refused = models.ask(method, path)
        assert (refused.status, refused.headers["allow"]) == (405, allow)


def test_all_pages_together_list_all_models(models: Instance):
    names = [f"m {number:03}" for number in range(contract.MODELS_PAGE_SIZE + 1)]
    for name in names:
        models.load(name)
    page = models.ask("GET", "/models").json
    assert len(page["models"]) == contract.MODELS_PAGE_SIZE
    rest = models.ask("GET", f"/models?next_page_token={quote(page['nextPageToken'])}").json
    assert [model["modelName"] for model in page["models"] + rest["models"]] == names
    assert "nextPageToken" not in rest


def test_there_is_no_model_behind_invocations(models: Instance):
    refused = models.ask("POST", "/invocations", b"{}")
    assert refused.status == 404
    assert "/models/<name>/invoke" in refused.message


def test_an_instance_with_one_model_has_no_routes_for_models(instance: Instance):
    for method, path in [("GET", "/models"), ("POST", "/models"), ("GET", "/models/a1")]:
        assert instance.ask(method, path).status == 404


def test_the_log_and_the_metrics_know_requests_for_models(models: Instance):
    models.load("a1")
    target = {"X-Amzn-SageMaker-Target-Model": "team/ner.tar.gz"}
    models.ask("POST", "/models/a1/invoke", b"{}", target)
    models.ask("POST", "/models/zz/invoke", b"{}")
    [good, bad] = models.log
    assert (good["target_model"], good["path"], good["status"]) == (
        "team/ner.tar.gz",
        "/models/a1/invoke",
        200,
    )
    assert (bad["status"], bad["error"]) == (404, "no model `zz` is loaded")
    text = models.ask("GET", "/metrics").body.decode()
    assert 'portside_requests_total{status="200"} 1\n' in text
    assert 'portside_requests_total{status="404"} 1\n' in text
    assert "portside_ready 1\n" in text


# --- Sessions -------------------------------------------------------------------

SESSION = "X-Amzn-SageMaker-Session-Id"


class TestWithSessions:
    @pytest.fixture
    def sessions(self) -> SessionTable:
        ids = itertools.count(1)
        return SessionTable(new_id=lambda: f"id-{next(ids)}")

    async def test_a_handler_finds_its_session_again(self, instance: Instance):
        await instance.serve_one()
        begun = instance.ask(
            "POST", "/invocations", b'{"requestType": "NEW_SESSION"}', {SESSION: "NEW_SESSION"}
        )
        assert begun.status == 200
        assert begun.headers["x-amzn-sagemaker-new-session-id"].startswith("id-1; Expires=")

        turns = [instance.ask("POST", "/invocations", b"{}", {SESSION: "id-1"}) for _ in range(2)]
        assert [answer.json["turn"] for answer in turns] == [1, 2]
        assert instance.ask("POST", "/invocations", b"{}").json == {"model": "only"}

        closed = instance.ask("POST", "/invocations", b'{"requestType":"CLOSE"}', {SESSION: "id-1"})
        assert closed.headers["x-amzn-sagemaker-closed-session-id"] == "id-1"
        gone = instance.ask("POST", "/invocations", b"{}", {SESSION: "id-1"})
        assert (gone.status, gone.json["error"]["code"]) == (400, "InvalidRequest")
        assert [line["session_id"] for line in instance.log if "session_id" in line] == [
            "NEW_SESSION",
            *["id-1"] * 4,
        ]

    def test_models_have_them_too(self, models: Instance):
        models.load("a1")
        body = b'{"requestType": "NEW_SESSION"}'
        models.ask("POST", "/models/a1/invoke", body, {SESSION: "NEW_SESSION"})
        answer = models.ask("POST", "/models/a1/invoke", b"{}", {SESSION: "id-1"})
        assert answer.json == {"model": "a1", "turn": 1}

    def test_there_are_none_before_there_is_a_model(self, instance: Instance):
        body = b'{"requestType": "NEW_SESSION"}'
        refused = instance.ask("POST", "/invocations", body, {SESSION: "NEW_SESSION"})
        assert refused.status == 503


@pytest.mark.parametrize("session_id", ["NEW_SESSION", "id-1"])
async def test_where_sessions_are_off_their_header_is_refused(instance: Instance, session_id: str):
    await instance.serve_one()
    refused = instance.ask("POST", "/invocations", b"{}", {SESSION: session_id})
    assert refused.status == 400
    assert "stateful sessions not enabled" in refused.message
