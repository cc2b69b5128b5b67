"""Routes, statuses and logs, through the ASGI interface."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from portside.serving.app import App
from portside.serving.error import InvalidBodyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    Serve = Callable[..., Any]
    Connect = Callable[[App], Any]

JSON = {"Content-Type": "application/json"}


def echo(body: object) -> object:
    return body


# --- /ping ----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_ping_is_200_when_loaded(serve: Serve, method: str):
    answer = await serve(echo).request(method, "/ping")

    assert (answer.status, answer.body) == (200, b"")


async def test_ping_and_invocations_are_503_while_loading(
    connect: Connect, executor: ThreadPoolExecutor
):
    client = connect(App(Future(), executor))

    ping, invocation = await client.get("/ping"), await client.post(b"{}")

    assert (ping.status, invocation.status) == (503, 503)
    assert invocation.json["error"] == {
        "code": "NotReady",
        "message": "the model is not loaded yet",
    }


async def test_ping_is_503_when_loading_failed(connect: Connect, executor: ThreadPoolExecutor):
    loading: Future[Any] = Future()
    loading.set_exception(RuntimeError("broken weights"))

    answer = await connect(App(loading, executor)).get("/ping")

    assert answer.status == 503
    assert "broken weights" not in answer.message


async def test_ping_answers_while_a_prediction_runs(serve: Serve):
    running, finish = threading.Event(), threading.Event()

    def slow(_: object) -> str:
        running.set()
        assert finish.wait(10)
        return "done"

    client = serve(slow)
    prediction = asyncio.create_task(client.post(b"{}", headers=JSON))
    assert await asyncio.to_thread(running.wait, 10)

    ping = await client.get("/ping")
    waiting = client.app.unfinished
    finish.set()
    answer = await prediction

    assert ping.status == 200
    assert waiting == 1
    assert answer.json == "done"
    assert client.app.unfinished == 0


async def test_a_prediction_that_the_stop_cuts_off_is_a_503(serve: Serve):
    running, finish = threading.Event(), threading.Event()

    def slow(_: object) -> None:
        running.set()
        finish.wait(10)

    prediction = asyncio.create_task(serve(slow).post(b"{}", headers=JSON))
    assert await asyncio.to_thread(running.wait, 10)
    prediction.cancel()
    answer = await prediction
    finish.set()

    assert (answer.status, answer.json["error"]["code"]) == (503, "Stopped")


# --- /invocations ---------------------------------------------------------------


async def test_the_handler_gets_the_value_and_its_result_comes_back(serve: Serve):
    answer = await serve(lambda body: {"got": body}).post(b'{"a": [1, "\xc3\xa9"]}', headers=JSON)

    assert answer.status == 200
    assert answer.json == {"got": {"a": [1, "é"]}}
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)


async def test_a_body_may_come_in_pieces_and_without_a_content_type(serve: Serve):
    answer = await serve(echo).request("POST", "/invocations", chunks=[b"[1,", b" 2", b"]"])

    assert (answer.status, answer.json) == (200, [1, 2])


@pytest.mark.parametrize(
    ("body", "part"),
    [(b"", "empty"), (b"{", "not JSON"), (b"NaN", "not JSON"), (b'"\xff"', "not JSON")],
)
async def test_what_is_not_json_is_a_400(serve: Serve, body: bytes, part: str):
    answer = await serve(echo).post(body, headers=JSON)

    assert answer.status == 400
    assert answer.json["error"]["code"] == "InvalidBody"
    assert part in answer.message


async def test_what_the_task_refuses_is_a_400_with_its_reason(serve: Serve):
    def refuse(_: object) -> None:
        raise InvalidBodyError("expected a list")

    answer = await serve(refuse).post(b"{}", headers=JSON)

    assert (answer.status, answer.message) == (400, "expected a list")


async def test_another_content_type_is_a_415(serve: Serve):
    answer = await serve(echo).post(b"a,b", headers={"Content-Type": "text/csv"})

    assert answer.status == 415
    assert answer.message == "cannot read `text/csv`; send JSON as `application/json`"


async def test_an_accept_without_json_is_a_406(serve: Serve):
    answer = await serve(echo).post(b"1", headers=JSON | {"Accept": "text/csv"})

    assert answer.status == 406


async def test_a_body_over_the_limit_is_a_413_announced_or_not(serve: Serve):
    client = serve(echo, max_body_bytes=4)

    fits = await client.post(b"1234", headers=JSON)
    announced = await client.exchange(
        "POST", "/invocations", messages=[], headers={"Content-Length": "5"}
    )
    chunked = await client.request("POST", "/invocations", chunks=[b"123", b"45"])

    assert fits.status == 200
    assert announced[0]["status"] == 413
    assert chunked.status == 413
    assert "4 bytes" in chunked.message


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/invocations", "POST"), ("DELETE", "/ping", "GET, POST")],
)
async def test_the_wrong_method_is_a_405(serve: Serve, method: str, path: str, allow: str):
    answer = await serve(echo).request(method, path)

    assert (answer.status, answer.headers["allow"]) == (405, allow)


async def test_an_unknown_path_is_a_404(serve: Serve):
    answer = await serve(echo).get("/invocations/")

    assert answer.status == 404
    assert "`/invocations/`" in answer.message


async def test_no_answer_for_a_caller_who_hung_up(serve: Serve):
    messages = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    sent = await serve(echo).exchange("POST", "/invocations", messages=messages)

    assert sent == []


# --- A handler that fails -------------------------------------------------------


@pytest.mark.parametrize("failure", [ValueError("secret text"), SystemExit(3)])
async def test_a_raise_is_a_500_that_names_the_log_and_keeps_the_text_there(
    serve: Serve, failure: BaseException, caplog: pytest.LogCaptureFixture
):
    def fail(_: object) -> None:
        raise failure

    answer = await serve(fail).post(b"{}", headers=JSON)

    name = type(failure).__name__
    assert answer.status == 500
    assert answer.json["error"] == {
        "code": "PredictionFailed",
        "message": f"{name} in `predict`; see the log, request id `request-1`",
    }
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.exc_info
    assert record.exc_info[1] is failure


async def test_a_result_that_json_cannot_hold_is_a_500(serve: Serve):
    answer = await serve(lambda _: {"score": float("nan")}).post(b"{}", headers=JSON)

    assert answer.status == 500
    assert "`result['score']` is NaN or infinite" in answer.message


async def test_the_next_request_is_answered_after_a_failure(serve: Serve):
    client = serve(lambda body: 1 / body)

    failed, answered = await client.post(b"0"), await client.post(b"2")

    assert (failed.status, answered.status) == (500, 200)


# --- The log --------------------------------------------------------------------


async def test_a_request_is_one_line_with_what_sagemaker_passes_along(
    serve: Serve, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    ticks = iter([10.0, 10.25])
    headers = JSON | {
        "X-Amzn-SageMaker-Inference-Id": "inference-7",
        "X-Amzn-SageMaker-Custom-Attributes": "trace=9",
    }

    await serve(echo, clock=lambda: next(ticks)).post(b"[1]", headers=headers)

    [record] = caplog.records
    assert record.getMessage() == "request"
    assert record.__dict__["fields"] == {
        "method": "POST",
        "path": "/invocations",
        "status": 200,
        "ms": 250.0,
        "bytes_in": 3,
        "bytes_out": 3,
        "inference_id": "inference-7",
        "custom_attributes": "trace=9",
    }


async def test_pings_are_not_logged_and_errors_carry_their_reason(
    serve: Serve, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    client = serve(echo)

    await client.get("/ping")
    await client.post(b"")

    [record] = caplog.records
    assert record.__dict__["fields"]["error"] == "the body is empty; send JSON"


async def test_the_handler_runs_in_one_other_thread(serve: Serve):
    client = serve(lambda _: threading.get_ident())

    answers = await asyncio.gather(*(client.post(b"1") for _ in range(5)))

    [thread] = {answer.json for answer in answers}
    assert thread != threading.get_ident()
