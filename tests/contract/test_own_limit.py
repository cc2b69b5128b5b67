"""Deadlines, overload, callers that vanish: what one request may cost the others."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.conftest import Start
from tests.contract.instance import eventually, json_request, write_program
from tests.contract.wire import Wire

GATED = """
import pathlib, time
def load_model(model_dir):
    return pathlib.Path(model_dir)
def predict(name, folder):
    (folder / f"started-{name}").touch()
    while not (folder / f"go-{name}").exists() and not (folder / "go").exists():
        time.sleep(0.01)
    return name
"""
"""A prediction lasts until its file, or the file for all, is there."""

BATCHED = """
def predict_batch(batch, model):
    return [1 / number for number in batch]
"""


@pytest.mark.must
def test_a_prediction_over_its_deadline_is_504_and_the_instance_goes_on(
    tmp_path: Path, start: Start
):
    target = start(write_program(tmp_path, GATED), PORTSIDE_TIMEOUT_S="0.5").until_ready()

    started = time.monotonic()
    answer = target.invoke(b'"hung"')
    took_s = time.monotonic() - started

    assert answer.status == 504
    assert 0.5 <= took_s < 2
    assert target.ping().status == 200
    (tmp_path / "go-next").touch()

    def answers() -> bool:
        return target.invoke(b'"next"').status == 200

    assert eventually(answers)


@pytest.mark.must
def test_ping_is_503_once_too_many_predictions_hang(tmp_path: Path, start: Start):
    """Each holds a thread; an instance that cannot recover asks to be replaced."""
    code = "import time\ndef predict(data, model): time.sleep(20)\n"
    target = start(write_program(tmp_path, code), PORTSIDE_TIMEOUT_S="0.1").until_ready()

    def is_given_up() -> bool:
        target.invoke(b"1")
        return target.ping().status == 503

    assert eventually(is_given_up)


@pytest.mark.must
def test_what_finds_no_room_is_429_at_once_and_the_others_are_answered(
    tmp_path: Path, start: Start
):
    instance = start(write_program(tmp_path, GATED), PORTSIDE_MAX_QUEUE_SIZE="4")
    target = instance.until_ready()
    with ExitStack() as stack:
        wires = [stack.enter_context(target.connect()) for _ in range(4)]
        for name, wire in enumerate(wires):
            wire.send(json_request(name))
        eventually((tmp_path / "started-0").exists)
        eventually(lambda: "portside_in_flight 4" in target.ask("GET", "/metrics").text)

        refused = [target.invoke(b'"late"') for _ in range(3)]
        pinged = target.ping()
        (tmp_path / "go").touch()
        answered = [wire.read_answer("POST") for wire in wires]

    assert [answer.status for answer in refused] == [429] * 3
    assert max(answer.seconds for answer in refused) < 1
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert pinged.status == 200
    assert [answer.status for answer in answered] == [200] * 4
    assert not (tmp_path / "started-late").exists()


@pytest.mark.must
def test_a_caller_that_hangs_up_frees_its_place(tmp_path: Path, start: Start):
    instance = start(write_program(tmp_path, GATED), PORTSIDE_MAX_QUEUE_SIZE="2")
    target = instance.until_ready()
    with target.connect() as running:
        running.send(json_request("running"))
        eventually((tmp_path / "started-running").exists)
        with target.connect() as vanishing:
            vanishing.send(json_request("vanished"))
            eventually(lambda: target.invoke(b'"refused"').status == 429)

        with target.connect() as next_one:
            eventually(lambda: takes(next_one, "next", target.ask("GET", "/metrics").text))
            (tmp_path / "go").touch()
            assert next_one.read_answer("POST").body == b'"next"'
            assert running.read_answer("POST").body == b'"running"'

    assert not (tmp_path / "started-vanished").exists()


def takes(wire: Wire, name: str, metrics: str) -> bool:
    """Sends a request as soon as there is room for it."""
    if "portside_in_flight 1\n" not in metrics:
        return False
    wire.send(json_request(name))
    return True


@pytest.mark.should
def test_an_input_that_fails_leaves_its_batch_unharmed(tmp_path: Path, start: Start):
    target = start(write_program(tmp_path, BATCHED)).until_ready()
    numbers = [1, 2, 0, 4] * 8
    with ExitStack() as stack:
        wires = [stack.enter_context(target.connect()) for _ in numbers]
        for wire, number in zip(wires, numbers, strict=True):
            wire.send(json_request(number))
        answers = [wire.read_answer("POST") for wire in wires]

    assert [answer.status for answer in answers] == [200, 200, 500, 200] * 8
    assert [answer.body for answer in answers[:2]] == [b"1.0", b"0.5"]
