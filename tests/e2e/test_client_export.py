"""`portside export`: each exported file does, as it is, what it is for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.e2e import program
from tests.e2e.conftest import Portside, Served, new_portside

ANSWER = ["ADA LOVELACE LIVES IN LONDON"]

HANDLER = """\
from dataclasses import dataclass

@dataclass
class Texts:
    strings: list[str]

def load_model(model_dir):
    return str.upper

def predict(data: Texts, model) -> list[str]:
    return [model(text) for text in data.strings]
"""


@pytest.fixture(scope="module")
def shouting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portside]:
    """A local AWS with a project of `portside init` deployed; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("shouting")
    command = new_portside(folder / "local")
    command("init", folder / "shout")
    (folder / "shout" / "inference.py").write_text(HANDLER)
    try:
        command("deploy", folder / "shout")
        yield command
    finally:
        command("local", "stop")


@pytest.fixture(scope="module")
def project(shouting: Portside) -> Path:
    return shouting.data.parent / "shout"


def run(argv: list[str], *, variables: dict[str, str], cwd: Path) -> str:
    """What a program prints whose environment holds nothing of AWS's but these variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        argv,
        env=kept | variables | {"NO_PROXY": "127.0.0.1"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def session_variables(variables: dict[str, str]) -> dict[str, str]:
    """Temporary keys, with the token that belongs to them."""
    asked = (
        "import boto3, json; "
        "print(json.dumps(boto3.client('sts').get_session_token()['Credentials'], default=str))"
    )
    given = json.loads(run([sys.executable, "-c", asked], variables=variables, cwd=Path()))
    return variables | {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


# --- Wrong input ----------------------------------------------------------------------


def test_what_cannot_be_exported_is_said(shouting: Portside, project: Path, tmp_path: Path) -> None:
    broken, unknown = tmp_path / "broken.json", tmp_path / "request.xyz"
    broken.write_text("not json")
    unknown.write_text("?")
    cases = {
        ("curl", "nobody"): (1, "there is no endpoint `nobody`"),
        ("soap", "shout"): (2, "'soap' is not one of"),
        ("curl", "shout", "--sample", "missing.json"): (2, "does not exist"),
        ("curl", "shout", "--sample", str(broken)): (2, "is not JSON"),
        ("curl", "shout", "--sample", str(unknown)): (2, "cannot tell the content type"),
        ("curl", "shout", "--project", str(tmp_path)): (2, "not an endpoint of its"),
    }
    for arguments, (code, said) in cases.items():
        done = shouting.run("export", *arguments, cwd=tmp_path)
        assert (done.code, said in done.err) == (code, True), done.err
        assert done.out == ""


# --- Postman --------------------------------------------------------------------------


def newman(folder: Path, environment: Path, variables: dict[str, str]) -> dict[str, Any]:
    """Its count of what was checked."""
    report = folder / "report.json"
    (collection,) = folder.glob("*.postman_collection.json")
    argv = [program.newman(), "run", collection.name, "--environment", str(environment)]
    reporters = ["--reporters", "cli,json", "--reporter-json-export", str(report)]
    run([*argv, *reporters], variables=variables, cwd=folder)
    stats: dict[str, Any] = json.loads(report.read_text())["run"]["stats"]
    return stats


def test_newman_runs_the_collection_with_the_local_keys(
    shouting: Portside, project: Path, tmp_path: Path
) -> None:
    done = shouting("export", "postman", "shout", "--output", tmp_path / "out", cwd=project)

    files = [Path(line) for line in done.out.splitlines()]
    environment = files[1]
    assert [file.name for file in files] == [
        "shout.postman_collection.json",
        "shout.postman_environment.json",
        "shout.request.json",
    ]
    assert environment.stat().st_mode & 0o777 == 0o600
    stats = newman(tmp_path / "out", environment, {})
    assert (stats["requests"]["total"], stats["assertions"]["failed"]) == (2, 0)
    assert stats["assertions"]["total"] == 4


def test_a_secret_file_stays_one_when_it_is_written_again(
    shouting: Portside, project: Path, tmp_path: Path
) -> None:
    environment = tmp_path / "shout.postman_environment.json"
    environment.write_text("{}")
    environment.chmod(0o644)

    shouting("export", "postman", "shout", "--output", tmp_path, cwd=project)

    assert environment.stat().st_mode & 0o777 == 0o600
    assert json.loads(environment.read_text())["values"]


def test_for_aws_no_key_is_written_and_a_token_can_be_filled_in(
    served: Served, tmp_path: Path
) -> None:
    """AWS is whatever boto3 finds; here it finds the local one."""
    body = tmp_path / "words.json"
    body.write_text('{"strings": ["Leon Scott Kennedy"]}')
    out = tmp_path / "out"
    export = ["export", "postman", served.endpoint, "--target", "aws", "--sample", str(body)]
    argv = [sys.executable, "-m", "portside", *export, "--output", str(out)]
    variables = session_variables(served.variables)

    run(argv, variables=variables, cwd=tmp_path)

    written = "".join(file.read_text() for file in out.iterdir())
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    assert [key for key in keys if variables[key] in written] == []
    (environment,) = out.glob("*environment.json")
    filled = json.loads(environment.read_text())
    for value in filled["values"]:
        value["value"] = value["value"] or variables[value["key"]]
    (tmp_path / "filled.json").write_text(json.dumps(filled))
    stats = newman(out, tmp_path / "filled.json", {})
    assert (stats["requests"]["total"], stats["assertions"]["failed"]) == (2, 0)


# --- Snippets -------------------------------------------------------------------------


def exported(shouting: Portside, form: str, *arguments: str | Path, cwd: Path) -> str:
    return shouting("export", form, "shout", *arguments, cwd=cwd).out


@pytest.mark.parametrize("is_temporary", [False, True])
def test_the_curl_script_runs_as_printed(
    shouting: Portside, project: Path, tmp_path: Path, is_temporary: bool
) -> None:
    program.system("curl", package="curl")
    script = exported(shouting, "curl", cwd=project)
    variables = shouting.client_environment()
    if is_temporary:
        variables = session_variables(variables)

    assert json.loads(run(["sh", "-c", script], variables=variables, cwd=tmp_path)) == ANSWER


def test_the_curl_script_sends_a_file_and_fails_without_keys(
    shouting: Portside, project: Path, tmp_path: Path
) -> None:
    program.system("curl", package="curl")
    (tmp_path / "long.json").write_text(json.dumps({"strings": ["a" * 200_000]}))
    script = exported(shouting, "curl", "--sample", "long.json", cwd=tmp_path)

    printed = run(["sh", "-c", script], variables=shouting.client_environment(), cwd=tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    refused = subprocess.run(
        ["sh", "-c", script], env=kept, capture_output=True, text=True, check=False, timeout=60
    )

    assert json.loads(printed) == ["A" * 200_000]
    assert (refused.returncode != 0, "AWS_ACCESS_KEY_ID" in refused.stderr) == (True, True)


def test_the_python_program_runs_as_printed(
    shouting: Portside, project: Path, tmp_path: Path
) -> None:
    file = tmp_path / "ask.py"
    file.write_text(exported(shouting, "python", cwd=project))

    printed = run(
        [sys.executable, str(file)], variables=shouting.client_environment(), cwd=tmp_path
    )

    assert json.loads(printed) == ANSWER


def test_the_javascript_module_runs_as_printed(shouting: Portside, project: Path) -> None:
    folder = program.javascript_sdk()
    file = folder / f"ask-{os.getpid()}.mjs"  # where Node.js looks for the SDK
    try:
        file.write_text(exported(shouting, "javascript", cwd=project))
        argv = [program.system("node", package="nodejs"), str(file)]
        printed = run(argv, variables=shouting.client_environment(), cwd=folder)
    finally:
        file.unlink(missing_ok=True)

    assert json.loads(printed) == ANSWER


# --- OpenAPI --------------------------------------------------------------------------


def test_the_document_is_that_of_the_deployed_artifact(shouting: Portside, tmp_path: Path) -> None:
    (file,) = shouting("export", "openapi", "shout", "--output", tmp_path).out.splitlines()

    document = json.loads(Path(file).read_text())
    validate(document)
    operation = document["paths"]["/endpoints/shout/invocations"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/Texts"}
    assert document["components"]["schemas"]["Texts"]["required"] == ["strings"]


def test_an_artifact_that_cannot_be_served_here(shouting: Portside, tmp_path: Path) -> None:
    broken, failing = tmp_path / "broken.tar.gz", tmp_path / "failing.tar.gz"
    broken.write_bytes(b"no archive")
    (tmp_path / "inference.py").write_text("raise RuntimeError('no luck at import')")
    with tarfile.open(failing, mode="w:gz") as tar:
        tar.add(tmp_path / "inference.py", "code/inference.py")

    refused = shouting.run("export", "openapi", "shout", "--model-data", broken)
    failed = shouting.run("export", "openapi", "shout", "--model-data", failing)

    assert (refused.code, str(broken) in refused.err, refused.out) == (1, True, "")
    assert (failed.code, "cannot serve the artifact here" in failed.err) == (1, True), failed.err
    assert "no luck at import" in failed.err
    assert "portside serve" in failed.err
