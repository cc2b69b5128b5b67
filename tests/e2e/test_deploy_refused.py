"""What `--target aws` says when AWS refuses: a server that answers as AWS does, call by call.

Each message says what was tried and the next step, none has a secret in it, and what was made
before stays said.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.e2e.conftest import Done, Portside, free_port, new_portside
from tests.integration.image_parts import Asked, Says, ScriptedRegistry, debian

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLETOKEN"
ACCOUNT = "123456789012"
UV_CACHE = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
CALLER = f"arn:aws:iam::{ACCOUNT}:user/ada"


@dataclass
class Aws:
    """An account with nothing in it but the image, and refusals, by operation."""

    refusals: dict[str, Says] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def answer(self, asked: Asked) -> Says:
        operation = operation_of(asked)
        self.calls.append(operation)
        return self.refusals.get(operation) or usual(operation, asked)


def operation_of(asked: Asked) -> str:
    """As AWS calls it."""
    target = asked.headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    if b"Action=" in asked.body:
        return parse_qs(asked.body.decode())["Action"][0]
    path, _, query = asked.path.partition("?")
    is_object = path.strip("/").count("/") > 0
    names = {"HEAD": "Head", "GET": "Get", "PUT": "Put", "DELETE": "Delete", "POST": "Post"}
    name = query.partition("=")[0].partition("&")[0]
    return f"{names[asked.method]}{'Object' if is_object else 'Bucket'}{name}"


def usual(operation: str, asked: Asked) -> Says:
    """What is asked for is not there, but for the image; what is to be done is done."""
    match operation:
        case "GetCallerIdentity":
            result = f"<Account>{ACCOUNT}</Account><Arn>{CALLER}</Arn><UserId>A</UserId>"
            return xml(f"<GetCallerIdentityResult>{result}</GetCallerIdentityResult>")
        case "HeadBucket" | "HeadObject":
            return Says(status=404)
        case "ListEndpointConfigs" | "ListModels" | "ListEndpoints":
            return as_json({operation.removeprefix("List"): []})
        case "DescribeEndpoint":
            return refused("ValidationException", "Could not find endpoint", status=400)
        case "DescribeRepositories":
            return as_json({"repositories": [{"repositoryArn": "arn:aws:ecr:::repository/r"}]})
        case "ListTagsForResource":
            return as_json({"tags": [{"Key": "portside:project", "Value": "ner"}]})
        case "DescribeImages":
            digest = json.loads(asked.body)["imageIds"][0]["imageDigest"]
            return as_json({"imageDetails": [{"imageDigest": digest, "imagePushedAt": 0}]})
        case "GetRole" | "GetRolePolicy":
            return xml_error("NoSuchEntity", "There is none", status=404)
        case "GetObject":
            return xml_error("NoSuchKey", "There is none", status=404)
        case "PutObject" | "DeleteObject":
            return Says(headers={"ETag": '"1"'})
        case _ if b"Action=" in asked.body:
            return xml(f"<{operation}Result/>")
        case _:
            return as_json({}) if "x-amz-target" in asked.headers else Says()


def as_json(content: object, *, status: int = 200) -> Says:
    return Says(status=status, body=json.dumps(content).encode())


def refused(code: str, message: str | None, *, status: int = 400) -> Says:
    """As services that speak JSON refuse."""
    return as_json({"__type": code, "message": message}, status=status)


def xml(content: str) -> Says:
    return Says(body=f"<Response>{content}</Response>".encode())


def xml_error(code: str, message: str, *, status: int) -> Says:
    """As S3, IAM and STS refuse: the first without the envelope, which botocore takes as well."""
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Says(status=status, body=f"{body}<RequestId>r</RequestId></ErrorResponse>".encode())


def s3_error(code: str, message: str, *, status: int) -> Says:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Says(status=status, body=body.encode())


def denied(action: str, resource: str) -> str:
    """In IAM's own words. IAM User Guide, "Troubleshoot access denied error messages"."""
    return (
        f"User: {CALLER} is not authorized to perform: {action} on resource: {resource} because "
        f"no identity-based policy allows the {action} action"
    )


@dataclass(frozen=True, kw_only=True)
class Client:
    """The command line before the server."""

    portside: Portside
    folder: Path
    aws: Aws
    url: str

    def run(self, *arguments: str, without: tuple[str, ...] = (), **variables: str) -> Done:
        environment = self.portside.environment | variables
        kept = {name: value for name, value in environment.items() if name not in without}
        done = replace(self.portside, environment=kept).run(*arguments, "--target", "aws")
        assert SECRET not in done.out + done.err
        assert TOKEN not in done.out + done.err
        return done

    def refused(self, operation: str, says: Says, command: str = "status") -> str:
        self.aws.refusals[operation] = says
        done = self.run(command, str(self.folder))
        assert done.code == 1, done.err
        assert "bug" not in done.err
        assert "Traceback" not in done.err
        return done.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("refused") / "ner"
    made.mkdir()
    base = debian("amd64")
    (made / "portside.toml").write_text(f'name = "ner"\n[image]\nbase = "{base}"\n')
    (made / "inference.py").write_text("def predict(data, model):\n    return data\n")
    return made


@pytest.fixture
def client(folder: Path, tmp_path: Path) -> Iterator[Client]:
    aws = Aws()
    with ScriptedRegistry(aws.answer) as server:
        url = f"http://{server.host}"
        portside = new_portside(tmp_path / "local")
        variables = {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_SESSION_TOKEN": TOKEN,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(tmp_path),
        }
        command = replace(portside, environment=portside.environment | variables)
        yield Client(portside=command, folder=folder, aws=aws, url=url)


# --- Before anything is asked -----------------------------------------------------


@pytest.mark.parametrize("region", [None, ""])
def test_no_region(client: Client, region: str | None) -> None:
    variables = {} if region is None else {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    without = ("AWS_REGION",) if region is None else ()

    done = client.run("deploy", str(client.folder), without=without, **variables)

    assert done.code == 1
    assert "cannot choose an AWS region: none is configured" in done.err
    assert "export AWS_REGION=us-east-1" in done.err
    assert client.aws.calls == []


def test_no_keys(client: Client) -> None:
    without = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")

    done = client.run("deploy", str(client.folder), without=without)

    assert done.code == 1
    assert "no AWS credentials were found" in done.err
    assert "`aws configure` or `aws sso login`, or take `--target local`" in done.err
    assert "building" not in done.err, "minutes of work for nobody"


def test_nobody_is_reached(client: Client) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"

    done = client.run("status", str(client.folder), AWS_ENDPOINT_URL=nobody)

    assert done.code == 1
    assert "cannot reach `sagemaker`" in done.err
    assert "check the network, the region and a proxy" in done.err


def test_a_region_that_is_none(client: Client) -> None:
    done = client.run("status", str(client.folder), AWS_REGION="us east 1")

    assert done.code == 1
    assert "us east 1" in done.err
    assert "hint:" in done.err


# --- By whom and when ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("ExpiredToken", "The security token included in the request is expired", "aws sso login"),
        ("InvalidClientTokenId", "The security token is invalid", "check the keys"),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261123T101010Z is now earlier than 20261123T120000Z",
            "sudo timedatectl set-ntp true",
        ),
    ],
)
def test_who_asks_is_refused_at_the_first_call(
    client: Client, code: str, message: str, hint: str
) -> None:
    said = client.refused("GetCallerIdentity", xml_error(code, message, status=403), "deploy")

    assert message in said
    assert hint in said
    assert client.aws.calls == ["GetCallerIdentity"], "nothing is made before that is known"


def test_a_clock_that_s3_finds_wrong(client: Client) -> None:
    message = "The difference between the request time and the current time is too large"
    says = s3_error("RequestTimeTooSkewed", message, status=403)

    said = client.refused("GetBucketversions", says, "destroy")

    assert message in said
    assert "set this machine's clock" in said


# --- A denied action: of each service ------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "command", "says", "action"),
    [
        (
            "DescribeEndpoint",
            "status",
            refused(
                "AccessDeniedException",
                denied(
                    "sagemaker:DescribeEndpoint",
                    f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/ner",
                ),
            ),
            "sagemaker:DescribeEndpoint",
        ),
        (
            "ListRoles",
            "destroy",
            xml_error("AccessDenied", denied("iam:ListRoles", "/portside/"), status=403),
            "iam:ListRoles",
        ),
        (
            "DescribeRepositories",
            "destroy",
            refused(
                "AccessDeniedException",
                denied(
                    "ecr:DescribeRepositories",
                    f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/portside/ner",
                ),
            ),
            "ecr:DescribeRepositories",
        ),
        (
            "GetBucketversions",
            "destroy",
            s3_error("AccessDenied", "Access Denied", status=403),
            "s3:ListBucketVersions",
        ),
    ],
)
def test_a_denied_action_comes_with_the_policy_to_ask_for(
    client: Client, operation: str, command: str, says: Says, action: str
) -> None:
    said = client.refused(operation, says, command)

    words, _, policy = said.partition("ask for this policy for your AWS user or role:")
    statement = json.loads(policy)["Statement"][0]
    assert "was refused" in words
    assert statement["Effect"] == "Allow"
    assert statement["Action"] == [action]
    assert statement["Resource"]


def test_what_another_policy_denies_cannot_be_allowed(client: Client) -> None:
    message = denied("sagemaker:DescribeEndpoint", "*").partition(" because")[0]
    says = refused("AccessDeniedException", f"{message} with an explicit deny in a service control")

    said = client.refused("DescribeEndpoint", says)

    assert "ask who keeps the policy that denies it" in said


def test_throttling_without_a_word_is_tried_again_and_then_told(client: Client) -> None:
    said = client.refused("DescribeEndpoint", refused("ThrottlingException", None))

    assert client.aws.calls.count("DescribeEndpoint") == 3
    assert "`sagemaker:DescribeEndpoint` was refused: ThrottlingException" in said
    assert "None" not in said
    assert "wait a minute and run the same command again" in said


def test_a_page_of_a_proxy_is_not_printed(client: Client) -> None:
    page = Says(status=503, body=b"<!doctype html><title>Blocked by Example Corp</title>")

    said = client.refused("DescribeEndpoint", page)

    assert "HTTP 503, with a page that is none of AWS's answers" in said
    assert "<title>" not in said
    assert "a proxy on the way" in said


# --- While a deployment goes on -------------------------------------------------------


ROLE = f"arn:aws:iam::{ACCOUNT}:role/portside/portside-us-east-1-ner"
QUOTA = (
    "The account-level service limit 'Memory size in MB per serverless endpoint' is 0 MBs, with "
    "current utilization of 0 MBs and a request delta of 2048 MBs"
)


@pytest.mark.parametrize(
    ("operation", "says", "words"),
    [
        ("HeadBucket", Says(status=403), ["another account's, or you may not", "s3:ListBucket"]),
        (
            "PutBucket",
            s3_error("BucketAlreadyExists", "The requested bucket name is taken", status=409),
            ["cannot create the bucket `portside-123456789012-us-east-1`", "another region"],
        ),
        (
            "PutBucketencryption",
            s3_error("AccessDenied", "Access Denied", status=403),
            ["cannot create the bucket", "s3:PutEncryptionConfiguration"],
        ),
        (
            "CreateRole",
            xml_error("AccessDenied", denied("iam:CreateRole", ROLE), status=403),
            ["cannot create the role `portside-us-east-1-ner`", f'"{ROLE}"'],
        ),
        (
            "CreateModel",
            refused("AccessDeniedException", denied("iam:PassRole", ROLE)),
            ["cannot create the Model", '"iam:PassRole"', "2 of ", "steps are done and stay"],
        ),
        (
            "CreateEndpoint",
            refused("ResourceLimitExceeded", QUOTA),
            [
                "cannot create the Endpoint `ner`",
                "is 0 MBs",
                "`Memory size in MB per serverless endpoint` in Service Quotas",
                "steps are done and stay",
                "`portside destroy ",
            ],
        ),
        (
            "CreateEndpointConfig",
            refused("ThrottlingException", None),
            ["was refused: ThrottlingException", "run the same command again"],
        ),
    ],
)
def test_a_refusal_in_the_middle_says_what_is_there_and_what_to_do(
    client: Client, operation: str, says: Says, words: list[str]
) -> None:
    client.aws.refusals[operation] = says
    arguments = ("deploy", str(client.folder), "--image")

    done = client.run(*arguments, UV_CACHE_DIR=UV_CACHE)

    if "could not fetch the dependencies" in done.err:
        pytest.skip(f"the package index is out of reach: {done.err}")
    assert done.code == 1, done.err
    assert not [word for word in words if word not in done.err], done.err
    assert "hint:" in done.err
    assert ("PutObject" in client.aws.calls) == (client.aws.calls[-1] == "DeleteObject"), (
        "a lock that was taken is given back"
    )
