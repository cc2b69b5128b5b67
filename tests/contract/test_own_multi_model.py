"""Multi-model endpoints and sticky sessions, as the platform and its callers speak of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.contract.conftest import Start
from tests.contract.instance import write_program
from tests.contract.wire import Answer, Target

DOUBLE = "def predict(data, model): return 2 * data\n"
SQUARE = "def predict(data, model): return data * data\n"

COUNTED = """
def predict(data, model, context):
    seen = context.session.state.setdefault("seen", [])
    seen.append(data)
    return len(seen)
"""

SESSION = "X-Amzn-SageMaker-Session-Id"

NEW_SESSION_ID = re.compile(
    r"[a-zA-Z0-9](-*[a-zA-Z0-9])*; Expires=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
)
"""`id; Expires=…`, as botocore's service model has it."""


@pytest.fixture
def fleet(tmp_path: Path, start: Start) -> Target:
    """A multi-model instance, with two models on its disk and none in memory."""
    for name, code in (("double", DOUBLE), ("square", SQUARE), ("broken", "raise OSError")):
        write_program(tmp_path / "models" / name / "model", code)
    variables = {"SAGEMAKER_MULTI_MODEL": "true", "PORTSIDE_MODELS_DIR": str(tmp_path / "models")}
    return start(tmp_path, **variables).until_ready()


def load_model(fleet: Target, tmp_path: Path, name: str) -> Answer:
    url = tmp_path / "models" / name / "model"
    body = json.dumps({"model_name": name, "url": str(url)}).encode()
    return fleet.ask("POST", "/models", headers={"Content-Type": "application/json"}, body=body)


def invoke(fleet: Target, name: str, body: bytes) -> Answer:
    headers = {
        "Content-Type": "application/json",
        "X-Amzn-SageMaker-Target-Model": f"{name}.tar.gz",
    }
    return fleet.ask("POST", f"/models/{name}/invoke", headers=headers, body=body)


@pytest.mark.must
def test_a_model_is_loaded_listed_invoked_and_unloaded(fleet: Target, tmp_path: Path):
    assert json.loads(fleet.ask("GET", "/models").body)["models"] == []

    loaded = load_model(fleet, tmp_path, "double")
    url = str(tmp_path / "models" / "double" / "model")
    listed = json.loads(fleet.ask("GET", "/models").body)["models"]
    described = json.loads(fleet.ask("GET", "/models/double").body)
    answer = invoke(fleet, "double", b"21")
    unloaded = fleet.ask("DELETE", "/models/double")

    assert loaded.status == unloaded.status == 200
    assert listed == [described] == [{"modelName": "double", "modelUrl": url}]
    assert (answer.status, answer.body) == (200, b"42")
    assert fleet.ask("GET", "/models/double").status == 404
    assert invoke(fleet, "double", b"21").status == 404
    assert fleet.ask("DELETE", "/models/double").status == 404


@pytest.mark.must
def test_a_model_that_is_there_already_is_409(fleet: Target, tmp_path: Path):
    assert load_model(fleet, tmp_path, "double").status == 200
    assert load_model(fleet, tmp_path, "double").status == 409
    assert invoke(fleet, "double", b"1").status == 200


@pytest.mark.must
def test_models_do_not_disturb_each_other(fleet: Target, tmp_path: Path):
    assert load_model(fleet, tmp_path, "double").status == 200
    assert load_model(fleet, tmp_path, "square").status == 200
    assert load_model(fleet, tmp_path, "broken").status == 500

    assert invoke(fleet, "double", b"7").body == b"14"
    assert invoke(fleet, "square", b"7").body == b"49"
    assert fleet.ask("DELETE", "/models/double").status == 200
    assert invoke(fleet, "square", b"7").body == b"49"
    assert fleet.ping().status == 200


@pytest.mark.should
def test_a_session_begins_lasts_and_ends(tmp_path: Path, start: Start):
    variables = {"SAGEMAKER_ENABLE_STATEFUL_SESSIONS": "true"}
    target = start(write_program(tmp_path, COUNTED), **variables).until_ready()

    def ask(session: str, body: object) -> Answer:
        headers = {"Content-Type": "application/json", SESSION: session}
        return target.ask("POST", "/invocations", headers=headers, body=json.dumps(body).encode())

    begun = ask("NEW_SESSION", {"requestType": "NEW_SESSION"}).headers
    new_id = begun["x-amzn-sagemaker-new-session-id"]
    identifier = new_id.partition(";")[0]
    counts = [ask(identifier, "word").body for _ in range(3)]
    closed = ask(identifier, {"requestType": "CLOSE"})

    assert NEW_SESSION_ID.fullmatch(new_id)
    assert counts == [b"1", b"2", b"3"]
    assert closed.headers["x-amzn-sagemaker-closed-session-id"] == identifier
    assert ask(identifier, "word").status == 400
