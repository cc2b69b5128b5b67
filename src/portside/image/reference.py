"""The name of an image: registry, repository, tag or digest; and what ECR's names mean.

Grammar: the distribution specification's reference format. ECR's form is
`{account}.dkr.ecr.{region}.amazonaws.com[.cn]/{repository}`. Source: botocore's
endpoint rules and the SageMaker API Reference, ContainerDefinition.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from portside import contract
from portside.errors import BuildError

_REFERENCE = re.compile(
    r"(?P<registry>(?:[a-z0-9-]+\.)+[a-z0-9-]+(?::[0-9]+)?|localhost(?::[0-9]+)?)/"
    r"(?P<repository>[a-z0-9]+(?:(?:\.|_{1,2}|-+|/)[a-z0-9]+)*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_ECR_REGISTRY = re.compile(
    r"(?P<account>[0-9]{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The parts of an image's name; a tag or a digest or neither (which means `latest`)."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @property
    def is_ecr(self) -> bool:
        """Whether the registry is one of ECR's: SageMaker takes no other without a VPC."""
        return _ECR_REGISTRY.fullmatch(self.registry) is not None

    @property
    def is_runtime(self) -> bool:
        """Whether this is the image that holds Portside's own serving runtime."""
        return self.is_ecr and self.repository == contract.RUNTIME_REPOSITORY


def parse(text: str) -> Reference:
    """Read a full reference; one without a registry is refused, since SageMaker needs it."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise BuildError(
            f"`{text}` is not the full name of an image",
            hint="write REGISTRY/REPOSITORY:TAG, all but the tag in lower case; Docker Hub's own "
            "begin with `docker.io/library/`",
        )
    return Reference(**match.groupdict())


def runtime_image(*, account: str, region: str, version: str) -> Reference:
    """Where the image with Portside's own serving runtime lies in an account's registry."""
    dns = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return Reference(
        registry=f"{account}.dkr.ecr.{region}.{dns}",
        repository=contract.RUNTIME_REPOSITORY,
        tag=version,
    )
