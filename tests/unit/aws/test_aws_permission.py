"""Every call in the code has its permission, every permission its call, and the reference says so.

`PORTSIDE_WRITE=1` writes the reference anew.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name

import portside.aws
from portside.aws.permission import PERMISSIONS, Purpose, policy, policy_for
from portside.aws.refusal import hint_for

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "aws-calls.md"
MARK = "<!-- generated from here on: see tests/unit/aws/test_aws_permission.py -->\n"
CLIENTS = {
    "autoscaling": "application-autoscaling",
    "cloudwatch": "cloudwatch",
    "ecr": "ecr",
    "iam": "iam",
    "logs": "logs",
    "runtime": "sagemaker-runtime",
    "s3": "s3",
    "sagemaker": "sagemaker",
    "service_quotas": "service-quotas",
}
"""What `Session` calls them, and what AWS does."""
UPLOAD = (
    "put_object",
    "create_multipart_upload",
    "upload_part",
    "complete_multipart_upload",
    "abort_multipart_upload",
)
"""What boto3's `upload_file` sends."""
POLICIES = {
    "To look: `plan`, `status`, `rollback --list`": (Purpose.PLAN,),
    "To deploy: `deploy`, `rollback`, `build --push`": (Purpose.PLAN, Purpose.DEPLOY),
    "To remove: `destroy`, `reap`, `reap --dry-run`": (Purpose.DESTROY, Purpose.LIST),
    "To list: `ls`": (Purpose.LIST,),
    "To ask for predictions: `invoke`, `export`": (Purpose.INVOKE,),
    "To read logs: `logs`": (Purpose.LOGS,),
    "To look for trouble: `doctor --target aws`": (Purpose.DOCTOR,),
}


def calls_in(source: str) -> Iterator[tuple[str, str]]:
    """Service and operation of each call of a client in a module, as AWS calls them."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            names |= dict(aliases(node.targets[0], node.value))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        service = client_of(node.func.value, names)
        if service is None:
            continue
        operation = node.func.attr
        if operation == "get_paginator":
            assert isinstance(node.args[0], ast.Constant)
            operation = str(node.args[0].value)
        for one in UPLOAD if operation == "upload_file" else (operation,):
            yield service, operations(service)[one]


def aliases(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, other in zip(target.elts, value.elts, strict=True):
            yield from aliases(one, other)
    elif isinstance(target, ast.Name) and (service := client_of(value, {})):
        yield target.id, service


def client_of(node: ast.expr, names: dict[str, str]) -> str | None:
    match node:
        case ast.Attribute(attr=attribute) if attribute in CLIENTS:
            return CLIENTS[attribute]
        case ast.Name(id=name):
            return names.get(name)
        case ast.Call(func=ast.Attribute(attr="client"), args=[ast.Constant(value="sts"), *_]):
            return "sts"
        case _:
            return None


@cache
def operations(service: str) -> dict[str, str]:
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}


def test_each_call_in_the_code_has_its_permission_and_no_other_has() -> None:
    folder = Path(portside.aws.__file__).parent
    found = {call for file in folder.glob("*.py") for call in calls_in(file.read_text())}

    assert found == {(one.service, one.operation) for one in PERMISSIONS}
    assert len(PERMISSIONS) == len(found)


def test_the_analysis_finds_calls_however_they_are_written() -> None:
    source = """
client, owner = session.s3, session.account
lambda: client.head_bucket(Bucket=1)
for page in self._session.logs.get_paginator("filter_log_events").paginate(): page.get("a")
session.s3.upload_file("a")
"""

    assert set(calls_in(source)) >= {
        ("s3", "HeadBucket"),
        ("logs", "FilterLogEvents"),
        ("s3", "UploadPart"),
    }
    with pytest.raises(KeyError):
        set(calls_in("session.s3.guess()"))


def test_policies_are_small_enough_and_narrow() -> None:
    for purposes in POLICIES.values():
        document = policy(purposes)
        # IAM User Guide, IAM quotas: characters of a managed policy, white space not counted.
        assert len(json.dumps(document, separators=(",", ":"))) < 6144
        for statement in document["Statement"]:
            assert not [action for action in statement["Action"] if "*" in action]
    every = policy(Purpose)["Statement"]
    (passed,) = (one for one in every if "iam:PassRole" in one["Action"])
    assert passed["Condition"]["StringEquals"]["iam:PassedToService"] == "sagemaker.amazonaws.com"


@pytest.mark.parametrize(
    ("code", "message", "words"),
    [
        ("AccessDenied", "Access Denied", '"s3:PutObject"'),
        ("403", "Forbidden", '"s3:PutObject"'),
        (
            "AccessDenied",
            "User: u is not authorized to perform: kms:Decrypt on resource: arn:k because no",
            '"kms:Decrypt"',
        ),
        ("AccessDenied", "denied with an explicit deny in a policy", "ask who keeps the policy"),
        ("SlowDown", "Reduce your request rate", "wait a minute"),
        ("X", "Signature not yet current: 1 is still later than 2", "set this machine's clock"),
        ("ResourceLimitExceeded", "The limit is reached", "ask for more of it in Service Quotas"),
    ],
)
def test_refusals_have_a_next_step(code: str, message: str, words: str) -> None:
    assert words in (hint_for("s3", "PutObject", code=code, message=message) or "")


def test_what_is_unknown_has_none() -> None:
    assert hint_for("s3", "PutObject", code="Odd", message="odd") is None
    assert policy_for("sts", "GetCallerIdentity") is None
    assert "named above" in str(hint_for("sts", "X", code="AccessDenied", message="no"))


# --- The reference ------------------------------------------------------------------


def as_markdown() -> str:
    lines = ["## Calls", "", "| call | made by | IAM action | on |", "|---|---|---|---|"]
    for one in PERMISSIONS:
        purposes = ", ".join(f"`{each}`" for each in Purpose if each in one.purposes)
        actions = "<br>".join(f"`{action}`" for action, _ in one.actions) or "none is needed"
        resources = "<br>".join(f"`{shortened(on)}`" for _, on in one.actions)
        call = f"`{one.service}:{one.operation}`"
        lines.append(f"| {call} | {purposes} | {actions} | {resources} |")
    lines += ["", "## Policies", ""]
    for title, purposes in POLICIES.items():
        document = json.dumps(policy(purposes), indent=2)
        lines += [f"### {title}", "", "```json", document, "```", ""]
    return "\n".join(lines)


def shortened(resource: str) -> str:
    return resource.rpartition(":")[2] if resource != "*" else resource


def test_the_reference_is_that_of_the_code() -> None:
    prose, mark, tables = DOCUMENT.read_text(encoding="utf-8").partition(MARK)
    if os.environ.get("PORTSIDE_WRITE"):
        DOCUMENT.write_text(f"{prose}{MARK}\n{as_markdown()}", encoding="utf-8")
        tables = as_markdown()

    assert mark
    assert tables.strip() == as_markdown().strip()
