"""One SageMaker resource as a value, and how its ARN is spelled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The kinds of resource there are, named as in their ARNs."""

    MODEL = "model"
    ENDPOINT_CONFIG = "endpoint-config"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A row of the store: what lists sort and filter by, and the rest as `members`.

    `members` is plain JSON. `status` is empty for kinds that have none.
    """

    kind: Kind
    account: str
    region: str
    name: str
    creation_time_ms: int
    last_modified_time_ms: int
    status: str = ""
    members: dict[str, Any]

    @property
    def arn(self) -> str:
        """Its ARN, which is also its key: one per account, region, kind and lower-cased name."""
        return arn_of(self.kind, self.name, account=self.account, region=self.region)


def arn_of(kind: Kind, name: str, *, account: str, region: str) -> str:
    """The ARN of a resource.

    It carries the lower-cased name (seen on AWS: aws/amazon-sagemaker-examples#293),
    so names are unique whatever their case.
    """
    return f"arn:{partition_of(region)}:sagemaker:{region}:{account}:{kind}/{name.lower()}"


def partition_of(region: str) -> str:
    """The first part of every ARN of a region."""
    if region.startswith("cn-"):
        return "aws-cn"
    if region.startswith("us-gov-"):
        return "aws-us-gov"
    return "aws"
