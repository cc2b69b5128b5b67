"""`load_model` and `predict`: what they are given, and what is made of what they return."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from portside.errors import PortsideError
from portside.serving.error import (
    InvalidBodyError,
    NotAcceptableError,
    PredictionFailedError,
    RequestError,
    UnsupportedMediaTypeError,
)
from portside.serving.handlers.loop import Loop
from portside.serving.invocation import Invocation

if TYPE_CHECKING:
    from collections.abc import Callable

    Load = Callable[..., Any]


ECHO = "def predict(data): return data"


# --- What `predict` is given ------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "data"),
    [
        ('{"strings": ["a", "b"]}', ["a", "b"]),
        ('{"strings": ["a"], "other": 1}', ["a"]),
        ('{"inputs": "a"}', {"inputs": "a"}),
        ("[1, 2]", [1, 2]),
        ("null", None),
        ('"text"', "text"),
    ],
)
def test_the_list_of_strings_or_the_value_as_it_is(load: Load, body: str, data: object):
    assert load(ECHO).ask(body).json == data


@pytest.mark.parametrize(
    ("signature", "given"),
    [
        ("data", 1),
        ("data, model", 2),
        ("data, model, context", 3),
        ("data, model, anything", 3),
        ("data, model, context=None", 3),
        ("data, model, threshold=None", 2),
        ("data, model=None", 2),
        ("*arguments", 2),
        ("data, model, *, top_k=3", 2),
    ],
)
def test_predict_is_given_as_many_as_it_takes(load: Load, signature: str, given: int):
    caller = load(f"""
def load_model(model_dir): return "the model"
def predict({signature}):
    found = locals()
    values = found.get("arguments") or [v for k, v in found.items() if k != "top_k"]
    return [type(value).__name__ for value in values if value is not None]
""")

    assert caller.ask("1").json == ["int", "str", "Context"][:given]


@pytest.mark.parametrize("signature", ["", "data, model, context, more"])
def test_a_signature_that_does_not_fit_is_found_at_load(load: Load, signature: str):
    with pytest.raises(PortsideError, match=r"`predict` in .* takes `\(.*\)` and is called with"):
        load(f"def predict({signature}): ...")


def test_the_context_knows_the_request_and_sets_headers(load: Load):
    caller = load("""
def predict(data, model, context):
    context.response_headers["X-Amzn-SageMaker-Custom-Attributes"] = "made=1"
    return [context.request_id, context.headers["X-Key"], context.custom_attributes,
            context.content_type, context.accept]
""")

    reply = caller.ask(
        "1",
        content_type="application/json",
        accept="*/*",
        headers={"x-key": "v", "x-amzn-sagemaker-custom-attributes": "asked=1"},
    )

    assert reply.json == ["request-1", "v", "asked=1", "application/json", "*/*"]
    assert reply.headers == {"X-Amzn-SageMaker-Custom-Attributes": "made=1"}


@pytest.mark.parametrize(
    ("result", "body"),
    [("'<p>'", b"<p>"), ("b'<p>'", b"<p>"), ("('<p>', 'text/x')", b"<p>")],
)
def test_the_context_sets_the_content_type(load: Load, result: str, body: bytes):
    reply = load(f"""
def predict(data, model, context):
    context.response_headers["Content-Type"] = "text/html"
    return {result}
""").ask("1", accept="application/json")

    assert reply.body == body
    assert reply.content_type == ("text/x" if "text/x" in result else "text/html")
    assert reply.headers == {}


def test_wrong_bodies_are_refused_before_they_are_run(load: Load):
    caller = load("def predict(data): raise RuntimeError")

    with pytest.raises(InvalidBodyError):
        caller.handler.open(Invocation(body=b"{"))
    with pytest.raises(UnsupportedMediaTypeError):
        caller.handler.open(Invocation(body=b"{", content_type="application/x-unknown"))


# --- What is made of its result ----------------------------------------------------


@pytest.mark.parametrize(
    ("result", "accept", "body", "content_type"),
    [
        ("[1, 2]", None, b"[1,2]", "application/json"),
        ("'text'", None, b'"text"', "application/json"),
        ("'text'", "text/plain", b"text", "text/plain"),
        ("[[1, 2]]", "text/csv, application/json;q=0.5", b"1,2\n", "text/csv"),
        ("b'raw'", None, b"raw", "application/octet-stream"),
        ("b'raw'", "image/png", b"raw", "image/png"),
        ("('<p>', 'text/html')", "application/json", b"<p>", "text/html"),
        ("(b'raw', 'image/png')", None, b"raw", "image/png"),
        ("('PER', 'LOC')", None, b'["PER","LOC"]', "application/json"),
        ("['<p>', 'text/html']", None, b'["<p>","text/html"]', "application/json"),
    ],
)
def test_results(load: Load, result: str, accept: str | None, body: bytes, content_type: str):
    reply = load(f"def predict(data): return {result}").ask("1", accept=accept)

    assert (reply.body.replace(b"\r\n", b"\n"), reply.content_type) == (body, content_type)


def test_the_default_type_can_be_set(load: Load):
    caller = load(ECHO, default_accept="text/csv")

    assert caller.ask("[[1, 2]]").content_type == "text/csv"
    assert caller.ask("[[1, 2]]", accept="application/json").content_type == "application/json"


def test_an_accept_that_leaves_out_everything_is_406(load: Load):
    with pytest.raises(NotAcceptableError):
        load(ECHO).ask("1", accept="audio/ogg")


# --- Errors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        ("Toolkit(422, 'no such label', 'phrase')", 422, "no such label"),
        ("Server('try later', 503)", 503, "try later"),
        ("InvalidBodyError('not this')", 400, "not this"),
    ],
)
def test_errors_with_a_status_keep_it(load: Load, error: str, status: int, message: str):
    caller = load(f"""
from portside.serving.error import InvalidBodyError
class Toolkit(Exception):
    def __init__(self, status_code, message, phrase):
        self.status_code, self.message, self.phrase = status_code, message, phrase
class Server(Exception):
    def __init__(self, message, error_code): self.message, self.error_code = message, error_code
def predict(data): raise {error}
""")

    with pytest.raises(RequestError) as caught:
        caller.ask("1")

    assert (caught.value.status, caught.value.message) == (status, message)


@pytest.mark.parametrize("status", [200, 302, 600, "'400'", None])
def test_a_status_that_is_no_error_is_a_fault(load: Load, status: object):
    caller = load(f"""
class Odd(Exception):
    status_code, message = {status}, "text"
def predict(data): raise Odd
""")

    with pytest.raises(Exception) as caught:  # noqa: PT011 - of a class that the user's file defines
        caller.ask("1")

    assert type(caught.value).__name__ == "Odd"


# --- Streams -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "accept", "chunks", "content_type"),
    [
        ("'a', 'é'", None, [b"a", "é".encode()], "text/plain; charset=utf-8"),
        ("b'a', b'b'", None, [b"a", b"b"], "application/octet-stream"),
        ("'data: 1\\n\\n',", "text/event-stream", [b"data: 1\n\n"], "text/event-stream"),
        ("{'a': 1}, [2]", None, [b'{"a":1}\n', b"[2]\n"], "application/jsonlines"),
        ("1, None", "application/json", [b"1\n", b"null\n"], "application/jsonlines"),
        ("1,", "application/x-ndjson", [b"1\n"], "application/x-ndjson"),
        ("", None, [b""], "text/plain; charset=utf-8"),
    ],
)
def test_generators_are_streamed(
    load: Load, values: str, accept: str | None, chunks: list[bytes], content_type: str
):
    reply = load(f"def predict(data): yield from [{values}]").ask("1", accept=accept)

    assert (reply.chunks, reply.content_type) == (chunks, content_type)


def test_a_chunk_is_not_held_back(load: Load):
    caller = load("""
def predict(data):
    yield "first"
    raise ValueError("after the first")
""")
    job = caller.handler.open(Invocation(body=b"1"))
    chunks = job.finish(caller.handler.run(job.inputs)).body

    assert next(chunks) == b"first"  # type: ignore[arg-type]  # an iterator
    with pytest.raises(ValueError, match="after the first"):
        next(chunks)  # type: ignore[arg-type]  # likewise


def test_an_error_before_the_first_chunk_keeps_its_status(load: Load):
    caller = load("""
from portside.serving.error import InvalidBodyError
def predict(data):
    raise InvalidBodyError("not this")
    yield
""")

    with pytest.raises(InvalidBodyError, match="not this"):
        caller.ask("1")


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_caller_who_hangs_up_ends_the_generator(load: Load, keyword: str):
    caller = load(f"""
ended = []
def load_model(model_dir): return ended
{keyword} predict(data, model):
    try:
        while True:
            yield "more"
    finally:
        model.append("ended")
def ended_so_far(): return ended
""")
    job = caller.handler.open(Invocation(body=b"1"))
    chunks = job.finish(caller.handler.run(job.inputs)).body
    next(chunks)  # type: ignore[arg-type]  # an iterator

    chunks.close()  # type: ignore[union-attr]  # a generator

    import sys

    assert sys.modules["inference"].ended == ["ended"]


# --- Batches -----------------------------------------------------------------------

BATCH = """
def load_model(model_dir): return 10
def predict_batch(batch, model): return [data * model for data in batch]
"""


def test_predict_batch_takes_the_data_of_several_requests(load: Load):
    handler = load(BATCH).handler
    jobs = [handler.open(Invocation(body=body)) for body in (b"1", b"2", b'{"strings": [3]}')]

    results = handler.run([value for job in jobs for value in job.inputs])

    assert handler.batch_limit.inputs > 1
    assert results == [10, 20, [3] * 10]


def test_predict_batch_answers_alone_too(load: Load):
    assert load(BATCH + "\ndef predict(data, model): raise RuntimeError").ask("4").json == 40


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("[1]", "`predict_batch` returned 1 results for 2 requests"),
        ("{1: 2, 3: 4}", "`predict_batch` returned `dict`"),
        ("'ab'", "`predict_batch` returned `str`"),
        ("None", "`predict_batch` returned `NoneType`"),
    ],
)
def test_predict_batch_has_to_return_as_many(load: Load, result: str, message: str):
    handler = load(f"def predict_batch(batch, model): return {result}").handler

    with pytest.raises(PredictionFailedError, match=message):
        handler.run([(1, None), (2, None)])


def test_a_batch_may_be_an_array(load: Load):
    handler = load(
        "import numpy\ndef predict_batch(batch, model): return numpy.array(batch)"
    ).handler

    assert list(handler.run([(1, None), (2, None)])) == [1, 2]


def test_without_batches_requests_run_one_by_one(load: Load):
    limit = load(ECHO, threads=3).handler.batch_limit

    assert (limit.inputs, limit.runs) == (1, 3)


# --- Asynchronous functions ----------------------------------------------------------


def test_coroutines_share_one_event_loop(load: Load):
    caller = load("""
import asyncio
async def load_model(model_dir): return asyncio.get_running_loop()
async def predict(data, loop):
    await asyncio.sleep(0)
    return data if loop is asyncio.get_running_loop() else "another loop"
""")

    assert [caller.ask(str(number)).json for number in range(3)] == [0, 1, 2]


def test_asynchronous_generators_are_streamed(load: Load):
    reply = load("async def predict(data):\n  yield 'a'\n  yield 'b'").ask("1")

    assert reply.chunks == [b"a", b"b"]


def test_the_loop_ends_with_the_handler(load: Load):
    caller = load("async def predict(data): return data")
    caller.ask("1")
    assert "async" in [thread.name for thread in threading.enumerate()]

    caller.handler.close()

    assert "async" not in [thread.name for thread in threading.enumerate()]


def test_functions_that_are_not_asynchronous_start_no_thread(load: Load):
    load(ECHO).ask("1")

    assert "async" not in [thread.name for thread in threading.enumerate()]


def test_a_thread_that_gives_up_cancels_its_coroutine():
    class GaveUp(BaseException):
        pass

    loop, started, ended = Loop(), threading.Event(), threading.Event()

    async def hang() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    def work() -> None:
        with pytest.raises(GaveUp):
            loop.settle(hang())

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(10)
    # As the batcher leaves a thread behind.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(GaveUp)
    )
    thread.join(10)

    assert ended.wait(10)
    loop.close()


def test_metrics_of_a_handler_go_to_the_log(load: Load, caplog: pytest.LogCaptureFixture):
    caller = load("""
def model_fn(model_dir): return None
def transform_fn(model, data, content_type, accept, context):
    context.metrics.add_time("tokenize", 12.5)
    return "{}"
""")

    with caplog.at_level(logging.INFO):
        caller.ask("1")

    assert caplog.records[-1].fields == {"metric": "tokenize", "value": 12.5, "unit": "ms"}
