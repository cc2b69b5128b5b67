"""Whether an execution role of the user's own lets an endpoint run, before anything needs it.

role there? ─▶ SageMaker may assume it? ─▶ does it allow all that the endpoint needs?
               └─ else the trust policy       └─ else what it lacks, as a policy to paste
"""

from __future__ import annotations

import json
from collections.abc import Callable

from portside.aws import iam
from portside.aws.session import Session
from portside.deploy.desired.name import POLICY
from portside.deploy.desired.resources import GivenRole
from portside.errors import DeployError


def check_role(session: Session, role: GivenRole, *, note: Callable[[str], None]) -> None:
    """Raise `DeployError` where the role is not there, or does not let the endpoint run.

    `note` is told what it needs where AWS does not say what it allows.
    """
    found = iam.get_role(session, role.name, policy_name=POLICY)
    if found is None:
        raise DeployError(
            f"cannot use the role `{role.arn}`: there is none of this name",
            hint="set `role` to the ARN of one that is there, or remove the key",
        )
    if not _trusts(found.trust):
        raise DeployError(
            f"cannot use the role `{role.arn}`: SageMaker may not assume it",
            hint=f"set its trust policy to:\n{json.dumps(role.trust, indent=2)}",
        )
    missing = iam.denied_actions(session, role.arn, policy=role.policy)
    if missing is None:
        note(
            f"what `{role.name}` allows was not checked, since `iam:SimulatePrincipalPolicy` "
            "is not to be had; it needs:\n" + json.dumps(role.policy, indent=2)
        )
    elif missing:
        document = {"Version": "2012-10-17", "Statement": missing}
        raise DeployError(
            f"cannot use the role `{role.arn}`: it does not allow all that the endpoint needs",
            hint=f"add this policy to it:\n{json.dumps(document, indent=2)}",
        )


def _trusts(trust: dict[str, object]) -> bool:
    """Whether SageMaker stands in a statement that allows; conditions are left to AWS."""
    statements = trust.get("Statement", [])
    return any(
        isinstance(one, dict)
        and one.get("Effect") == "Allow"
        and "sagemaker.amazonaws.com" in json.dumps(one.get("Principal", ""))
        for one in (statements if isinstance(statements, list) else [statements])
    )
