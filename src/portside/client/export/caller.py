"""What every exported form is made of, and what it is: values, without any effect."""

from __future__ import annotations

from dataclasses import dataclass, field

from portside.client.endpoint import Endpoint
from portside.client.sample import Sample

SIGNING_NAME = "sagemaker"
"""The service that signatures name, for predictions too: botocore's model of sagemaker-runtime."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Keys that the local AWS made up for itself; those of AWS never come here."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: the endpoint, at least one sample, and at the local AWS its keys."""

    endpoint: Endpoint
    samples: tuple[Sample, ...]
    local_keys: Keys | None = None

    @property
    def url(self) -> str:
        """Where predictions are asked for."""
        return f"{self.endpoint.runtime_url}/endpoints/{self.endpoint.name}/invocations"

    @property
    def is_local(self) -> bool:
        """Whether it is the local AWS that is asked."""
        return self.local_keys is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One exported file. A secret one is for its owner's eyes alone."""

    name: str
    content: bytes
    is_secret: bool = False
