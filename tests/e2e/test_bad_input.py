"""The wrong input first: one clear message, the next step, the right code, nothing half made."""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import Done, Portside

IN_SERVICE = "is InService"


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def assert_explained(done: Done, *words: str, code: int) -> None:
    """One message on stderr with these words, and a hint; nothing on stdout."""
    assert done.code == code, done.err
    assert done.out == ""
    assert done.err.count("error:") == 1
    assert "hint:" in done.err
    assert "portside/cli" not in done.err  # no traceback of ours
    for word in words:
        assert word in done.err


def test_no_model_in_the_folder(portside: Portside, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty", portside__toml="")

    assert_explained(portside.run("deploy", empty), "model", "empty", code=1)
    assert_nothing_made(portside)


def test_two_models(portside: Portside, ner: Path) -> None:
    shutil.copy(ner / "model" / "model.onnx", ner / "model" / "other.onnx")

    assert_explained(portside.run("deploy", ner), "model.onnx", "other.onnx", code=1)
    assert_nothing_made(portside)


def test_an_unknown_task(portside: Portside, ner: Path) -> None:
    file = ner / "model" / "config.json"
    values = json.loads(file.read_text()) | {"architectures": ["BertForNextSentencePrediction"]}
    file.write_text(json.dumps(values))

    assert_explained(portside.run("deploy", ner), "BertForNextSentencePrediction", code=1)
    assert_nothing_made(portside)


def test_a_broken_key(portside: Portside, tmp_path: Path) -> None:
    project = write(tmp_path / "p", portside__toml="[endpoint]\nmemory_size = 2048\n")

    done = portside.run("deploy", project)

    assert_explained(done, "`endpoint.memory_size`", "memory_size_mb", code=2)


def test_a_folder_that_is_not_there(portside: Portside, tmp_path: Path) -> None:
    assert_explained(portside.run("plan", tmp_path / "gone"), "gone", code=2)


def test_a_port_in_use(portside: Portside, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = portside.run("local", "start", "--port", str(port))

    assert_explained(done, str(port), "--port", code=1)
    assert portside("local", "status", "--json").json == {"running": False}


def test_a_port_that_is_none(portside: Portside, tmp_path: Path) -> None:
    project = write(tmp_path / "p", inference__py="")
    wrong = dataclasses.replace(
        portside, environment=portside.environment | {"PORTSIDE_LOCAL_PORT": "many"}
    )

    assert_explained(wrong.run("plan", project), "`many`", "PORTSIDE_LOCAL_PORT", code=2)


def test_an_endpoint_that_does_not_exist(portside: Portside) -> None:
    portside("local", "start")

    done = portside.run("invoke", "nobody", "--data", "{}")

    assert_explained(done, "Endpoint nobody of account 000000000000 not found", code=1)
    assert_explained(portside.run("logs", "nobody"), "`nobody`", code=1)


@pytest.mark.parametrize(
    ("handler", "cause"),
    [
        (
            "raise RuntimeError('no luck at import')\ndef predict(d, m): return d\n",
            "no luck at import",
        ),
        (
            "def load_model(d): raise OSError('no luck at load')\ndef predict(d, m): return d\n",
            "no luck at load",
        ),
    ],
)
def test_a_handler_that_cannot_start(
    portside: Portside, tmp_path: Path, handler: str, cause: str
) -> None:
    project = write(tmp_path / "bad", inference__py=handler)

    done = portside.run("deploy", project)

    assert_explained(done, "is Failed: an instance of it ended", "portside logs bad", cause, code=1)
    assert cause in portside("logs", "bad").out
    write(project, inference__py="def load_model(d): pass\ndef predict(data, model): return data\n")
    assert IN_SERVICE in portside("deploy", project).out


def test_a_handler_that_raises_at_predict(portside: Portside, tmp_path: Path) -> None:
    handler = (
        "def load_model(d): pass\n"
        "def predict(data, model):\n"
        "    if data == ['secret']: raise ValueError('the secret in the message')\n"
        "    return data\n"
    )
    project = write(tmp_path / "bad", inference__py=handler)
    portside("deploy", project)

    done = portside.run("invoke", "bad", "--data", '{"strings": ["secret"]}')

    assert_explained(done, "500", "portside logs bad", code=1)
    assert "the secret in the message" not in done.err
    assert "the secret in the message" in portside("logs", "bad").out
    assert portside("invoke", "bad", "--data", '{"strings": ["a"]}', "--json").out == '["a"]'


def test_a_body_that_is_not_what_the_task_takes(portside: Portside, ner: Path) -> None:
    portside("deploy", ner)

    assert_explained(portside.run("invoke", "ner", "--data", "not json"), "400", "JSON", code=1)
    assert_explained(portside.run("invoke", "ner", "--data", "{}"), "400", "strings", code=1)
    assert_explained(portside.run("invoke", "ner"), "--data", code=2)


def test_deploying_to_aws_is_refused_before_anything_is_made(
    portside: Portside, tmp_path: Path
) -> None:
    project = write(tmp_path / "p", inference__py="")

    assert_explained(portside.run("deploy", project, "--target", "aws"), "region", code=1)


def assert_nothing_made(portside: Portside) -> None:
    """Neither on this machine's AWS nor in the project's folder under a final name."""
    status = portside("local", "status", "--json").json
    assert not status.get("endpoints")
