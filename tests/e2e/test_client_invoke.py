"""`portside invoke`: files and streams, limits known beforehand, and where the time went.

The target is AWS, which here is whatever boto3 finds: the local one that the clients of
others are tried with.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from portside.client.connection import measure_connect_ms
from tests.e2e.conftest import QUICKLY, ROLE, Done, Served, free_port

REQUEST = '{"strings": ["Grace Hopper"]}'

COUNTING_DOWN = """\
import time

def load_model(model_dir):
    pass

def predict(data, model):
    yield "first"
    time.sleep(data["wait_s"])
    yield "last"
"""


def start(served: Served, *arguments: str | Path, **variables: str) -> subprocess.Popen[bytes]:
    environment = served.environment | {"NO_COLOR": "1", **variables}
    return subprocess.Popen(
        [sys.executable, "-m", "portside", "invoke", *map(str, arguments), "--target", "aws"],
        env={name: value for name, value in environment.items() if value},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def invoke(served: Served, *arguments: str | Path, stdin: bytes = b"", **variables: str) -> Done:
    process = start(served, *arguments, **variables)
    out, err = process.communicate(stdin, timeout=60)
    return Done(code=process.returncode, out=out.decode(), err=err.decode())


@pytest.fixture(scope="module")
def slow(served: Served) -> Iterator[str]:
    """A serverless endpoint that streams its answer in two parts."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(COUNTING_DOWN)
        tar.addfile(member, io.BytesIO(COUNTING_DOWN.encode()))
    session = boto3.session.Session(
        served.variables["AWS_ACCESS_KEY_ID"],
        served.variables["AWS_SECRET_ACCESS_KEY"],
        region_name=served.variables["AWS_REGION"],
    )
    s3, sagemaker = (session.client(name, endpoint_url=served.url) for name in ("s3", "sagemaker"))  # type: ignore[call-overload]  # names from a tuple
    s3.put_object(Bucket=served.bucket, Key="slow/model.tar.gz", Body=content.getvalue())
    container = {"Image": served.image, "ModelDataUrl": f"s3://{served.bucket}/slow/model.tar.gz"}
    sagemaker.create_model(ModelName="slow", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    variant: dict[str, Any] = {"VariantName": "AllTraffic", "ModelName": "slow"}
    sagemaker.create_endpoint_config(
        EndpointConfigName="slow",
        ProductionVariants=[{**variant, "ServerlessConfig": serverless}],
    )
    sagemaker.create_endpoint(EndpointName="slow", EndpointConfigName="slow")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="slow", WaiterConfig=QUICKLY)
    yield "slow"
    sagemaker.delete_endpoint(EndpointName="slow")


# --- Wrong input ----------------------------------------------------------------------


def test_what_cannot_be_sent_is_said_before_it_is(served: Served, tmp_path: Path) -> None:
    (tmp_path / "request.xyz").write_text(REQUEST)
    cases: dict[tuple[str, ...], tuple[int, str]] = {
        ("--data", REQUEST, "--file", str(tmp_path / "request.xyz")): (2, "either `--data`"),
        ("--file", str(tmp_path / "missing.json")): (2, "does not exist"),
        ("--file", str(tmp_path / "request.xyz")): (2, "cannot tell the content type"),
        ("--data", "not json"): (1, "answered 400"),
        ("--data", REQUEST, "--variant", "green"): (1, "Variant green"),
        ("--data", REQUEST, "--async", "--stream"): (2, "with `--stream`"),
        ("--data", REQUEST, "--async"): (2, "not asynchronous but real-time"),
    }
    for arguments, (code, said) in cases.items():
        done = invoke(served, served.endpoint, *arguments)
        assert (done.code, said in done.err) == (code, True), done.err
        assert "hint:" in done.err or "Usage" in done.err
        assert done.out == ""


def test_a_file_that_serverless_does_not_take_is_not_sent(
    served: Served, slow: str, tmp_path: Path
) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(b'"' + b"a" * 4 * 1024 * 1024 + b'"')

    done = invoke(served, slow, "--file", large)
    piped = invoke(served, slow, "--file", "-", stdin=large.read_bytes())

    assert (done.code, piped.code) == (2, 2)
    assert "a serverless endpoint has at most 4,194,304" in done.err
    assert "`async`" in done.err
    assert piped.err == done.err


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials were found"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "signature"),
        ({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}, "cannot reach"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "region"),
    ],
)
def test_who_cannot_call_is_told_why(
    served: Served, tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    alone = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }

    done = invoke(served, served.endpoint, "--data", REQUEST, **alone, **variables)

    assert (done.code, said in done.err, "hint:" in done.err) == (1, True, True), done.err
    assert "Traceback" not in done.err


# --- What is sent, and what comes back ------------------------------------------------


def test_files_and_stdin_with_the_type_that_the_name_tells(served: Served, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(REQUEST)
    (tmp_path / "request.csv").write_text("a,b\n")
    output = tmp_path / "answer.json"

    by_name = invoke(served, served.endpoint, "--file", tmp_path / "request.json", "--json")
    by_pipe = invoke(served, served.endpoint, "--file", "-", "--json", stdin=REQUEST.encode())
    to_file = invoke(served, served.endpoint, "--data", REQUEST, "--output", output)
    as_csv = invoke(served, served.endpoint, "--file", tmp_path / "request.csv")

    assert json.loads(by_name.out) == json.loads(by_pipe.out) == [2]
    assert (to_file.out, json.loads(output.read_text())) == ("", [2])
    assert (as_csv.code, "portside logs" in as_csv.err) == (1, True)  # rows are no dict


def test_where_the_time_went(served: Served) -> None:
    done = invoke(served, served.endpoint, "--data", REQUEST, "--timings")

    rows = dict(line.split("  ", 1) for line in done.err.splitlines() if "  " in line)
    shown = {name: value.strip() for name, value in rows.items()}
    assert json.loads(done.out) == [2]
    assert shown["sent"] == f"{len(REQUEST)} bytes"
    assert shown["received"] == "3 bytes"
    first, whole = (float(shown[name].split()[0]) for name in ("first byte", "whole answer"))
    assert 0 < first <= whole
    assert float(shown["connect"].split()[0]) < 1000


def test_a_connection_that_does_not_come_about_is_not_measured() -> None:
    assert measure_connect_ms(f"http://127.0.0.1:{free_port()}") is None


def test_a_streamed_answer_is_printed_as_it_comes(served: Served, slow: str) -> None:
    process = start(served, slow, "--data", '{"wait_s": 2}', "--stream", "--json")
    if process.stdout is None:
        raise RuntimeError("the process has no pipe")

    first = process.stdout.read1()
    came_s = time.monotonic()
    rest, _ = process.communicate(timeout=60)
    waited_s = time.monotonic() - came_s

    assert first + rest == b"firstlast"
    assert first == b"first"
    assert waited_s > 0.5


def test_one_too_many_at_once_is_throttled(served: Served, slow: str) -> None:
    first = start(served, slow, "--data", '{"wait_s": 5}', "--stream", "--json")
    if first.stdout is None:
        raise RuntimeError("the process has no pipe")
    first.stdout.read1()

    done = invoke(served, slow, "--data", '{"wait_s": 0}')
    first.communicate(timeout=60)

    assert (done.code, first.returncode) == (1, 0)
    assert "all that it may do at once is busy" in done.err
    assert "max_concurrency" in done.err
