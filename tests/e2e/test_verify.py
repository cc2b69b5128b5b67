"""An endpoint is asked after its deployment what the artifact was asked when it was packaged."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from portside.archive import Member, pack, unpack
from tests.e2e.conftest import Portside, new_portside
from tests.integration.tiny_ner import make_checkpoint

pytest.importorskip("torch")

TOML = """
name = "tiny"
[model]
precision = "fp32"
samples = "texts.txt"
[endpoint]
memory_size_mb = {memory}
[endpoint.environment]
SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT = "text/csv"
"""
"""The last line is for clients who name no type; whether it answers rightly does not hang on it."""

TEXTS = ("ada lives in oslo", "bo paints", "in oslo", "lives in", "ada paints oslo", "bo in oslo")


@pytest.fixture(scope="module")
def portside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portside]:
    command = new_portside(tmp_path_factory.mktemp("verify") / "local")
    command("local", "start")
    yield command
    command("local", "stop")


@pytest.fixture(scope="module")
def s3(portside: Portside) -> Any:
    variables = portside.client_environment()
    return boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project") / "tiny"
    make_checkpoint(folder / "model")
    (folder / "texts.txt").write_text("\n".join(TEXTS))
    (folder / "portside.toml").write_text(TOML.format(memory=2048))
    return folder


@pytest.fixture(scope="module")
def deployed(portside: Portside, project: Path) -> str:
    """What the first deployment said."""
    return portside("deploy", project).err


def objects(s3: Any) -> dict[str, bytes]:
    """All that lies in the project's bucket."""
    [bucket] = [one["Name"] for one in s3.list_buckets()["Buckets"] if "portside" in one["Name"]]
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    return {f"{bucket}/{key}": s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_samples_are_answered_as_at_the_packaging(deployed: str) -> None:
    assert "5 samples are answered as at the packaging" in deployed


def test_samples_are_not_on_s3(deployed: str, s3: Any, project: Path) -> None:
    report = json.loads((project / ".portside" / "report.json").read_text())
    assert {one["inputs"] for one in report["asked"]} <= set(TEXTS)

    found = objects(s3)

    assert len(found) > 1  # the artifact, and what is on record
    for name, content in found.items():
        plain = gzip.decompress(content) if name.endswith(".gz") else content
        assert b"report.json" not in plain, name
        assert not any(text.encode() in plain for text in TEXTS), name


def test_another_model_under_the_same_name_is_found_out(
    portside: Portside, deployed: str, s3: Any, project: Path, tmp_path: Path
) -> None:
    replace_artifact(s3, tmp_path, change=swap_labels)
    (project / "portside.toml").write_text(TOML.format(memory=3072))

    again = portside.run("deploy", project)

    assert again.code == 1
    assert "the endpoint `tiny` does not answer as at the packaging" in again.err
    assert "portside rollback" in again.err
    # What ran before is still there to go back to.
    assert len(portside("rollback", "--list", project, "--json").json) == 2
    assert "tiny runs tiny-" in portside("rollback", project).out


def test_one_that_cannot_answer_is_found_out(
    portside: Portside, deployed: str, s3: Any, project: Path, tmp_path: Path
) -> None:
    replace_artifact(s3, tmp_path, change=refuse_all)
    (project / "portside.toml").write_text(TOML.format(memory=4096))

    again = portside.run("deploy", project)

    assert again.code == 1
    assert "the endpoint `tiny` cannot answer a sample request" in again.err
    assert "portside rollback" in again.err


def replace_artifact(s3: Any, scratch: Path, *, change: Callable[[Path], None]) -> None:
    """Put another artifact in the place of the deployed one, whose name is that of its bytes."""
    [(name, content)] = [(n, c) for n, c in objects(s3).items() if n.endswith("model.tar.gz")]
    (scratch / "deployed.tar.gz").write_bytes(content)
    folder = scratch / "model"
    unpack(scratch / "deployed.tar.gz", folder)
    change(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    members = [Member(name=str(path.relative_to(folder)), source=path) for path in files]
    other = pack(members, scratch / "other.tar.gz").path
    bucket, _, key = name.partition("/")
    s3.put_object(Bucket=bucket, Key=key, Body=other.read_bytes())


def swap_labels(folder: Path) -> None:
    """Persons become places."""
    config = folder / "config.json"
    swapped = re.sub(
        "PER|LOC", lambda kind: {"PER": "LOC", "LOC": "PER"}[kind[0]], config.read_text()
    )
    config.write_text(swapped)


def refuse_all(folder: Path) -> None:
    """A handler that fails at each request."""
    code = folder / "code"
    code.mkdir(exist_ok=True)
    (code / "inference.py").write_text(
        "def load_model(model_dir):\n    return None\n\n\n"
        "def predict(data, model):\n    raise ValueError('no')\n"
    )
