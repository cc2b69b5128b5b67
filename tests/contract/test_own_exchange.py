"""What passes both ways besides the prediction: attributes, ids, large bodies, types, errors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from tests.contract.conftest import Note, Start
from tests.contract.instance import eventually, write_program
from tests.contract.load import load, probe

ECHO = "def predict(data, model): return data\n"

WITH_CONTEXT = """
def predict(data, model, context):
    sent = context.custom_attributes
    context.response_headers["X-Amzn-SageMaker-Custom-Attributes"] = f"seen {sent}"
    return data
"""

FAILING = """
def predict(data, model):
    if data == "exit":
        raise SystemExit(3)
    if data == "deep":
        return predict(data, model)
    if data == "header":
        return "x", "text/plain\\r\\nSet-Cookie: a=b"
    if data == "unwritable":
        return object()
    secret = "s3cret"
    raise RuntimeError("it broke")
"""

MEGABYTE = 2**20


@pytest.mark.must
def test_custom_attributes_go_in_and_out(tmp_path: Path, start: Start):
    target = start(write_program(tmp_path, WITH_CONTEXT)).until_ready()

    answer = target.invoke(b"1", X_Amzn_SageMaker_Custom_Attributes="trace=42")

    assert answer.headers["x-amzn-sagemaker-custom-attributes"] == "seen trace=42"


@pytest.mark.must
def test_custom_attributes_are_not_sent_back_unasked(tmp_path: Path, start: Start):
    """SageMaker gives its caller what the container sets, and an echo would pass for that."""
    target = start(write_program(tmp_path, ECHO)).until_ready()

    answer = target.invoke(b"1", X_Amzn_SageMaker_Custom_Attributes="trace=42")

    assert "x-amzn-sagemaker-custom-attributes" not in answer.headers


@pytest.mark.should
def test_ids_of_the_caller_are_in_the_log(tmp_path: Path, start: Start):
    instance = start(write_program(tmp_path, ECHO))
    target = instance.until_ready()

    target.invoke(b"1", X_Amzn_SageMaker_Inference_Id="my-id", X_Amzn_Trace_Id="Root=1-2-3")

    line = eventually(lambda: instance.record("request"))
    assert (line["inference_id"], line["trace_id"]) == ("my-id", "Root=1-2-3")
    assert line["status"] == 200


@pytest.mark.should
@pytest.mark.parametrize("case", ["raise", "exit", "deep", "unwritable", "header"])
def test_a_fault_of_the_handler_is_500_and_tells_nothing_of_it(
    tmp_path: Path, start: Start, case: str
):
    instance = start(write_program(tmp_path, FAILING))
    target = instance.until_ready()

    answer = target.invoke(f'"{case}"'.encode())

    assert answer.status == 500
    assert "set-cookie" not in answer.headers
    assert not any(word in answer.text for word in ("s3cret", "it broke", "Traceback", ".py"))
    assert target.ping().status == 200


@pytest.mark.should
def test_a_large_json_goes_through_and_ping_stays_quick(tmp_path: Path, start: Start, note: Note):
    target = start(write_program(tmp_path, ECHO)).until_ready()
    large = b"[" + b"0.12345678," * (6 * MEGABYTE // 11) + b"1]"

    with load(target, callers=2, body=large) as seen:
        pings = probe(target.ping, times=40)
        eventually(lambda: seen.answers)

    note(f"slowest ping beside 6 MB of JSON: {1000 * max(p.seconds for p in pings):.1f} ms")
    assert seen.statuses == {200}
    assert not seen.errors
    assert {len(answer.body) for answer in seen.answers} == {len(large)}
    assert {answer.status for answer in pings} == {200}
    assert max(answer.seconds for answer in pings) < 2


@pytest.mark.should
def test_a_large_array_goes_through_and_ping_stays_quick(tmp_path: Path, start: Start, note: Note):
    target = start(
        write_program(tmp_path, "def predict(data, model): return 2 * data\n")
    ).until_ready()
    array = np.arange(5 * MEGABYTE, dtype=np.float32).reshape(-1, 1024)
    file = io.BytesIO()
    np.save(file, array)
    npy = "application/x-npy"

    answer = target.invoke(file.getvalue(), Content_Type=npy, Accept=npy)
    with load(target, callers=2, body=file.getvalue()) as seen:
        pings = probe(target.ping, times=40)

    note(f"slowest ping beside 20 MB of bytes: {1000 * max(p.seconds for p in pings):.1f} ms")
    assert (answer.status, answer.content_type) == (200, npy)
    assert np.array_equal(np.load(io.BytesIO(answer.body)), 2 * array)
    assert not seen.errors
    assert {answer.status for answer in pings} == {200}
    assert max(answer.seconds for answer in pings) < 2
