"""The process of an instance: its start, its answers, its end, and its exit codes."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., "Instance"]

PATIENCE_S = 20.0
"""For what takes a fraction of a second on an idle machine."""

ECHO = "def load_model(model_dir): return None\ndef predict(data, model): return data\n"


def eventually(condition: Callable[[], Any]) -> Any:
    """What `condition` returns, once that is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value


class Instance:
    """A running `python -m portside.serving serve` on a port that the system chose."""

    def __init__(self, model_dir: Path, output: Path, **environment: str) -> None:
        self._output = output
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        variables = {
            "SM_MODEL_DIR": str(model_dir),
            "PORTSIDE_BIND_HOST": "127.0.0.1",
            "SAGEMAKER_BIND_TO_PORT": "0",
        }
        with output.open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "portside.serving", "serve"],
                env=inherited | variables | environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self._output.read_text(encoding="utf-8")

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]

    def record(self, message: str) -> dict[str, Any] | None:
        return next((record for record in self.log if record["message"] == message), None)

    @property
    def port(self) -> int:
        return int(eventually(lambda: self.record("listening"))["port"])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = self.connect()
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content) if content else None

    def ping(self) -> int:
        return self.request("GET", "/ping")[0]

    def wait_until_ready(self) -> Instance:
        eventually(lambda: self.ping() == 200)
        return self

    def invoke(self, body: object) -> tuple[int, Any]:
        return self.request("POST", "/invocations", body)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    instances: list[Instance] = []

    def make(model_dir: Path, **environment: str) -> Instance:
        output = tmp_path / f"output-{len(instances)}.txt"
        instances.append(Instance(model_dir, output, **environment))
        return instances[-1]

    yield make
    for instance in instances:
        instance.process.kill()
        instance.process.wait(PATIENCE_S)


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """A model folder with an empty `code` folder."""
    (tmp_path / "model" / "code").mkdir(parents=True)
    return tmp_path / "model"


def write_code(model_dir: Path, code: str) -> None:
    (model_dir / "code" / "inference.py").write_text(code, encoding="utf-8")


# --- Life -----------------------------------------------------------------------


def test_the_trained_model_finds_people_and_places(rampart_model: Path, start: Start):
    instance = start(rampart_model).wait_until_ready()
    text = "My name is Ada Lovelace and I live at 10 Downing Street"

    status, [entities] = instance.invoke({"strings": [text]})
    bare_status, bare = instance.invoke({"inputs": text})
    wrong_status, wrong = instance.invoke({"text": text})

    assert status == bare_status == 200
    assert entities == bare
    assert [(entity["entity_group"], entity["word"]) for entity in entities] == [
        ("GIVEN_NAME", "ada"),
        ("SURNAME", "lovelace"),
        ("BUILDING_NUMBER", "10"),
        ("STREET_NAME", "downing street"),
    ]
    assert [text[entity["start"] : entity["end"]].lower() for entity in entities] == [
        entity["word"] for entity in entities
    ]
    assert all(0.5 < entity["score"] <= 1 for entity in entities)
    assert (wrong_status, wrong["error"]["code"]) == (400, "InvalidBody")
    assert instance.terminate() == 0


def test_ping_is_503_while_the_model_loads_and_200_then(model_dir: Path, start: Start):
    write_code(
        model_dir,
        ECHO
        + """
import pathlib, time
def load_model(model_dir):
    while not pathlib.Path(model_dir, "go").exists():
        time.sleep(0.01)
""",
    )
    instance = start(model_dir)

    assert instance.ping() == 503
    assert instance.invoke({"strings": ["a"]})[0] == 503

    (model_dir / "go").touch()

    assert eventually(lambda: instance.ping() == 200)
    assert instance.invoke({"strings": ["a", "b"]}) == (200, ["a", "b"])


def test_the_users_output_and_log_reach_stdout_at_once(model_dir: Path, start: Start):
    write_code(
        model_dir,
        ECHO
        + """
import logging, pathlib, time
def load_model(model_dir): return pathlib.Path(model_dir)
def predict(data, folder):
    logging.getLogger("mine").info("logged by the user")
    print("printed by the user")
    while not (folder / "finish").exists():
        time.sleep(0.01)
""",
    )
    instance = start(model_dir).wait_until_ready()
    caller = threading.Thread(target=instance.invoke, args=[[]])
    caller.start()

    eventually(lambda: "printed by the user\n" in instance.text)
    (model_dir / "finish").touch()
    caller.join(PATIENCE_S)

    logged = eventually(lambda: instance.record("logged by the user"))
    request = eventually(lambda: instance.record("request"))
    assert logged["request_id"] == request["request_id"]


def test_nothing_is_written_into_the_model_folder(model_dir: Path, start: Start):
    write_code(model_dir, "import beside\n" + ECHO)
    (model_dir / "code" / "beside.py").touch()
    before = sorted(model_dir.rglob("*"))

    start(model_dir).wait_until_ready()

    assert sorted(model_dir.rglob("*")) == before


def test_onnxruntime_is_told_to_report_to_nobody(model_dir: Path, start: Start):
    look = 'import os\nprint("switch:", os.environ["ORT_DISABLE_TELEMETRY"], flush=True)\n'
    write_code(model_dir, look + ECHO)

    instance = start(model_dir).wait_until_ready()

    assert "switch: 1" in instance.text


# --- The end --------------------------------------------------------------------

SLOW = (
    ECHO
    + """
import pathlib, time
def load_model(model_dir): return pathlib.Path(model_dir)
def predict(data, folder):
    (folder / "started").touch()
    while not (folder / "finish").exists():
        time.sleep(0.01)
    return data
"""
)


def test_a_prediction_in_flight_is_answered_after_sigterm(model_dir: Path, start: Start):
    write_code(model_dir, SLOW)
    instance = start(model_dir).wait_until_ready()
    answers: list[tuple[int, Any]] = []
    caller = threading.Thread(target=lambda: answers.append(instance.invoke(["slow"])))
    with closing(instance.connect()) as idle:
        idle.request("GET", "/ping")
        idle.getresponse().read()
        caller.start()
        eventually((model_dir / "started").exists)
        assert instance.ping() == 200

        instance.process.send_signal(signal.SIGTERM)
        eventually(lambda: not accepts(instance.port))
        assert instance.process.poll() is None
        (model_dir / "finish").touch()
        caller.join(PATIENCE_S)

    assert answers == [(200, ["slow"])]
    assert instance.process.wait(PATIENCE_S) == 0
    assert instance.log[-1]["message"] == "stopped"


def accepts(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def test_sigterm_while_loading_ends_at_once(model_dir: Path, start: Start):
    write_code(model_dir, ECHO + "import time\ndef load_model(d):\n    while True: time.sleep(1)")
    instance = start(model_dir)
    assert instance.ping() == 503

    assert instance.terminate() == 0
    assert instance.log[-1]["message"] == "stopped while loading"


# --- What goes wrong ------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason", "trace"),
    [
        (
            "raise ValueError('no such layer')",
            "importing `{}` raised ValueError: no such",
            "line 1",
        ),
        (
            ECHO + "def load_model(d): open(d + '/weights')",
            "`load_model` in `{}` raised FileNotFoundError",
            "in load_model",
        ),
    ],
)
def test_code_that_cannot_be_loaded_ends_the_process(
    model_dir: Path, start: Start, code: str, reason: str, trace: str
):
    write_code(model_dir, code)

    instance = start(model_dir)

    assert instance.process.wait(PATIENCE_S) == 1
    *_, cause, last = instance.log
    assert last["message"].startswith(reason.format(model_dir / "code" / "inference.py"))
    assert last["level"] == "ERROR"
    assert trace in cause["traceback"]


def test_a_failed_load_ends_within_a_second(model_dir: Path, start: Start):
    write_code(
        model_dir,
        ECHO
        + """
import pathlib, time
def load_model(model_dir):
    while not pathlib.Path(model_dir, "go").exists():
        time.sleep(0.01)
    raise RuntimeError("too late")
""",
    )
    instance = start(model_dir)
    with closing(instance.connect()) as kept_open:
        kept_open.request("GET", "/ping")
        assert kept_open.getresponse().read()

        (model_dir / "go").touch()
        failed = time.monotonic()

        assert instance.process.wait(PATIENCE_S) == 1
    assert time.monotonic() - failed < 1


def test_a_folder_without_a_model_ends_the_process(model_dir: Path, start: Start):
    instance = start(model_dir)

    assert instance.process.wait(PATIENCE_S) == 1
    last = instance.log[-1]
    assert last["message"] == f"cannot serve `{model_dir}`: it has no `config.json`"
    assert "inference.py" in last["hint"]


def test_broken_weights_end_the_process(rampart_model: Path, tmp_path: Path, start: Start):
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_bytes((rampart_model / name).read_bytes())
    (folder / "model.onnx").write_bytes(b"no graph")

    instance = start(folder)

    assert instance.process.wait(PATIENCE_S) == 1
    assert instance.log[-1]["message"].startswith(f"cannot load `{folder / 'model.onnx'}`")


def test_a_raise_in_predict_is_a_500_and_the_instance_lives(model_dir: Path, start: Start):
    write_code(model_dir, ECHO + "def predict(data, model): return 1 / data")
    instance = start(model_dir).wait_until_ready()

    status, answer = instance.invoke(0)

    assert status == 500
    assert answer["error"]["message"].startswith("ZeroDivisionError in the handler; see the log")
    [failure] = [record for record in instance.log if "traceback" in record]
    assert failure["request_id"] in answer["error"]["message"]
    assert "in predict" in failure["traceback"]
    assert instance.invoke(2) == (200, 0.5)


def test_a_port_in_use_ends_the_process(model_dir: Path, start: Start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        instance = start(model_dir, SAGEMAKER_BIND_TO_PORT=str(port))

        assert instance.process.wait(PATIENCE_S) == 1

    assert instance.log[-1]["message"] == (
        f"cannot listen on `127.0.0.1:{port}`: Address already in use"
    )


def test_a_wrong_variable_ends_the_process_with_2(model_dir: Path, start: Start):
    instance = start(model_dir, PORTSIDE_AGGREGATION_STRATEGY="best")

    assert instance.process.wait(PATIENCE_S) == 2
    assert instance.log[-1]["message"] == "no aggregation strategy `best`"
