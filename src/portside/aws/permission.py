"""What each call needs to be allowed: IAM's actions and resources, by service and operation.

    call denied ─▶ statement_for ─▶ the JSON to ask for, in the hint
    all calls of some commands ─▶ policy ─▶ docs/reference/aws-calls.md

As a rule an action is called as its operation; the exceptions stand here by name. Source: Service
Authorization Reference, "Actions, resources, and condition keys" of each service; S3 User Guide,
"Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Purpose(StrEnum):
    """What a user runs."""

    PLAN = "plan"
    DEPLOY = "deploy"
    DESTROY = "destroy"
    LIST = "ls"
    INVOKE = "invoke"
    LOGS = "logs"
    DOCTOR = "doctor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A call, who makes it, and the actions that it needs, each on its resources."""

    service: str
    operation: str
    purposes: frozenset[Purpose]
    actions: tuple[tuple[str, str], ...]
    """Action and resource, `ACCOUNT` and `REGION` in the user's place."""


_BUCKET: Final = "arn:aws:s3:::portside-ACCOUNT-REGION"
_OBJECTS: Final = f"{_BUCKET}/*"
_ROLES: Final = "arn:aws:iam::ACCOUNT:role/portside/*"
_ANY_ROLE: Final = "arn:aws:iam::ACCOUNT:role/*"
"""Of the user's own, which `role` in the configuration names."""
_LINKED_ROLE: Final = (
    "arn:aws:iam::ACCOUNT:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*"
)
"""What Application Auto Scaling works with, made when it is first used in an account."""
_REPOSITORIES: Final = "arn:aws:ecr:REGION:ACCOUNT:repository/portside/*"
_MODELS: Final = "arn:aws:sagemaker:REGION:ACCOUNT:model/*"
_CONFIGS: Final = "arn:aws:sagemaker:REGION:ACCOUNT:endpoint-config/*"
_ENDPOINTS: Final = "arn:aws:sagemaker:REGION:ACCOUNT:endpoint/*"
_ALARMS: Final = "arn:aws:cloudwatch:REGION:ACCOUNT:alarm:*"
_LOGS: Final = "arn:aws:logs:REGION:ACCOUNT:log-group:/aws/sagemaker/Endpoints/*"
_ANY: Final = "*"
"""What IAM cannot narrow, or what lists everything."""

_PLAN: Final = (Purpose.PLAN, Purpose.DEPLOY)
_CHANGE: Final = (Purpose.DEPLOY, Purpose.DESTROY)
_LOOK: Final = (Purpose.PLAN, Purpose.DEPLOY, Purpose.DESTROY)
_EVERY: Final = tuple(Purpose)


def _row(
    service: str, operation: str, purposes: Iterable[Purpose], *actions: tuple[str, str]
) -> Permission:
    return Permission(
        service=service, operation=operation, purposes=frozenset(purposes), actions=actions
    )


def _plain(service: str, operation: str, purposes: Iterable[Purpose], resource: str) -> Permission:
    """A call whose action is called as itself."""
    prefix = {"sagemaker-runtime": "sagemaker", "service-quotas": "servicequotas"}.get(
        service, service
    )
    return _row(service, operation, purposes, (f"{prefix}:{operation}", resource))


PERMISSIONS: Final[tuple[Permission, ...]] = (
    _row("sts", "GetCallerIdentity", _EVERY),  # needs no permission
    # The bucket: its name is the same for all projects of an account and region.
    _row("s3", "HeadBucket", _LOOK, ("s3:ListBucket", _BUCKET)),
    _row("s3", "CreateBucket", _CHANGE, ("s3:CreateBucket", _BUCKET)),
    _row("s3", "GetBucketEncryption", _PLAN, ("s3:GetEncryptionConfiguration", _BUCKET)),
    _row("s3", "GetPublicAccessBlock", _PLAN, ("s3:GetBucketPublicAccessBlock", _BUCKET)),
    _row("s3", "GetBucketVersioning", _PLAN, ("s3:GetBucketVersioning", _BUCKET)),
    _row("s3", "PutBucketEncryption", _CHANGE, ("s3:PutEncryptionConfiguration", _BUCKET)),
    _row("s3", "PutPublicAccessBlock", _CHANGE, ("s3:PutBucketPublicAccessBlock", _BUCKET)),
    _row("s3", "PutBucketVersioning", _CHANGE, ("s3:PutBucketVersioning", _BUCKET)),
    _row("s3", "DeleteBucket", [Purpose.DESTROY], ("s3:DeleteBucket", _BUCKET)),
    _row("s3", "ListObjectsV2", _LOOK, ("s3:ListBucket", _BUCKET)),
    _row("s3", "ListObjectVersions", _CHANGE, ("s3:ListBucketVersions", _BUCKET)),
    _row("s3", "ListMultipartUploads", _CHANGE, ("s3:ListBucketMultipartUploads", _BUCKET)),
    # Objects. Without `s3:ListBucket` a missing one would be answered 403, not 404.
    _row("s3", "HeadObject", _PLAN, ("s3:GetObject", _OBJECTS), ("s3:ListBucket", _BUCKET)),
    _row("s3", "GetObject", [*_LOOK, Purpose.INVOKE], ("s3:GetObject", _OBJECTS)),
    # A condition on what lies there counts as reading it.
    _row(
        "s3",
        "PutObject",
        [*_CHANGE, Purpose.INVOKE],
        ("s3:PutObject", _OBJECTS),
        ("s3:GetObject", _OBJECTS),
    ),
    _row("s3", "CreateMultipartUpload", [Purpose.DEPLOY], ("s3:PutObject", _OBJECTS)),
    _row("s3", "UploadPart", [Purpose.DEPLOY], ("s3:PutObject", _OBJECTS)),
    _row("s3", "CompleteMultipartUpload", [Purpose.DEPLOY], ("s3:PutObject", _OBJECTS)),
    _row("s3", "AbortMultipartUpload", _CHANGE, ("s3:AbortMultipartUpload", _OBJECTS)),
    _row("s3", "DeleteObject", _CHANGE, ("s3:DeleteObject", _OBJECTS), ("s3:GetObject", _OBJECTS)),
    _row(
        "s3",
        "DeleteObjects",
        _CHANGE,
        ("s3:DeleteObject", _OBJECTS),
        ("s3:DeleteObjectVersion", _OBJECTS),
    ),
    # Images.
    _plain("ecr", "DescribeRepositories", _LOOK, _REPOSITORIES),
    _plain("ecr", "ListTagsForResource", _LOOK, _REPOSITORIES),
    _plain("ecr", "DescribeImages", _PLAN, _REPOSITORIES),
    _plain("ecr", "BatchCheckLayerAvailability", _PLAN, _REPOSITORIES),
    _row(
        "ecr",
        "CreateRepository",
        [Purpose.DEPLOY],
        ("ecr:CreateRepository", _REPOSITORIES),
        ("ecr:TagResource", _REPOSITORIES),
    ),
    _plain("ecr", "InitiateLayerUpload", [Purpose.DEPLOY], _REPOSITORIES),
    _plain("ecr", "UploadLayerPart", [Purpose.DEPLOY], _REPOSITORIES),
    _plain("ecr", "CompleteLayerUpload", [Purpose.DEPLOY], _REPOSITORIES),
    _plain("ecr", "PutImage", [Purpose.DEPLOY], _REPOSITORIES),
    _plain("ecr", "TagResource", [Purpose.DEPLOY], _REPOSITORIES),
    _plain("ecr", "UntagResource", [Purpose.DEPLOY], _REPOSITORIES),
    _plain("ecr", "DeleteRepository", [Purpose.DESTROY], _REPOSITORIES),
    # Execution roles, each below the path `/portside/`.
    _plain("iam", "GetRole", [*_LOOK, Purpose.DOCTOR], _ANY_ROLE),
    _plain("iam", "GetRolePolicy", [*_LOOK, Purpose.DOCTOR], _ANY_ROLE),
    _plain("iam", "ListRoles", [Purpose.DESTROY], _ANY),
    _plain("iam", "SimulatePrincipalPolicy", [Purpose.DEPLOY, Purpose.DOCTOR], _ANY),
    _row(
        "iam", "CreateRole", [Purpose.DEPLOY], ("iam:CreateRole", _ROLES), ("iam:TagRole", _ROLES)
    ),
    _plain("iam", "UpdateAssumeRolePolicy", [Purpose.DEPLOY], _ROLES),
    _plain("iam", "PutRolePolicy", [Purpose.DEPLOY], _ROLES),
    _plain("iam", "TagRole", [Purpose.DEPLOY], _ROLES),
    _plain("iam", "UntagRole", [Purpose.DEPLOY], _ROLES),
    _plain("iam", "DeleteRolePolicy", [Purpose.DESTROY], _ROLES),
    _plain("iam", "DeleteRole", [Purpose.DESTROY], _ROLES),
    # SageMaker. What carries tags from its making on needs `AddTags` as well.
    _plain("sagemaker", "DescribeModel", [*_LOOK, Purpose.DOCTOR], _MODELS),
    _plain(
        "sagemaker",
        "DescribeEndpointConfig",
        [*_LOOK, Purpose.LIST, Purpose.INVOKE, Purpose.DOCTOR],
        _CONFIGS,
    ),
    _plain(
        "sagemaker",
        "DescribeEndpoint",
        [*_LOOK, Purpose.LIST, Purpose.INVOKE, Purpose.LOGS, Purpose.DOCTOR],
        _ENDPOINTS,
    ),
    _plain("sagemaker", "ListModels", _LOOK, _ANY),
    _plain("sagemaker", "ListEndpointConfigs", [*_LOOK, Purpose.DOCTOR], _ANY),
    _plain("sagemaker", "ListEndpoints", [*_LOOK, Purpose.LIST, Purpose.DOCTOR], _ANY),
    _row(
        "sagemaker",
        "ListTags",
        [*_LOOK, Purpose.LIST],
        *(("sagemaker:ListTags", of) for of in (_ENDPOINTS, _CONFIGS, _MODELS)),
    ),
    _row(
        "sagemaker",
        "CreateModel",
        [Purpose.DEPLOY],
        ("sagemaker:CreateModel", _MODELS),
        ("sagemaker:AddTags", _MODELS),
        ("iam:PassRole", _ROLES),
    ),
    _row(
        "sagemaker",
        "CreateEndpointConfig",
        [Purpose.DEPLOY],
        ("sagemaker:CreateEndpointConfig", _CONFIGS),
        ("sagemaker:AddTags", _CONFIGS),
    ),
    _row(
        "sagemaker",
        "CreateEndpoint",
        [Purpose.DEPLOY],
        ("sagemaker:CreateEndpoint", _ENDPOINTS),
        ("sagemaker:CreateEndpoint", _CONFIGS),
        ("sagemaker:AddTags", _ENDPOINTS),
    ),
    _row(
        "sagemaker",
        "UpdateEndpoint",
        [Purpose.DEPLOY],
        ("sagemaker:UpdateEndpoint", _ENDPOINTS),
        ("sagemaker:UpdateEndpoint", _CONFIGS),
    ),
    *(
        _row(
            "sagemaker",
            operation,
            [Purpose.DEPLOY],
            *((f"sagemaker:{operation}", of) for of in (_ENDPOINTS, _CONFIGS, _MODELS)),
        )
        for operation in ("AddTags", "DeleteTags")
    ),
    _plain("sagemaker", "DeleteEndpoint", _CHANGE, _ENDPOINTS),
    _plain("sagemaker", "DeleteEndpointConfig", _CHANGE, _CONFIGS),
    _plain("sagemaker", "DeleteModel", _CHANGE, _MODELS),
    # Predictions; `deploy` asks one to see that it is answered.
    _plain("sagemaker-runtime", "InvokeEndpoint", [Purpose.DEPLOY, Purpose.INVOKE], _ENDPOINTS),
    _plain("sagemaker-runtime", "InvokeEndpointWithResponseStream", [Purpose.INVOKE], _ENDPOINTS),
    _plain("sagemaker-runtime", "InvokeEndpointAsync", [Purpose.INVOKE], _ENDPOINTS),
    # Auto scaling. Its policies make and remove alarms in the caller's name.
    _plain("application-autoscaling", "DescribeScalableTargets", _LOOK, _ANY),
    _plain("application-autoscaling", "DescribeScalingPolicies", _PLAN, _ANY),
    _row(
        "application-autoscaling",
        "RegisterScalableTarget",
        [Purpose.DEPLOY],
        ("application-autoscaling:RegisterScalableTarget", _ANY),
        (
            "iam:CreateServiceLinkedRole",
            _LINKED_ROLE,
        ),
    ),
    _row(
        "application-autoscaling",
        "PutScalingPolicy",
        [Purpose.DEPLOY],
        ("application-autoscaling:PutScalingPolicy", _ANY),
        ("cloudwatch:PutMetricAlarm", _ALARMS),
        ("cloudwatch:DescribeAlarms", _ANY),
    ),
    _row(
        "application-autoscaling",
        "DeleteScalingPolicy",
        [Purpose.DEPLOY],
        ("application-autoscaling:DeleteScalingPolicy", _ANY),
        ("cloudwatch:DeleteAlarms", _ALARMS),
    ),
    _row(
        "application-autoscaling",
        "DeregisterScalableTarget",
        _CHANGE,
        ("application-autoscaling:DeregisterScalableTarget", _ANY),
        ("cloudwatch:DeleteAlarms", _ALARMS),
    ),
    _plain("cloudwatch", "DescribeAlarms", _LOOK, _ANY),
    _plain("cloudwatch", "PutMetricAlarm", [Purpose.DEPLOY], _ALARMS),
    _plain("cloudwatch", "DeleteAlarms", _CHANGE, _ALARMS),
    _plain("cloudwatch", "GetMetricData", [Purpose.LIST, Purpose.DOCTOR], _ANY),
    # What instances print; shown while one starts.
    _plain("logs", "DescribeLogStreams", [Purpose.DEPLOY, Purpose.LOGS, Purpose.DOCTOR], _LOGS),
    _plain("logs", "FilterLogEvents", [Purpose.DEPLOY, Purpose.LOGS, Purpose.DOCTOR], _LOGS),
    _plain("logs", "GetLogEvents", [Purpose.DEPLOY, Purpose.LOGS, Purpose.DOCTOR], _LOGS),
    _plain("service-quotas", "ListServiceQuotas", [Purpose.DOCTOR], _ANY),
)
"""Every call that Portside can make."""

_BY_CALL: Final = {(one.service, one.operation): one for one in PERMISSIONS}
_PASSED: Final = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}


def policy(purposes: Iterable[Purpose]) -> dict[str, Any]:
    """The least that a user needs for some purposes, as IAM takes it."""
    wanted = set(purposes)
    return _document(pair for one in PERMISSIONS if one.purposes & wanted for pair in one.actions)


def policy_for(service: str, operation: str) -> dict[str, Any] | None:
    """What one call needs; None for one that needs nothing."""
    found = _BY_CALL.get((service, operation))
    return _document(found.actions) if found and found.actions else None


def _document(actions: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """One statement for each set of resources, in the order of the table."""
    resources: dict[str, dict[str, None]] = {}
    for action, resource in actions:
        resources.setdefault(action, {})[resource] = None
    grouped: dict[tuple[str, ...], list[str]] = {}
    for action, found in resources.items():
        key = (*found, "passed") if action == "iam:PassRole" else tuple(found)
        grouped.setdefault(key, []).append(action)
    statements = [
        {
            "Effect": "Allow",
            "Action": sorted(names),
            "Resource": [one for one in key if one != "passed"],
        }
        | ({"Condition": _PASSED} if "passed" in key else {})
        for key, names in grouped.items()
    ]
    return {"Version": "2012-10-17", "Statement": statements}
