"""Execution roles for Models of a local SageMaker that looks at them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from tests.integration.local_edge import Local

ACCOUNT = "000000000000"


def trusting(service: str = "sagemaker.amazonaws.com") -> str:
    """A trust policy that lets a service assume the role."""
    return _policy({"Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def allowing(*actions: str, resource: str = "*") -> str:
    """A policy that allows actions on a resource."""
    return _policy({"Action": list(actions), "Resource": resource})


def execution_role(
    local: Local, name: str = "serves", *, policy: str | None = None, trust: str | None = None
) -> str:
    """The ARN of a role; SageMaker can read everything with it unless told otherwise."""
    iam = local.client("iam")
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust or trusting())
    document = policy or allowing("s3:GetObject", "ecr:*")
    iam.put_role_policy(RoleName=name, PolicyName="reads", PolicyDocument=document)
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"} | statement]})
