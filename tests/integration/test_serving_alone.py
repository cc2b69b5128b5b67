"""Serving needs little: it starts where the rest of Portside's dependencies are missing."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOLS = ["boto3", "botocore", "click", "msgspec", "multiprocessing", "rich", "sqlite3", "uvicorn"]
"""What commands, deployments and the local SageMaker use."""

TRAINING = ["huggingface_hub", "torch", "transformers"]
INFERENCE = ["numpy", "onnxruntime", "tokenizers"]

WITHOUT = """
import runpy, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
runpy.run_module("portside.serving", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def first_answer(
    processes: list[subprocess.Popen[str]], model_dir: Path, *, missing: list[str]
) -> Any:
    """The answer to one request, from a process in which the packages cannot be imported."""
    process = subprocess.Popen(
        [sys.executable, "-c", WITHOUT.format(names=missing), "serve"],
        env={
            "PATH": os.environ["PATH"],
            "SM_MODEL_DIR": str(model_dir),
            "PORTSIDE_BIND_HOST": "127.0.0.1",
            "SAGEMAKER_BIND_TO_PORT": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    processes.append(process)
    assert process.stdout
    lines = [process.stdout.readline(), process.stdout.readline()]
    records = {record["message"]: record for record in map(json.loads, lines)}
    assert set(records) == {"listening", "ready"}
    return invoke(records["listening"]["port"], {"strings": ["I am Ada Lovelace"]})


def invoke(port: int, body: object) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    deadline = time.monotonic() + 20
    while True:
        connection.request("POST", "/invocations", json.dumps(body))
        answer = connection.getresponse()
        content = json.loads(answer.read())
        # The line in the log comes an instant before the state that it tells of.
        if answer.status != http.HTTPStatus.SERVICE_UNAVAILABLE:
            connection.close()
            return content
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_checkpoint_is_served_without_tools_and_without_torch(
    rampart_model: Path, processes: list[subprocess.Popen[str]]
):
    [entities] = first_answer(processes, rampart_model, missing=TOOLS + TRAINING)

    assert [entity["word"] for entity in entities] == ["ada", "lovelace"]


def test_plain_python_is_served_without_numpy_and_onnxruntime(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
):
    (tmp_path / "inference.py").write_text(
        "def load_model(model_dir): return str.upper\n"
        "def predict(data, model): return [model(text) for text in data]\n"
    )

    answer = first_answer(processes, tmp_path, missing=TOOLS + TRAINING + INFERENCE)

    assert answer == ["I AM ADA LOVELACE"]
