"""`/openapi.json` keeps its word: schemathesis sends what it allows and what it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.contract.conftest import Start
from tests.contract.instance import write_program
from tests.contract.wire import Target

SCHEMATHESIS: Final = Path(sys.executable).with_name("schemathesis")

JSON: Final = "application/json"

OF_SCHEMAS: Final = ("positive_data_acceptance", "negative_data_rejection")
"""The checks that hold what is accepted against the schema of the body."""

TYPED: Final = """
import msgspec
from typing import Annotated
class Question(msgspec.Struct):
    text: str
    language: Annotated[str, msgspec.Meta(min_length=2, max_length=5)] = "en"
class Reply(msgspec.Struct):
    words: list[str]
    count: int
def predict(data: list[Question], model) -> list[Reply]:
    return [Reply(words=[one.language, *one.text.split()], count=len(one.text)) for one in data]
"""


@pytest.fixture(params=["task", "typed"])
def described(request: pytest.FixtureRequest, tmp_path: Path, start: Start) -> Target:
    """Instances of two kinds: the trained model's task, and a handler with type hints."""
    if not SCHEMATHESIS.exists():
        pytest.skip("schemathesis is not installed")
    if request.param == "task":
        model_dir: Path = request.getfixturevalue("rampart_model")
    else:
        model_dir = write_program(tmp_path, TYPED)
    return start(model_dir).until_ready()


def run_schemathesis(folder: Path, location: str, *options: str) -> None:
    """Let it send some thirty requests to each operation; fails with what it found."""
    done = subprocess.run(
        [
            *(str(SCHEMATHESIS), "run", location, "--no-color", "--seed", "1"),
            *("--phases", "coverage,fuzzing", "--max-examples", "30", "--warnings", "off"),
            *("--generation-database", "none", "--request-timeout", "10", *options),
        ],
        cwd=folder,  # it leaves files behind
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.must
def test_whatever_is_sent_the_answer_is_one_of_those_described(tmp_path: Path, described: Target):
    run_schemathesis(
        tmp_path,
        f"{described.url}/openapi.json",
        *("--checks", "all", "--exclude-checks", ",".join(OF_SCHEMAS)),
    )

    assert described.ping().status == 200


@pytest.mark.should
def test_json_is_taken_if_the_document_allows_it_and_else_refused(
    tmp_path: Path, described: Target
):
    """Of other types a schema can only say that they are texts, and few texts are a table."""
    document: dict[str, Any] = json.loads(described.ask("GET", "/openapi.json").body)
    request = document["paths"]["/invocations"]["post"]["requestBody"]
    request["content"] = {JSON: request["content"][JSON]}
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document), encoding="utf-8")

    run_schemathesis(tmp_path, str(path), "--url", described.url, "--checks", ",".join(OF_SCHEMAS))


@pytest.mark.should
def test_the_example_of_the_document_is_answered(described: Target):
    document = json.loads(described.ask("GET", "/openapi.json").body)
    content = document["paths"]["/invocations"]["post"]["requestBody"]["content"]
    examples = [content[JSON]["example"]] if "example" in content[JSON] else []

    answers = [described.invoke(json.dumps(example).encode()) for example in examples]

    assert {answer.status for answer in answers} <= {200}
