"""Whether a Model's execution role lets SageMaker read what the Model is made of.

    role there? ─▶ SageMaker may assume it? ─▶ its policies, within its boundary, allow it?

What SageMaker does with a role is to assume it and to fetch the artifact and the image as
that role. Left out are the policies of buckets and of repositories, those of organizations,
and the tags of objects: an object counts as having none.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from portside.errors import BuildError
from portside.image.reference import parse
from portside.local.delegated.policy import Access, Document, allows
from portside.local.s3.artifact_cache import bucket_and_key

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVICE: Final = "sagemaker.amazonaws.com"
_PULL: Final = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
)
"""On the repository. DG sagemaker-roles, "CreateModel API: Execution Role Permissions"."""
_NO_TAGS: Final = ("s3:ExistingObjectTag/*", "aws:ResourceTag/*", "aws:RequestTag/*")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role: who may assume it, what its inline and attached policies say, its boundary."""

    arn: str
    trust: Document
    policies: tuple[Document, ...]
    boundary: Document | None = None

    def may_be_assumed_by(self, service: str, *, context: Mapping[str, str | None]) -> bool:
        """Whether the trust policy names a service."""
        access = Access(action="sts:AssumeRole", service=service, context=context)
        return allows([self.trust], access)

    def may(self, access: Access) -> bool:
        """Whether the policies allow it, and the permissions boundary too."""
        within = self.boundary is None or allows([self.boundary], access)
        return within and allows(self.policies, access)


class Roles(Protocol):
    """Who knows the roles."""

    async def role(self, arn: str) -> Role | None:
        """A role with its policies, None where there is none."""
        ...


class Permissions(Protocol):
    """Who says what an execution role may do."""

    async def may_read(self, role_arn: str | None, url: str) -> bool:
        """Whether SageMaker gets at an artifact with the role."""
        ...

    async def may_pull(self, role_arn: str | None, image: str) -> bool:
        """Whether SageMaker gets at an image of ECR with the role."""
        ...


class AnyRole:
    """`--iam off`: every role may do everything, also one that does not exist."""

    async def may_read(self, role_arn: str | None, url: str) -> bool:
        """It may."""
        del role_arn, url
        return True

    async def may_pull(self, role_arn: str | None, image: str) -> bool:
        """It may."""
        del role_arn, image
        return True


class RoleCheck:
    """What IAM says of a role."""

    def __init__(self, roles: Roles, *, region: str) -> None:
        self._roles = roles
        self._region = region

    async def may_read(self, role_arn: str | None, url: str) -> bool:
        """Whether it may get the object."""
        bucket, key = bucket_and_key(url)
        partition = (role_arn or "arn:aws").split(":")[1]
        wanted = {"s3:GetObject": f"arn:{partition}:s3:::{bucket}/{key}"}
        return await self._may(role_arn, wanted, region=self._region)

    async def may_pull(self, role_arn: str | None, image: str) -> bool:
        """Whether it may log in to ECR and get the image's parts."""
        try:
            reference = parse(image)
        except BuildError:
            return False
        _, partition, _, _, account, *_ = (role_arn or "arn:aws:iam:::").split(":")
        region = self._region
        if reference.is_ecr:  # else the local ECR by its address: CreateModel takes no other
            account, _, _, region, *_ = reference.registry.split(".")
        repository = f"arn:{partition}:ecr:{region}:{account}:repository/{reference.repository}"
        wanted = {"ecr:GetAuthorizationToken": "*", **dict.fromkeys(_PULL, repository)}
        return await self._may(role_arn, wanted, region=region, owner=account)

    async def _may(
        self,
        role_arn: str | None,
        wanted: dict[str, str],
        *,
        region: str,
        owner: str | None = None,
    ) -> bool:
        """The log says which step failed: SageMaker's own words name them all at once."""
        role = None if role_arn is None else await self._roles.role(role_arn)
        if role is None:
            _log.warning("the role `%s` does not exist", role_arn)
            return False
        context = _context(role, region=region, owner=owner)
        if not role.may_be_assumed_by(_SERVICE, context=context):
            _log.warning("the trust policy of `%s` does not let %s assume it", role.arn, _SERVICE)
            return False
        for action, resource in wanted.items():
            if not role.may(Access(action=action, resource=resource, context=context)):
                _log.warning("the role `%s` may not do %s on %s", role.arn, action, resource)
                return False
        return True


def _context(role: Role, *, region: str, owner: str | None) -> dict[str, str | None]:
    """What is known of a request with a role for what `owner` has, by default its own account."""
    _, partition, _, _, account, *_ = role.arn.split(":")
    return {
        "aws:PrincipalArn": role.arn,
        "aws:PrincipalAccount": account,
        "aws:SourceAccount": account,
        # Of the Model: which one no policy of Portside's asks.
        "aws:SourceArn": f"arn:{partition}:sagemaker:{region}:{account}:model/*",
        "aws:ResourceAccount": owner or account,
        "s3:ResourceAccount": owner or account,
        "aws:RequestedRegion": region,
        "aws:SecureTransport": "true",
        **dict.fromkeys(_NO_TAGS),
    }
