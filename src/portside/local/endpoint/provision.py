"""From a deployment as it was asked for to one that runs.

    image found ─▶ artifact downloaded and unpacked ─▶ every variant's instances healthy

What the names were found to mean is told before the first instance starts, so that
whoever writes it down can start the same again.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from portside.archive import ArchiveError
from portside.contract import SERVERLESS_STARTUP_TIMEOUT_S, STARTUP_TIMEOUT_S
from portside.local.capacity.capacity import PingFailedError
from portside.local.capacity.starter import FleetSpec
from portside.local.capacity.traffic import Running
from portside.local.delegated.role_check import AnyRole
from portside.local.instance.runtime_image import ImageMissingError
from portside.local.s3.artifact_cache import ObjectMissingError, ObjectStoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.local.capacity.capacity import Capacity
    from portside.local.clock import Clock
    from portside.local.delegated.role_check import Permissions
    from portside.local.s3.artifact_cache import ArtifactCache
    from portside.local.state.deployment import Deployment, Endpoint, Variant

_DOWNLOAD_RETRY_S: Final = 1.0
"""Between two attempts while the object store does not answer; it starts in about a second."""

_log = logging.getLogger(__name__)


class ProvisionError(Exception):
    """A deployment cannot be brought up; the message is its FailureReason."""


class Images(Protocol):
    """Who knows the images."""

    async def resolve(self, image: str) -> str:
        """The image with its digest; raises `ImageMissingError`."""
        ...


class Provisioner:
    """Brings deployments up; `new_capacity` makes what serves a variant, not yet started."""

    def __init__(
        self,
        *,
        images: Images,
        artifacts: ArtifactCache,
        new_capacity: Callable[[FleetSpec], Capacity],
        clock: Clock,
        permissions: Permissions | None = None,
        startup_timeout_s: float = STARTUP_TIMEOUT_S,
        serverless_startup_timeout_s: float = SERVERLESS_STARTUP_TIMEOUT_S,
    ) -> None:
        self._images = images
        self._artifacts = artifacts
        self._new_capacity = new_capacity
        self._clock = clock
        self._permissions = permissions or AnyRole()
        self._startup_timeout_s = startup_timeout_s
        self._serverless_startup_timeout_s = serverless_startup_timeout_s

    async def provision(
        self,
        endpoint: Endpoint,
        wanted: Deployment,
        *,
        on_resolved: Callable[[Deployment], None],
        on_made: Callable[[Capacity], None],
    ) -> Running:
        """All variants healthy; raises `ProvisionError`, and nothing is left running then.

        `on_made` is told of every capacity before it starts.
        """
        begun = self._clock.monotonic()
        variants = [await self._resolved(variant, begun=begun) for variant in wanted.variants]
        deployment = replace(wanted, variants=tuple(variants))
        on_resolved(deployment)
        capacities = {
            variant.name: self._new_capacity(
                FleetSpec(
                    endpoint_name=endpoint.name,
                    region=endpoint.region,
                    variant=variant,
                    model_dir=self._model_dir(variant),
                )
            )
            for variant in deployment.variants
        }
        for capacity in capacities.values():
            on_made(capacity)
        await self._start_all(list(capacities.values()), begun=begun)
        return Running(deployment=deployment, capacities=capacities)

    async def _start_all(self, capacities: list[Capacity], *, begun: float) -> None:
        starts = [
            asyncio.create_task(self._start(capacity, begun=begun)) for capacity in capacities
        ]
        try:
            await asyncio.gather(*starts)
        except BaseException:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)
            await asyncio.gather(*(capacity.stop() for capacity in capacities))
            raise

    async def _start(self, capacity: Capacity, *, begun: float) -> None:
        variant = capacity.variant
        # Serverless has one time for download and start. DG serverless-endpoints.
        spent_s = self._clock.monotonic() - begun if variant.serverless else 0.0
        try:
            await capacity.start(startup_timeout_s=self._timeout_s(variant), spent_s=spent_s)
        except PingFailedError as error:
            raise ProvisionError(
                f"The primary container for production variant {variant.name} did not pass the"
                " ping health check. Please check CloudWatch logs for this endpoint."
            ) from error

    def _timeout_s(self, variant: Variant) -> float:
        if variant.serverless is not None:
            return self._serverless_startup_timeout_s
        return variant.startup_timeout_s or self._startup_timeout_s

    async def _resolved(self, variant: Variant, *, begun: float) -> Variant:
        """Look up image and artifact, once, with what the execution role may do."""
        try:
            image = variant.resolved_image or await self._pulled(variant)
        except ImageMissingError as error:
            raise ProvisionError(
                f"Please make sure all images included in the model for the production variant"
                f" {variant.name} exist, and that the execution role used to create the model has"
                " permissions to access them."
            ) from error
        digest = variant.model_data_digest
        if variant.model_data_url and (digest is None or self._artifacts.find(digest) is None):
            deadline = begun + self._timeout_s(variant)
            digest = await self._fetch(variant, variant.model_data_url, deadline=deadline)
        return replace(
            variant,
            resolved_image=image,
            resolution_time_ms=variant.resolution_time_ms or self._clock.now_ms(),
            model_data_digest=digest,
        )

    async def _pulled(self, variant: Variant) -> str:
        if not await self._permissions.may_pull(variant.role_arn, variant.image):
            raise ImageMissingError(variant.image)
        return await self._images.resolve(variant.image)

    async def _fetch(self, variant: Variant, url: str, *, deadline: float) -> str:
        is_new = variant.resolved_image is None
        if is_new and not await self._permissions.may_read(variant.role_arn, url):
            raise _not_downloaded(url)
        try:
            return await self._fetched(url, deadline=deadline)
        except (ObjectMissingError, ObjectStoreUnavailableError, OSError) as error:
            _log.warning("could not download %s: %s", url, error)
            raise _not_downloaded(url) from error
        except ArchiveError as error:
            raise ProvisionError(
                f'Failed to extract model data archive for container "container_1" from URL'
                f' "{url}". Please ensure that the object located at the URL is a valid tar.gz'
                f" archive. Reason: {error.message}."
            ) from error

    async def _fetched(self, url: str, *, deadline: float) -> str:
        """Try until the time is over, for as long as it is only the object store that is away."""
        while True:
            try:
                return await self._artifacts.fetch(url)
            except ObjectStoreUnavailableError:
                if self._clock.monotonic() + _DOWNLOAD_RETRY_S > deadline:
                    raise
            await self._clock.sleep(_DOWNLOAD_RETRY_S)

    def _model_dir(self, variant: Variant) -> Path:
        if variant.model_data_digest is None:
            return self._artifacts.empty()
        folder = self._artifacts.find(variant.model_data_digest)
        if folder is None:
            raise LookupError(f"no artifact {variant.model_data_digest}")
        return folder


def _not_downloaded(url: str) -> ProvisionError:
    return ProvisionError(
        f'Failed to download model data for container "container_1" from URL: "{url}".'
        " Please ensure that there is an object located at the URL and that the role"
        " passed to CreateModel has permissions to download the object."
    )
