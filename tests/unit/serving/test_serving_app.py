"""Routes, statuses and logs: the app behind connections without sockets, its handler in threads."""

from __future__ import annotations

import asyncio
import io
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from portside.serving.app import App
from portside.serving.batcher import QueueLimit
from portside.serving.error import FatalError, InvalidBodyError
from portside.serving.invocation import BatchLimit
from portside.serving.log import RequestLog
from tests.unit.serving.server_fakes import NumbersHandler
from tests.unit.serving.wire_fakes import Answer, FakeHost, Peer, request

pytestmark = pytest.mark.timeout(20)

GET_PING = request("/ping", method="GET")


class Instance:
    """An app; `call` lets the event loop run until the caller has its answers."""

    def __init__(self, **options: Any) -> None:
        self.limit = options.pop("limit", QueueLimit())
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.text = io.StringIO()
        self.app = App(limit=self.limit, request_log=RequestLog(self.text), **options)
        self.host = FakeHost(self.app.handle)

    def load(self, handler: NumbersHandler) -> Instance:
        asyncio.run(self.app.attach(handler, call_soon=self.calls.put))
        return self

    def connect(self) -> Peer:
        return Peer(self.host)

    def call(self, sent: bytes, *, peer: Peer | None = None) -> Answer:
        """The answer to one request."""
        peer = peer or self.connect()
        before = len(peer.answers)
        peer.send(sent)
        self.run_until(lambda: len(peer.answers) > before and peer.answers[-1].is_complete)
        return peer.answers[-1]

    def run_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            try:
                self.calls.get(timeout=0.01)()
            except queue.Empty:
                self.app.tick()
            self.host.loop.run()

    @property
    def log(self) -> list[dict[str, Any]]:
        self.app.tick()
        return [json.loads(line) for line in self.text.getvalue().splitlines()]

    @property
    def metrics(self) -> str:
        return self.call(request("/metrics", method="GET")).body.decode()


@pytest.fixture
def start() -> Iterator[Callable[..., Instance]]:
    """`start(handler)` is an instance that has loaded it; its threads are ended."""
    started: list[Instance] = []

    def make(handler: NumbersHandler | None = None, **options: Any) -> Instance:
        started.append(Instance(**options).load(handler or NumbersHandler()))
        return started[-1]

    yield make
    for instance in started:
        assert instance.app._batcher is not None
        instance.app._batcher.close()


Start = Callable[..., Instance]


def error_of(answer: Answer) -> dict[str, str]:
    return json.loads(answer.body)["error"]


class Gate:
    """Holds a handler until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, _: Sequence[int]) -> None:
        self.reached.set()
        assert self._open.wait(15)  # longer than any test waits for anything else

    def open(self) -> None:
        self._open.set()


# --- /ping ----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_ping_is_200_when_loaded(start: Start, method: str):
    answer = start().call(request("/ping", method=method))

    assert (answer.status, answer.body) == (200, b"")


def test_ping_and_invocations_are_503_while_loading():
    instance = Instance()

    assert instance.call(GET_PING).status == 503
    answer = instance.call(request(body=b"1"))
    assert answer.status == 503
    assert error_of(answer) == {"code": "NotReady", "message": "the model is not loaded yet"}


def test_ping_is_503_for_good_after_a_fatal_fault(start: Start):
    def fail(_: Sequence[int]) -> None:
        raise FatalError("the device is gone")

    instance = start(NumbersHandler(before_run=fail))
    assert instance.call(request(body=b"1")).status == 500

    for sent in (GET_PING, request(body=b"1")):
        answer = instance.call(sent)
        assert answer.status == 503
        assert error_of(answer)["message"] == "the instance cannot go on: the device is gone"


def test_ping_answers_while_a_prediction_runs(start: Start):
    gate = Gate()
    instance = start(NumbersHandler(before_run=gate))
    caller = instance.connect().send(request(body=b"1"))
    assert gate.reached.wait(10)

    assert instance.call(GET_PING).status == 200
    assert "portside_in_flight 1" in instance.metrics
    gate.open()
    instance.run_until(lambda: bool(caller.answers))

    assert caller.bodies == [b"-1"]
    assert "portside_in_flight 0" in instance.metrics


# --- /invocations ---------------------------------------------------------------


def test_a_prediction_is_answered_in_the_handlers_words(start: Start):
    handler = NumbersHandler(headers={"X-Amzn-SageMaker-Custom-Attributes": "trace=9"})
    answer = start(handler).call(request(body=b"1 2"))

    assert (answer.status, answer.body) == (200, b"-1 -2")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "trace=9"


def test_the_handler_gets_the_request(start: Start):
    seen: list[Any] = []
    headers = b"Content-Type: text/plain\r\nAccept: a/b\r\nX-One: 1\r\n"
    start(NumbersHandler(before_open=seen.append)).call(request(body=b"1", headers=headers))

    [invocation] = seen
    assert (invocation.content_type, invocation.accept) == ("text/plain", "a/b")
    assert (invocation.body, invocation.headers["x-one"]) == (b"1", "1")


def test_each_request_has_an_id_of_its_own(start: Start):
    seen: list[Any] = []
    instance = start(NumbersHandler(before_open=seen.append))
    for _ in range(3):
        instance.call(request(body=b"1"))

    assert len({invocation.request_id for invocation in seen}) == 3


def test_what_the_handler_refuses_is_told_with_its_status(start: Start):
    def refuse(_: object) -> None:
        raise InvalidBodyError("expected a list")

    answer = start(NumbersHandler(before_open=refuse)).call(request(body=b"1"))

    assert (answer.status, error_of(answer)["message"]) == (400, "expected a list")


def test_a_raise_is_a_500_that_names_the_log_and_keeps_the_text_there(
    start: Start, caplog: pytest.LogCaptureFixture
):
    def fail(_: object) -> None:
        raise ValueError("secret text")

    instance = start(NumbersHandler(before_run=fail))
    answer = instance.call(request(body=b"1"))

    assert answer.status == 500
    assert error_of(answer)["code"] == "PredictionFailed"
    assert instance.log[0]["request_id"] in error_of(answer)["message"]
    assert b"secret" not in answer.body
    assert "ValueError: secret text" in caplog.text


def test_the_next_request_is_answered_after_a_failure(start: Start):
    def fail_at_1(inputs: Sequence[int]) -> None:
        if 1 in inputs:
            raise ValueError

    instance = start(NumbersHandler(before_run=fail_at_1))
    peer = instance.connect()

    assert instance.call(request(body=b"1"), peer=peer).status == 500
    assert instance.call(request(body=b"2"), peer=peer).body == b"-2"


def test_a_full_queue_is_a_429_that_says_when_to_come_back(start: Start):
    gate = Gate()
    instance = start(NumbersHandler(before_run=gate), limit=QueueLimit(requests=1))
    first = instance.connect().send(request(body=b"1"))

    answer = instance.call(request(body=b"2"))
    gate.open()
    instance.run_until(lambda: bool(first.answers))

    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert error_of(answer)["code"] == "Overloaded"
    assert first.statuses == [200]


def test_a_header_that_would_forge_others_is_a_500_and_harms_nobody_else(start: Start):
    handler = NumbersHandler(headers={"X": "a\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK"})
    instance = start(handler)
    peer = instance.connect()
    answer = instance.call(request(body=b"1"), peer=peer)
    handler.headers = {}

    assert answer.status == 500
    assert instance.call(request(body=b"2"), peer=peer).body == b"-2"
    assert instance.log[0]["status"] == 500


# --- Time, and callers that go --------------------------------------------------


def test_an_answer_that_comes_after_its_504_does_not_reach_the_next_request(start: Start):
    gate = Gate()
    handler = NumbersHandler(before_run=gate)
    instance = start(handler, limit=QueueLimit(timeout_s=0.05))
    peer = instance.connect()

    assert instance.call(request(body=b"1"), peer=peer).status == 504
    peer.send(request(body=b"2"))
    gate.open()
    instance.run_until(lambda: len(peer.answers) == 2)

    assert peer.bodies[1] in {b"-2", peer.bodies[0]}  # an answer of its own, if a late one
    assert b"-1" not in peer.transport.written
    assert instance.log[0]["status"] == 504


def test_a_caller_that_hangs_up_frees_its_place_and_is_noted(start: Start):
    gate = Gate()
    instance = start(NumbersHandler(before_run=gate), limit=QueueLimit(requests=1))
    peer = instance.connect().send(request(body=b"12345"))
    assert gate.reached.wait(10)
    peer.transport.lose()

    caller = instance.connect().send(request(body=b"2"))
    gate.open()
    instance.run_until(lambda: bool(caller.answers))

    assert caller.bodies == [b"-2"]
    gone, answered = instance.log
    assert (gone["status"], gone["error"], gone["bytes_in"]) == (499, "the caller hung up", 5)
    assert answered["status"] == 200
    assert 'portside_requests_total{status="499"} 1' in instance.metrics


def test_stopping_answers_503(start: Start):
    gate = Gate()
    instance = start(NumbersHandler(before_run=gate))
    peer = instance.connect().send(request(body=b"1"))
    assert gate.reached.wait(10)

    instance.app.stop()
    gate.open()

    assert peer.statuses == [503]
    assert error_of(peer.answers[0])["code"] == "Stopped"
    assert instance.log[0]["status"] == 503


# --- Streams --------------------------------------------------------------------


def stream_of(*parts: bytes | Exception) -> Callable[[], Iterator[bytes]]:
    def make() -> Iterator[bytes]:
        for part in parts:
            if isinstance(part, Exception):
                raise part
            yield part

    return make


def test_an_iterator_is_streamed_and_the_connection_goes_on(start: Start):
    instance = start(NumbersHandler(stream=stream_of(b"a", b"b")))
    peer = instance.connect()

    for _ in range(2):
        answer = instance.call(request(body=b"1"), peer=peer)
        assert (answer.status, answer.body, answer.is_complete) == (200, b"ab", True)
        assert answer.headers["transfer-encoding"] == "chunked"
    instance.run_until(lambda: len(instance.log) == 2)


def test_chunks_are_sent_while_others_are_made(start: Start):
    gate = Gate()

    def stream() -> Iterator[bytes]:
        yield b"a"
        gate([])
        yield b"b"

    instance = start(NumbersHandler(stream=stream))
    peer = instance.connect().send(request(body=b"1"))
    instance.run_until(lambda: bool(peer.answers) and peer.answers[0].body == b"a")
    assert not peer.answers[0].is_complete
    gate.open()
    instance.run_until(lambda: peer.answers[0].is_complete)

    assert peer.bodies == [b"ab"]


def test_short_streams_of_many_callers_arrive_whole(start: Start):
    instance = start(NumbersHandler(BatchLimit(inputs=4, runs=2), stream=stream_of(b"a")))
    peers = [instance.connect().send(request(body=b"1")) for _ in range(50)]
    instance.run_until(lambda: all(peer.answers and peer.answers[0].is_complete for peer in peers))

    assert {peer.bodies[0] for peer in peers} == {b"a"}


def test_an_error_before_the_first_chunk_has_its_status(start: Start):
    answer = start(NumbersHandler(stream=stream_of(ValueError("x")))).call(request(body=b"1"))

    assert answer.status == 500


def test_an_error_after_the_first_chunk_breaks_the_answer_off_and_is_noted(start: Start):
    instance = start(NumbersHandler(stream=stream_of(b"a", ValueError("x"))))
    peer = instance.connect().send(request(body=b"1"))
    instance.run_until(lambda: peer.transport.is_closed)
    instance.run_until(lambda: bool(instance.log))

    assert [(a.body, a.is_complete) for a in peer.answers] == [(b"a", False)]
    [line] = instance.log
    assert line["error"].startswith("ValueError in the handler")


def test_a_stream_that_hangs_is_broken_off_at_its_end(start: Start):
    gate = Gate()

    def stream() -> Iterator[bytes]:
        yield b"a"
        gate([])

    limit = QueueLimit(stream_timeout_s=0.05)
    instance = start(NumbersHandler(stream=stream), limit=limit)
    peer = instance.connect().send(request(body=b"1"))
    instance.run_until(lambda: peer.transport.is_closed)
    gate.open()

    assert [(a.body, a.is_complete) for a in peer.answers] == [(b"a", False)]
    assert instance.log[0]["error"] == "the answer did not end within 0.05 s"
    assert "portside_in_flight 0" in instance.metrics


# --- Other routes ---------------------------------------------------------------


def test_batch_transform_is_told_what_it_may_send(start: Start):
    answer = start().call(request("/execution-parameters", method="GET"))

    assert json.loads(answer.body) == {
        "MaxConcurrentTransforms": 16,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 6,
    }


def test_batch_transform_may_not_send_more_than_is_taken(start: Start):
    instance = start(max_body_bytes=2 * 2**20)
    answer = instance.call(request("/execution-parameters", method="GET"))

    assert json.loads(answer.body)["MaxPayloadInMB"] == 2


def test_requests_are_counted(start: Start):
    instance = start()
    for body in (b"1", b"2 3", b"x"):
        instance.call(request(body=body))

    metrics = instance.metrics
    assert 'portside_requests_total{status="200"} 2' in metrics
    assert 'portside_requests_total{status="500"} 1' in metrics
    assert "portside_request_tokens_sum 6" in metrics
    assert "portside_ready 1" in metrics


def test_metrics_say_that_an_instance_still_loads():
    assert "portside_ready 0" in Instance().metrics


def test_a_document_says_what_can_be_sent(start: Start):
    answer = start().call(request("/openapi.json", method="GET"))

    assert "/invocations" in json.loads(answer.body)["paths"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/invocations", "POST"),
        ("DELETE", "/ping", "GET, POST"),
        ("POST", "/metrics", "GET"),
    ],
)
def test_the_wrong_method_is_a_405(start: Start, method: str, path: str, allow: str):
    answer = start().call(request(path, method=method))

    assert (answer.status, answer.headers["allow"]) == (405, allow)


@pytest.mark.parametrize("path", ["/invocations/", "/", "/nowhere"])
def test_an_unknown_path_is_a_404(start: Start, path: str):
    answer = start().call(request(path))

    assert answer.status == 404
    assert f"`{path}`" in error_of(answer)["message"]


# --- The log --------------------------------------------------------------------


def test_a_request_is_one_line_with_its_stages_and_what_sagemaker_passes_along(start: Start):
    headers = (
        b"X-Amzn-SageMaker-Inference-Id: inference-7\r\n"
        b"X-Amzn-SageMaker-Custom-Attributes: trace=9\r\n"
        b"X-Amzn-Trace-Id: Root=1\r\n"
    )
    instance = start(NumbersHandler(BatchLimit(inputs=4)))
    instance.call(request(body=b"3 4", headers=headers))

    [line] = instance.log
    stages = {name: line.pop(name) for name in list(line) if name.endswith("_ms")}
    assert set(stages) == {"decode_ms", "queue_ms", "predict_ms", "encode_ms"}
    assert line.pop("ms") >= sum(stages.values()) - 0.01
    assert line.pop("time").endswith("Z")
    assert line.pop("request_id")
    assert line == {
        "level": "INFO",
        "logger": "portside.serving.request",
        "message": "request",
        "inference_id": "inference-7",
        "custom_attributes": "trace=9",
        "trace_id": "Root=1",
        "path": "/invocations",
        "status": 200,
        "bytes_in": 3,
        "bytes_out": 5,
        "batch_size": 2,
        "tokens": 7,
    }


def test_pings_are_not_logged_and_errors_carry_their_reason(start: Start):
    def refuse(_: object) -> None:
        raise InvalidBodyError("expected `\ud800`")

    instance = start(NumbersHandler(before_open=refuse))
    instance.call(GET_PING)
    instance.call(request(body=b"1"))

    [line] = instance.log
    assert (line["status"], line["error"]) == (400, "expected `?`")
