"""A multi-model endpoint's container as the platform drives it: a real process, real folders."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.contract.instance import Instance, eventually, write_program
from tests.contract.wire import Answer, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MB = 2**20

# In pieces, and made in a thread: the C library gives such memory back only when it is told to.
HEAVY = """
def load_model(model_dir): return [bytes(range(256)) * 16 for _ in range(25_600)]
def predict(data, model): return len(model)
"""

ECHO = "def predict(data, model): return data\n"

WAITING = """
import os, time
def wait_for(path):
    while not os.path.exists(path): time.sleep(0.01)
"""


@dataclass(frozen=True)
class Platform:
    """Asks of an instance what SageMaker asks."""

    instance: Instance
    root: Path

    def ask(self, method: str, path: str, value: object = None, **headers: str) -> tuple[int, Any]:
        address = urlsplit(self.instance.target.url)
        sent = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): text for name, text in headers.items()
        }
        with Wire(str(address.hostname), int(address.port or 0)) as wire:
            body = b"" if value is None else json.dumps(value).encode()
            answer: Answer = wire.ask(method, path, headers=sent, body=body)
        return answer.status, json.loads(answer.body) if answer.body else None

    def load(self, name: str) -> tuple[int, Any]:
        url = str(self.root / name / "model")
        return self.ask("POST", "/models", {"model_name": name, "url": url})

    def unload(self, name: str) -> int:
        return self.ask("DELETE", f"/models/{name}")[0]

    def invoke(self, name: str, value: object, **headers: str) -> tuple[int, Any]:
        return self.ask("POST", f"/models/{name}/invoke", value, **headers)

    def names(self) -> list[str]:
        return [model["modelName"] for model in self.ask("GET", "/models")[1]["models"]]

    @property
    def resident_mb(self) -> float:
        return psutil.Process(self.instance.process.pid).memory_info().rss / MB


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def start(tmp_path: Path, root: Path) -> Iterator[Callable[..., Platform]]:
    instances: list[Instance] = []

    def make(root: Path = root, **environment: str) -> Platform:
        root.mkdir(exist_ok=True)
        variables = {"SAGEMAKER_MULTI_MODEL": "true", "PORTSIDE_MODELS_DIR": str(root)}
        log = tmp_path / f"log-{len(instances)}.txt"
        instances.append(Instance(tmp_path, log, environment=variables | environment))
        return Platform(instances[-1], root)

    yield make
    for instance in instances:
        instance.kill()


def write_model(root: Path, name: str, code: str, **modules: str) -> None:
    folder = write_program(root / name / "model", code)
    for module, text in modules.items():
        (folder / "code" / f"{module}.py").write_text(text, encoding="utf-8")


# --- The routes -----------------------------------------------------------------


def test_two_models_with_files_of_the_same_names_live_side_by_side(
    root: Path, start: Callable[..., Platform]
):
    code = "import neighbor\nfrom neighbor import NAME\n"
    own = f"{code}def load_model(model_dir): return NAME\ndef predict(data, model): return "
    toolkit = f"{code}def model_fn(model_dir): return NAME\ndef predict_fn(data, model): return "
    write_model(root, "a1", f"{own} [model, neighbor.NAME, data]", neighbor="NAME = 'first'")
    write_model(root, "b2", f"{toolkit} [model, neighbor.NAME]", neighbor="NAME = 'second'")
    platform = start()
    assert platform.ask("GET", "/ping") == (200, None)

    described = {"modelName": "a1", "modelUrl": str(root / "a1" / "model")}
    assert platform.load("a1") == (200, described)
    assert platform.load("b2")[0] == 200
    assert platform.load("a1")[0] == 409
    assert platform.names() == ["a1", "b2"]
    assert platform.ask("GET", "/models/a1") == (200, described)
    assert platform.invoke("a1", {"x": 1}) == (200, ["first", "first", {"x": 1}])
    assert platform.invoke("b2", [1]) == (200, ["second", "second"])

    assert platform.unload("a1") == 200
    assert platform.invoke("a1", {})[0] == 404
    assert platform.unload("a1") == 404
    assert platform.ask("GET", "/models/a1")[0] == 404
    assert platform.names() == ["b2"]
    assert platform.invoke("b2", [1]) == (200, ["second", "second"])

    assert platform.load("a1")[0] == 200
    assert platform.invoke("a1", 5) == (200, ["first", "first", 5])
    assert platform.instance.stop() == 0


def test_what_cannot_be_loaded_leaves_the_instance_as_it_was(
    root: Path, start: Callable[..., Platform]
):
    write_model(root, "good", ECHO)
    write_model(root, "broken", "import nothing_of_that_name\n")
    write_model(root, "exits", "import sys\nsys.exit(3)\n")
    (root / "empty" / "model").mkdir(parents=True)
    platform = start()
    assert platform.load("good")[0] == 200

    status, answer = platform.load("broken")
    assert status == 500
    assert "nothing_of_that_name" in answer["error"]["message"]
    assert "Traceback" not in json.dumps(answer)
    assert platform.load("exits")[0] == 500
    assert platform.load("empty")[0] == 500
    assert platform.load("missing")[0] == 404
    assert platform.ask("POST", "/models", {"model_name": "x", "url": "/etc"})[0] == 400
    assert platform.ask("POST", "/invocations", {})[0] == 404

    assert platform.names() == ["good"]
    assert platform.invoke("good", [1]) == (200, [1])
    assert platform.ask("GET", "/ping")[0] == 200
    assert any("traceback" in line for line in platform.instance.records)


def test_pings_are_answered_while_a_model_loads(root: Path, start: Callable[..., Platform]):
    begun, gate = root.parent / "begun", root.parent / "gate"
    code = (
        "import pathlib, waiting\n"
        f"pathlib.Path({str(begun)!r}).touch()\nwaiting.wait_for({str(gate)!r})\n{ECHO}"
    )
    write_model(root, "slow", code, waiting=WAITING)
    platform = start()
    platform.ask("GET", "/ping")
    loading = threading.Thread(target=platform.load, args=("slow",))
    loading.start()
    eventually(begun.exists)
    assert platform.ask("GET", "/ping")[0] == 200
    assert platform.invoke("slow", [1])[0] == 404
    assert platform.load("slow")[0] == 409
    assert loading.is_alive()
    gate.touch()
    loading.join()
    assert platform.invoke("slow", [1]) == (200, [1])


def test_unloading_lets_the_last_prediction_end(root: Path, start: Callable[..., Platform]):
    gate = root.parent / "gate"
    code = (
        "import waiting\n"
        f"def predict(data, model):\n    waiting.wait_for({str(gate)!r})\n    return data\n"
    )
    write_model(root, "slow", code, waiting=WAITING)
    platform = start()
    platform.load("slow")
    answers: list[tuple[int, Any]] = []
    asking = threading.Thread(target=lambda: answers.append(platform.invoke("slow", "in flight")))
    asking.start()
    eventually(lambda: "portside_in_flight 1\n" in _metrics(platform))
    statuses: list[int] = []
    unloading = threading.Thread(target=lambda: statuses.append(platform.unload("slow")))
    unloading.start()
    eventually(lambda: platform.ask("GET", "/models/slow")[0] == 404)
    assert platform.invoke("slow", "too late")[0] == 404
    assert statuses == []
    gate.touch()
    asking.join()
    unloading.join()
    assert answers == [(200, "in flight")]
    assert statuses == [200]


def _metrics(platform: Platform) -> str:
    address = urlsplit(platform.instance.target.url)
    with Wire(str(address.hostname), int(address.port or 0)) as wire:
        return wire.ask("GET", "/metrics").text


def test_the_log_names_the_target_model(root: Path, start: Callable[..., Platform]):
    write_model(root, "a1", ECHO)
    platform = start()
    platform.load("a1")
    platform.invoke("a1", [1], X_Amzn_SageMaker_Target_Model="team/ner.tar.gz")
    line = eventually(lambda: platform.instance.record("request"))
    assert (line["target_model"], line["path"]) == ("team/ner.tar.gz", "/models/a1/invoke")


# --- Memory ---------------------------------------------------------------------


def test_memory_of_an_unloaded_model_is_given_back(root: Path, start: Callable[..., Platform]):
    write_model(root, "light", ECHO)
    write_model(root, "heavy", HEAVY)
    platform = start()
    platform.load("light")
    platform.invoke("light", [1])
    before = platform.resident_mb
    for _ in range(3):
        assert platform.load("heavy")[0] == 200
        assert platform.invoke("heavy", []) == (200, 25_600)
        assert platform.resident_mb > before + 95
        assert platform.unload("heavy") == 200
        assert platform.resident_mb < before + 15
    assert platform.invoke("light", [1]) == (200, [1])


def test_a_model_is_refused_where_there_is_no_room(root: Path, start: Callable[..., Platform]):
    write_model(root, "light", ECHO)
    write_model(root, "heavy", HEAVY)
    write_model(root, "raises", "def load_model(model_dir): raise MemoryError\n" + ECHO)
    write_model(root, "large", ECHO)
    with (root / "large" / "model" / "weights.bin").open("wb") as file:
        file.truncate(80 * MB)
    platform = start(PORTSIDE_MODEL_MEMORY_MB="60")
    assert platform.load("light")[0] == 200
    platform.invoke("light", [1])
    before = platform.resident_mb

    for name in ("heavy", "large", "raises"):
        status, answer = platform.load(name)
        assert (status, answer["error"]["code"]) == (507, "OutOfMemory"), name
    assert platform.resident_mb < before + 15
    assert platform.names() == ["light"]
    assert platform.invoke("light", [1]) == (200, [1])


def test_a_checkpoint_is_served_under_two_names_and_gives_its_memory_back(
    rampart_model: Path, start: Callable[..., Platform]
):
    platform = start(rampart_model.parent)
    for name in ("a1", "b2"):
        described = {"model_name": name, "url": str(rampart_model)}
        assert platform.ask("POST", "/models", described)[0] == 200
    text = "My name is Ada Lovelace and I live at 10 Downing Street"
    first, second = (platform.invoke(name, {"strings": [text]}) for name in ("a1", "b2"))
    assert first == second
    assert first[0] == 200
    assert [entity["word"] for entity in first[1][0]][:2] == ["ada", "lovelace"]

    both = platform.resident_mb
    size_mb = sum(file.stat().st_size for file in rampart_model.rglob("*.onnx")) / MB
    assert platform.unload("b2") == 200
    assert platform.resident_mb < both - size_mb / 2
    assert platform.invoke("a1", {"strings": [text]}) == first
