"""What things are called: names that follow from the project, so that nothing is looked up."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Final

DIGEST_LENGTH: Final = 10
"""Hex digits of a digest in a name: 40 bits, against chance meetings among one project's own."""

POLICY: Final = "portside"
"""The inline policy of a role."""

ROLE_PATH: Final = "/portside/"
"""Of every role that Portside makes: by it they are listed, and `iam:PassRole` can be narrowed."""

_ROLE_LENGTH: Final = 64
"""BC iam, roleNameType."""

_TAG_LENGTH: Final = 12
"""Hex digits of an image's digest in its tag."""


def bucket_name(*, account: str, region: str) -> str:
    """The bucket of an account and region; S3's names are one space for everybody."""
    return f"portside-{account}-{region}"


def artifact_prefix(project: str) -> str:
    """Where in the bucket a project's artifacts lie; no project's prefix begins another's."""
    return f"{project}/artifacts/"


def data_prefix(project: str, endpoint: str, what: str) -> str:
    """Where what an endpoint reads and writes lies; what users put there outlives `destroy`."""
    return f"{project}/{what}/{endpoint}/"


def repository_name(project: str) -> str:
    """ECR has lower case alone, and one separator at a time. BC ecr, RepositoryName."""
    return f"portside/{re.sub(r'-+', '-', project.lower())}"


def image_tag(digest: str) -> str:
    """The tag of an image with this digest (`sha256:…`)."""
    return digest.removeprefix("sha256:")[:_TAG_LENGTH]


def role_name(endpoint: str, *, region: str) -> str:
    """The name of an endpoint's execution role; roles are not of a region, what they allow is."""
    name = f"portside-{region}-{endpoint}"
    if len(name) <= _ROLE_LENGTH:
        return name
    return f"{name[: _ROLE_LENGTH - DIGEST_LENGTH - 1]}-{digest_of(name)[:DIGEST_LENGTH]}"


def digest_of(fields: object) -> str:
    """SHA-256 of a value, whatever the order of its keys."""
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def addressed(endpoint: str, fields: dict[str, Any]) -> tuple[str, str]:
    """`<endpoint>-<first ten hex digits>` and the whole digest; `config` keeps names short."""
    digest = digest_of(fields)
    return f"{endpoint}-{digest[:DIGEST_LENGTH]}", digest


def is_addressed(name: str, endpoint: str) -> bool:
    """Whether a Model or EndpointConfig may be one of an endpoint's: so they are called."""
    return re.fullmatch(rf"{re.escape(endpoint)}-[0-9a-f]{{{DIGEST_LENGTH}}}", name) is not None


def resource_id(endpoint: str, variant: str) -> str:
    """What Application Auto Scaling calls a variant. DG endpoint-auto-scaling-policy."""
    return f"endpoint/{endpoint}/variant/{variant}"


def wake_alarm(endpoint: str) -> str:
    """The alarm that wakes an asynchronous endpoint without an instance."""
    return f"portside-{endpoint}-wake"
