"""The process of an instance: how it is started, told where to listen, and told to stop."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.contract.conftest import Start
from tests.contract.instance import Instance, eventually, json_request, write_program
from tests.contract.wire import PATIENCE_S, Answer, Wire, WireError, request_bytes

ECHO = "def predict(data, model): return data\n"

GATED = """
import pathlib, time
def load_model(model_dir):
    return pathlib.Path(model_dir)
def predict(data, folder):
    (folder / f"started-{data}").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return data
"""
"""Predictions that last until the file `go` is there."""

STOP_GRACE_S = 30
"""From SIGTERM to SIGKILL. Developer Guide, your-algorithms-inference-code."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


# --- Start ----------------------------------------------------------------------


@pytest.mark.must
@pytest.mark.parametrize("arguments", [("serve",), ()], ids=["serve", "no-argument"])
def test_it_starts_as_the_platform_starts_it(
    tmp_path: Path, start: Start, arguments: tuple[str, ...]
):
    port = free_port()
    variables = {"SAGEMAKER_BIND_TO_PORT": str(port), "SOME_VARIABLE": "of the user's"}
    program = write_program(tmp_path, ECHO)

    instance = start(program, arguments=arguments, **variables)

    assert instance.until_ready().address[1] == port
    assert ip_address(instance.listening["host"]).is_unspecified


@pytest.mark.must
def test_connections_are_taken_and_ping_is_503_while_the_model_loads(tmp_path: Path, start: Start):
    code = "import pathlib, time\ndef load_model(d):\n    while True: time.sleep(1)\n" + ECHO
    instance = start(write_program(tmp_path, code))

    with instance.target.connect() as wire:
        assert wire.connect_s < 0.25
        assert wire.ask("GET", "/ping").status == 503
        wire.send(json_request("early"))
        assert wire.read_answer("POST").status == 503
    assert instance.target.ask("GET", "/execution-parameters").status == 200
    assert instance.stop() == 0


@pytest.mark.must
def test_a_model_that_cannot_be_loaded_ends_the_process(tmp_path: Path, start: Start):
    instance = start(
        write_program(tmp_path, "def load_model(d): raise OSError('no weights')\n" + ECHO)
    )

    assert instance.process.wait(PATIENCE_S) == 1
    assert "no weights" in instance.records[-1]["message"]


@pytest.mark.should
def test_batch_transform_is_told_the_payload_that_is_taken(tmp_path: Path, start: Start):
    instance = start(write_program(tmp_path, ECHO), SAGEMAKER_MAX_PAYLOAD_IN_MB="1")
    target = instance.until_ready()

    parameters = json.loads(target.ask("GET", "/execution-parameters").body)

    assert parameters["MaxPayloadInMB"] == 1
    assert target.invoke(b'"' + b"a" * (2**20 - 2) + b'"').status == 200
    assert target.invoke(b'"' + b"a" * 2**20 + b'"').status == 413


# --- Stop -----------------------------------------------------------------------


@pytest.mark.must
def test_what_is_in_flight_is_answered_after_sigterm(tmp_path: Path, start: Start):
    instance = start(write_program(tmp_path, GATED))
    target = instance.until_ready()
    with target.connect() as running, target.connect() as waiting, target.connect() as idle:
        assert idle.ask("GET", "/ping").status == 200
        running.send(json_request(1))
        eventually((tmp_path / "started-1").exists)
        waiting.send(json_request(2))
        assert idle.ask("GET", "/ping").status == 200

        instance.process.send_signal(signal.SIGTERM)
        eventually(lambda: not accepts(instance))
        (tmp_path / "go").touch()

        answers = [running.read_answer("POST"), waiting.read_answer("POST")]
        assert idle.is_closed()

    assert [(answer.status, answer.body) for answer in answers] == [(200, b"1"), (200, b"2")]
    assert {answer.headers.get("connection") for answer in answers} == {"close"}
    assert instance.process.wait(PATIENCE_S) == 0


@pytest.mark.must
def test_what_arrives_after_sigterm_is_answered_until_the_door_closes(tmp_path: Path, start: Start):
    """The platform takes an instance out of its list a moment after it has told it to stop."""
    instance = start(write_program(tmp_path, ECHO))
    target = instance.until_ready()

    instance.process.send_signal(signal.SIGTERM)

    assert target.invoke(b"1").status == 200
    assert instance.process.wait(PATIENCE_S) == 0


@pytest.mark.must
def test_a_body_half_sent_at_sigterm_may_be_finished(tmp_path: Path, start: Start):
    instance = start(write_program(tmp_path, ECHO))
    target = instance.until_ready()
    whole = json_request("finished")
    with target.connect() as wire:
        wire.send(whole[:-3])
        assert target.ping().status == 200

        instance.process.send_signal(signal.SIGTERM)
        eventually(lambda: not accepts(instance))
        wire.send(whole[-3:])
        answer = wire.read_answer("POST")

    assert (answer.status, answer.body) == (200, b'"finished"')
    assert instance.process.wait(PATIENCE_S) == 0


@pytest.mark.must
def test_no_request_is_lost_when_the_instance_stops_under_load(tmp_path: Path, start: Start):
    """One that got through the door is answered, one that did not was told so."""
    code = "import time\ndef predict(data, model):\n    time.sleep(0.002)\n    return data\n"
    instance = start(write_program(tmp_path, code))
    target = instance.until_ready()
    answers: list[Answer] = []
    lost: list[Exception] = []
    is_refused = threading.Event()

    def call() -> None:
        until = time.monotonic() + PATIENCE_S
        while not is_refused.is_set() and time.monotonic() < until:
            try:
                wire = target.connect()
            except ConnectionRefusedError:
                is_refused.set()
                return
            with wire:
                try:
                    wire.send(json_request(1))
                    answers.append(wire.read_answer("POST"))
                except (OSError, WireError) as error:
                    lost.append(error)

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    time.sleep(0.1)
    instance.process.send_signal(signal.SIGTERM)
    for caller in callers:
        caller.join(PATIENCE_S)

    assert instance.process.wait(PATIENCE_S) == 0
    assert {answer.status for answer in answers} == {200}
    assert lost == []
    assert len(answers) > 20


@pytest.mark.must
def test_idle_and_half_open_connections_do_not_delay_the_stop(tmp_path: Path, start: Start):
    instance = start(write_program(tmp_path, ECHO))
    target = instance.until_ready()
    wires = [target.connect() for _ in range(20)]
    for wire in wires[:10]:
        assert wire.ask("GET", "/ping").status == 200

    started = time.monotonic()
    assert instance.stop() == 0

    assert time.monotonic() - started < 5
    for wire in wires:
        wire.close()


@pytest.mark.must
@pytest.mark.slow
def test_a_prediction_without_end_does_not_outlast_the_grace(tmp_path: Path, start: Start):
    instance = start(write_program(tmp_path, GATED))
    target = instance.until_ready()
    with target.connect() as wire:
        wire.send(json_request(1))
        eventually((tmp_path / "started-1").exists)

        instance.process.send_signal(signal.SIGTERM)
        instance.process.wait(STOP_GRACE_S)

        assert wire.read_answer("POST").status == 503


def accepts(instance: Instance) -> bool:
    try:
        with Wire("127.0.0.1", instance.listening["port"], timeout_s=1) as wire:
            # Taken from the queue of a socket that is about to close, it would be cut off.
            wire.send(request_bytes("GET", "/ping"))
            return wire.read_answer().status == 200
    except (OSError, WireError):
        return False
