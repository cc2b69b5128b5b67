"""The real process, spoken to by boto3 and by hand: S3, IAM, STS, refusals, and `kill -9`."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from portside.contract import REALTIME_PAYLOAD_BYTES, SERVERLESS_PAYLOAD_BYTES
from portside.local.data_folder import find_running, read_keys
from tests.integration.local_edge import Local, end, start
from tests.integration.local_role import execution_role

MIB = 1024 * 1024
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
POLICY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "ecr:*"], "Resource": "*"}],
    }
)


@pytest.fixture
def begin() -> Iterator[Callable[..., Local]]:
    """Starts one, and another; whatever happens, all of them are ended."""
    started: list[Local] = []

    def begin(path: Path, **variables: str) -> Local:
        started.append(start(path, **variables))
        return started[-1]

    yield begin
    for local in started:
        end(local)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    local = start(tmp_path_factory.mktemp("local"))
    yield local
    end(local)


@pytest.fixture(scope="module")
def s3(local: Local) -> Any:
    s3 = local.client("s3")
    s3.create_bucket(Bucket="models")
    return s3


def status_of(asked: str | urllib.request.Request) -> int:
    try:
        with urllib.request.urlopen(asked) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


# --- S3 ----------------------------------------------------------------------


def test_s3_waits_for_the_store_and_a_bucket_may_be_created_twice(s3: Any) -> None:
    assert s3.create_bucket(Bucket="models")["Location"] == "/models"


@pytest.mark.parametrize(
    "key",
    [
        "plain",
        "a folder/a file.txt",
        "größe/ñ",
        "a+b&c=d?e#f",
        "50%25",
        "~tilde*",
    ],
)
def test_an_object_comes_back_whatever_its_key(s3: Any, key: str) -> None:
    s3.put_object(Bucket="models", Key=key, Body=b"content", Metadata={"by": "test"})

    answer = s3.get_object(Bucket="models", Key=key)

    assert answer["Body"].read() == b"content"
    assert answer["Metadata"] == {"by": "test"}
    assert s3.head_object(Bucket="models", Key=key)["ContentLength"] == len(b"content")
    assert key in [entry["Key"] for entry in s3.list_objects_v2(Bucket="models")["Contents"]]


def test_an_empty_object(s3: Any) -> None:
    s3.put_object(Bucket="models", Key="empty", Body=b"")

    assert s3.get_object(Bucket="models", Key="empty")["Body"].read() == b""


def test_a_part_of_an_object(s3: Any) -> None:
    s3.put_object(Bucket="models", Key="digits", Body=b"0123456789")

    answer = s3.get_object(Bucket="models", Key="digits", Range="bytes=2-4")

    assert answer["Body"].read() == b"234"
    assert answer["ContentRange"] == "bytes 2-4/10"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_a_body_with_a_checksum(s3: Any, algorithm: str) -> None:
    s3.put_object(Bucket="models", Key="sum", Body=b"content", ChecksumAlgorithm=algorithm)

    answer = s3.get_object(Bucket="models", Key="sum", ChecksumMode="ENABLED")

    assert answer["Body"].read() == b"content"


def test_a_body_in_chunks_with_a_trailing_checksum(local: Local, s3: Any) -> None:
    """The form that SDKs use for streams over TLS; written here by hand, for it is never used
    over plain HTTP: chunks, then a checksum as a trailer, none of them covered by the signature.
    """
    content = os.urandom(MIB)
    checksum = base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()
    chunks = b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:%b\r\n\r\n"
    body = chunks % (len(content), content, checksum.encode())
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Decoded-Content-Length": str(len(content)),
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "Content-Length": str(len(body)),
    }

    status = put_by_hand(local, "chunked", body, headers, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")

    assert status == 200
    assert s3.get_object(Bucket="models", Key="chunked")["Body"].read() == content


@pytest.mark.parametrize("size", [1, 3 * MIB])
def test_a_body_that_is_not_what_was_signed_is_not_stored(local: Local, s3: Any, size: int) -> None:
    content, changed = b"a" * size, b"a" * (size - 1) + b"b"
    signed_for = hashlib.sha256(content).hexdigest()

    assert put_by_hand(local, "signed", content, {}, signed_for) == 200
    assert put_by_hand(local, "signed", changed, {}, signed_for) == 400
    assert s3.get_object(Bucket="models", Key="signed")["Body"].read() == content


def put_by_hand(
    local: Local, key: str, body: bytes, headers: dict[str, str], body_hash: str
) -> int:
    """PUT with a declared hash of our choice, signed by botocore; the status."""
    keys = read_keys(local.folder)
    url = f"{local.url}/models/{key}"
    asked = AWSRequest(method="PUT", url=url, headers=headers)
    signer = S3SigV4Auth(Credentials(keys.access_key_id, keys.secret_access_key), "s3", "us-east-1")
    signer.payload = lambda _: body_hash
    signer.add_auth(asked)
    request = urllib.request.Request(url, data=body, method="PUT", headers=dict(asked.headers))
    request.add_header("Content-Type", "")
    return status_of(request)


def test_a_big_object_goes_up_in_parts_and_comes_down_the_same(s3: Any, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(os.urandom(20 * MIB))
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)

    s3.upload_file(str(there), "models", "big", Config=config)
    s3.download_file("models", "big", str(back), Config=config)

    assert back.read_bytes() == there.read_bytes()
    assert s3.head_object(Bucket="models", Key="big")["ETag"].endswith('-3"')


def test_presigned_links_work_without_keys_and_not_when_changed(local: Local) -> None:
    s3 = local.client("s3", config=Config(signature_version="s3v4"))
    put = s3.generate_presigned_url("put_object", {"Bucket": "models", "Key": "by link"})
    request = urllib.request.Request(put, data=b"content", method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200

    get = s3.generate_presigned_url("get_object", {"Bucket": "models", "Key": "by link"})
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == b"content"
    assert status_of(get.replace("by%20link", "plain")) == 403


def test_an_object_can_be_copied_and_removed(s3: Any) -> None:
    s3.put_object(Bucket="models", Key="first", Body=b"content")
    s3.copy_object(Bucket="models", Key="second", CopySource="models/first")
    s3.delete_objects(Bucket="models", Delete={"Objects": [{"Key": "first"}]})

    assert s3.get_object(Bucket="models", Key="second")["Body"].read() == b"content"
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="models", Key="first")


def test_a_bucket_that_is_missing_is_not_made_up(s3: Any) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.put_object(Bucket="missing-bucket", Key="k", Body=b"")


def test_a_bucket_that_is_full_is_not_deleted(s3: Any) -> None:
    s3.create_bucket(Bucket="full-bucket")
    s3.put_object(Bucket="full-bucket", Key="k", Body=b"")

    with pytest.raises(ClientError, match="BucketNotEmpty"):
        s3.delete_bucket(Bucket="full-bucket")


# --- IAM and STS -------------------------------------------------------------


def test_a_role_with_a_policy(local: Local) -> None:
    iam = local.client("iam")
    iam.create_role(RoleName="runs", AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(RoleName="runs", PolicyName="reads", PolicyDocument=POLICY)

    role = iam.get_role(RoleName="runs")["Role"]

    assert role["Arn"] == "arn:aws:iam::000000000000:role/runs"
    assert role["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert iam.list_role_policies(RoleName="runs")["PolicyNames"] == ["reads"]
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_role(RoleName="missing")


def test_the_caller_is_the_account(local: Local) -> None:
    identity = local.client("sts").get_caller_identity()

    assert identity["Account"] == "000000000000"


# --- Refusals ----------------------------------------------------------------

CALLS: dict[str, tuple[str, dict[str, str]]] = {
    "s3": ("list_buckets", {}),
    "iam": ("list_roles", {}),
    "sts": ("get_caller_identity", {}),
    "sagemaker": ("list_endpoints", {}),
    "sagemaker-runtime": ("invoke_endpoint", {"EndpointName": "ner", "Body": "{}"}),
    "logs": ("describe_log_groups", {}),
}


def refusal(client: Any, service: str) -> tuple[int, str]:
    operation, arguments = CALLS[service]
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ("s3", "SignatureDoesNotMatch"),
        ("iam", "SignatureDoesNotMatch"),
        ("sts", "SignatureDoesNotMatch"),
        ("sagemaker", "InvalidSignatureException"),
        ("sagemaker-runtime", "InvalidSignatureException"),
        ("logs", "InvalidSignatureException"),
    ],
)
def test_a_wrong_secret(local: Local, service: str, code: str) -> None:
    client = local.client(service, aws_secret_access_key="wrong")

    assert refusal(client, service) == (403, code)


@pytest.mark.parametrize(
    ("service", "code"),
    [
        ("s3", "InvalidAccessKeyId"),
        ("iam", "InvalidClientTokenId"),
        ("sts", "InvalidClientTokenId"),
        ("sagemaker", "UnrecognizedClientException"),
        ("sagemaker-runtime", "UnrecognizedClientException"),
    ],
)
def test_an_unknown_key(local: Local, service: str, code: str) -> None:
    client = local.client(service, aws_access_key_id="AKIAEXAMPLE")

    assert refusal(client, service) == (403, code)


def test_another_region(local: Local) -> None:
    client = local.client("sagemaker", region_name="eu-west-1")

    assert refusal(client, "sagemaker") == (403, "InvalidSignatureException")


def test_a_service_that_is_not_there_is_named(local: Local) -> None:
    with pytest.raises(ClientError, match="`dynamodb` is not built") as caught:
        local.client("dynamodb").list_tables()

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_an_operation_that_is_not_there_is_named(local: Local) -> None:
    with pytest.raises(ClientError, match="`sagemaker:ListTrainingJobs` is not built"):
        local.client("sagemaker").list_training_jobs()


@pytest.mark.parametrize(
    ("variant", "size", "code", "message"),
    [
        (
            {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1},
            REALTIME_PAYLOAD_BYTES,
            "413",
            f"HTTP content length exceeded {REALTIME_PAYLOAD_BYTES} bytes.",
        ),
        (
            {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}},
            SERVERLESS_PAYLOAD_BYTES,
            "ValidationError",
            "has oversize body.",
        ),
    ],
    ids=["realtime", "serverless"],
)
def test_an_invocation_that_is_too_long(
    local: Local, s3: Any, variant: dict[str, Any], size: int, code: str, message: str
) -> None:
    s3.put_object(Bucket="models", Key="model.tar.gz", Body=artifact())
    name = "serverless" if "ServerlessConfig" in variant else "realtime"
    serve(local, name, variant)
    runtime = local.client("sagemaker-runtime")
    longest = b'"' + b"a" * (size - 2) + b'"'

    answer = runtime.invoke_endpoint(
        EndpointName=name, ContentType="application/json", Body=longest
    )
    with pytest.raises(ClientError, match=re.escape(message)) as caught:
        runtime.invoke_endpoint(
            EndpointName=name, ContentType="application/json", Body=longest + b" "
        )

    assert answer["Body"].read().strip() == str(size - 2).encode()
    assert caught.value.response["Error"]["Code"] == code


def artifact() -> bytes:
    """A `model.tar.gz` that tells how long what it is sent is."""
    code = (
        b"def load_model(model_dir):\n    return len\n\n"
        b"def predict(data, model):\n    return model(data)\n"
    )
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(code)
        tar.addfile(member, io.BytesIO(code))
    return content.getvalue()


def serve(local: Local, name: str, variant: dict[str, Any]) -> None:
    """Have an endpoint of this name InService."""
    sagemaker = local.client("sagemaker")
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=execution_role(local),
        PrimaryContainer={
            "Image": "000000000000.dkr.ecr.us-east-1.amazonaws.com/portside-runtime:1",
            "ModelDataUrl": "s3://models/model.tar.gz",
        },
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[{"VariantName": "AllTraffic", "ModelName": name, **variant}],
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Host": "evil.example"},
    ],
)
def test_a_web_page_cannot_empty_it(local: Local, headers: dict[str, str]) -> None:
    url = f"{local.url}/_portside/reset"

    assert status_of(urllib.request.Request(url, method="POST", headers=headers)) == 403


def test_who_does_not_sign_cannot_empty_it(local: Local, s3: Any) -> None:
    url = f"{local.url}/_portside/reset"

    assert status_of(urllib.request.Request(url, method="POST")) == 403
    assert "models" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_who_asks_how_it_fares_learns_no_more(local: Local) -> None:
    with urllib.request.urlopen(f"{local.url}/_portside/health") as answer:
        health = json.load(answer)

    assert (set(health), health["status"]) == ({"status", "version", "services"}, "running")


# --- Life --------------------------------------------------------------------


def children(local: Local) -> list[psutil.Process]:
    return psutil.Process(local.process.pid).children(recursive=True)


def has_ended(process: psutil.Process) -> bool:
    """Within five seconds; a zombie has ended, whoever is slow to reap it."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_kill_9_loses_nothing_and_leaves_nobody(
    begin: Callable[..., Local], tmp_path: Path
) -> None:
    local = begin(tmp_path)
    s3, iam = local.client("s3"), local.client("iam")
    s3.create_bucket(Bucket="models")
    s3.put_object(Bucket="models", Key="k", Body=b"content")
    role = iam.create_role(RoleName="runs", AssumeRolePolicyDocument=TRUST)["Role"]
    iam.put_role_policy(RoleName="runs", PolicyName="reads", PolicyDocument=POLICY)
    keys, started = read_keys(local.folder), children(local)

    local.process.kill()
    local.process.communicate()

    assert started
    assert all(has_ended(process) for process in started)
    assert find_running(local.folder) is None
    local = begin(tmp_path)
    assert read_keys(local.folder) == keys
    s3, iam = local.client("s3"), local.client("iam")
    assert s3.get_object(Bucket="models", Key="k")["Body"].read() == b"content"
    back = iam.get_role(RoleName="runs")["Role"]
    del back["RoleLastUsed"], back["MaxSessionDuration"]  # CreateRole does not show them
    assert back == {name: role[name] for name in back}
    assert iam.list_role_policies(RoleName="runs")["PolicyNames"] == ["reads"]


def test_it_stops_in_order(begin: Callable[..., Local], tmp_path: Path) -> None:
    local = begin(tmp_path)
    local.client("s3").list_buckets()
    started = children(local)

    assert local.stop() == 0
    assert all(has_ended(process) for process in started)
    assert find_running(local.folder) is None
    assert local.process.communicate()[1] == b""


def test_reset_empties_it(begin: Callable[..., Local], tmp_path: Path) -> None:
    local = begin(tmp_path)
    local.client("s3").create_bucket(Bucket="models")
    local.client("iam").create_role(RoleName="runs", AssumeRolePolicyDocument=TRUST)

    reset(local)

    assert local.client("s3").list_buckets()["Buckets"] == []
    assert local.client("iam").list_roles()["Roles"] == []


def reset(local: Local) -> None:
    """As `portside local reset` does: POST, signed as a call of SageMaker."""
    keys = read_keys(local.folder)
    asked = AWSRequest(method="POST", url=f"{local.url}/_portside/reset", data=b"")
    credentials = Credentials(keys.access_key_id, keys.secret_access_key)
    SigV4Auth(credentials, "sagemaker", "us-east-1").add_auth(asked)
    url, headers = f"{local.url}/_portside/reset", dict(asked.headers)
    assert status_of(urllib.request.Request(url, method="POST", headers=headers)) == 200


def test_the_users_own_settings_are_left_alone(begin: Callable[..., Local], tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("no section, no key")
    local = begin(
        tmp_path / "data",
        HOME=str(tmp_path),
        AWS_PROFILE="nonexistent",
        http_proxy="http://127.0.0.1:9",
    )

    with pytest.raises(ClientError, match="NoSuchEntity"):
        local.client("iam").get_role(RoleName="missing")
    local.client("s3").create_bucket(Bucket="models")


def test_nobody_else_may_read_what_it_keeps(begin: Callable[..., Local], tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir(mode=0o755)
    local = begin(path)
    local.client("s3").create_bucket(Bucket="models")
    local.client("iam").create_role(RoleName="runs", AssumeRolePolicyDocument=TRUST)

    open_to_all = [file for file in [path, *path.rglob("*")] if file.stat().st_mode & 0o077]

    assert {path / "state.sqlite3", path / "gateway.log"} <= set(path.rglob("*"))
    assert open_to_all == []


def test_the_object_store_is_started_again_when_it_dies(
    begin: Callable[..., Local], tmp_path: Path
) -> None:
    local = begin(tmp_path)
    s3 = local.client("s3")
    s3.create_bucket(Bucket="models")
    (store,) = children(local)

    store.kill()

    assert has_ended(store)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(ClientError):
            if s3.list_buckets()["Buckets"]:
                break
        time.sleep(0.05)
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["models"]


def refuse_start(path: Path, *arguments: str, code: int = 1) -> str:
    command = [sys.executable, "-m", "portside.local", "--data", str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == code
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    return done.stderr


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--account", "abc", "argument --account: `abc` is not twelve digits"),
        (
            "--region",
            "us east",
            "argument --region: `us east` is not a region, as us-east-1 is one",
        ),
        ("--port", "65536", "argument --port: `65536` is not a port, 0 to 65535"),
    ],
)
def test_a_wrong_command_line(tmp_path: Path, option: str, value: str, message: str) -> None:
    said = refuse_start(tmp_path, option, value, code=2)

    assert said == f"error: {message}\nhint: run `python -m portside.local --help`\n"


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "gateway.log").mkdir()

    said = refuse_start(tmp_path, "--port", "0")

    assert f"error: could not open the log `{tmp_path}/gateway.log`: Is a directory\n" in said


def test_any_other_error_is_one_line_and_its_traceback_is_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite3").mkdir()

    said = refuse_start(tmp_path, "--port", "0", code=70)

    assert "error: the local SageMaker ended: OperationalError: unable to open" in said
    assert f"hint: read why in `{tmp_path}/gateway.log`\n" in said
    assert "Traceback" in (tmp_path / "gateway.log").read_text()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        said = refuse_start(tmp_path, "--port", str(port))

    assert f"error: could not listen on port `{port}`" in said
    assert f"portside local start --port {port + 1}" in said


def test_a_folder_in_use_names_its_user(local: Local) -> None:
    said = refuse_start(local.folder.path, "--port", "0")

    assert f"process {local.process.pid} uses it" in said


def test_damaged_keys_are_named(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text('{"access_key_id": ')

    said = refuse_start(tmp_path, "--port", "0")

    assert f"could not read the access keys in `{tmp_path}/keys.json`" in said
