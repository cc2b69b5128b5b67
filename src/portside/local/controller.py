"""Brings endpoints from what was asked of them to what they are.

The store is the truth: services write what is wanted, the controller looks and
acts, and writes what became of it. It does the same after a restart, so nothing
that was acknowledged is lost.

    Creating, Updating   image ─▶ artifact ─▶ fleet healthy ─▶ traffic there ─▶ old fleet drained
    SystemUpdating       the fleet that served before the restart, again
    Deleting             fleet stopped, row removed, artifact pruned

One task for each endpoint that something is being done to; an endpoint at rest
has none, because its fleet looks after its instances by itself.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, assert_never

from portside.archive import ArchiveError
from portside.contract import SERVERLESS_STARTUP_TIMEOUT_S, STARTUP_TIMEOUT_S
from portside.local.artifact_cache import (
    ArtifactCache,
    ObjectMissingError,
    ObjectStoreUnavailableError,
)
from portside.local.deployment import Deployment, Endpoint, Variant
from portside.local.endpoint_state import EndpointEvent, EndpointStatus
from portside.local.fleet import DEFAULT_HEALTH_CHECK, Fleet, FleetSpec, PingFailedError
from portside.local.refusal import BUG
from portside.local.resource import Kind
from portside.local.runtime_image import ImageMissingError

if TYPE_CHECKING:
    from pathlib import Path

    from portside.local.artifact_cache import Objects
    from portside.local.clock import Clock
    from portside.local.instance import HealthCheck, Launcher, Pinger
    from portside.local.store import Store

_log = logging.getLogger(__name__)

_MAX_REASON_LENGTH: Final = 1024  # BC FailureReason
_DOWNLOAD_RETRY_S: Final = 1.0
"""Between two attempts while the object store does not answer; it starts in about a second."""


class _BringUpError(Exception):
    """A deployment cannot be brought up; the message is its FailureReason."""


class Controller:
    """Reconciles endpoints, between `start` and `stop`."""

    def __init__(
        self,
        *,
        store: Store,
        launcher: Launcher,
        objects: Objects,
        pinger: Pinger,
        models_folder: Path,
        clock: Clock,
        startup_timeout_s: float = STARTUP_TIMEOUT_S,
        serverless_startup_timeout_s: float = SERVERLESS_STARTUP_TIMEOUT_S,
        health_check: HealthCheck = DEFAULT_HEALTH_CHECK,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._pinger = pinger
        self._clock = clock
        self._artifacts = ArtifactCache(models_folder, objects=objects)
        self._startup_timeout_s = startup_timeout_s
        self._serverless_startup_timeout_s = serverless_startup_timeout_s
        self._health_check = health_check
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._fleets: dict[str, Fleet] = {}  # what takes the traffic, by endpoint
        self._live: set[Fleet] = set()  # these, those on their way and those being stopped

    async def start(self) -> None:
        """End what an earlier life left, and take up every endpoint where it stood."""
        self._launcher.kill_leftovers()
        self._artifacts.clear_partial()
        for resource in self._store.all_of(Kind.ENDPOINT):
            endpoint = Endpoint.of(resource)
            restarted = endpoint.moved(EndpointEvent.RESTART, at_ms=self._clock.now_ms())
            if restarted.status is not endpoint.status:
                self._store.save(restarted.resource())
            self.reconcile(endpoint.arn)
        await self._tidy()

    async def stop(self) -> None:
        """Stop every instance; the endpoints stay as they are in the store."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*map(self._stop_fleet, tuple(self._live)))

    def reconcile(self, arn: str) -> None:
        """Look at an endpoint, because what is wanted of it has changed."""
        running = self._tasks.get(arn)
        if running is None or running.done():
            self._tasks[arn] = asyncio.create_task(self._reconcile(arn))

    def fleet(self, arn: str) -> Fleet | None:
        """What serves an endpoint now."""
        return self._fleets.get(arn)

    async def _reconcile(self, arn: str) -> None:
        """Act until the endpoint is at rest.

        Nothing is awaited between that look and the end of the task, so that `reconcile`
        never takes a task for running that will not look again.
        """
        while (resource := self._store.find(arn)) is not None:
            endpoint = Endpoint.of(resource)
            try:
                match endpoint.status:
                    case EndpointStatus.CREATING | EndpointStatus.UPDATING:
                        await self._roll_out(endpoint)
                    case EndpointStatus.SYSTEM_UPDATING:
                        await self._bring_back(endpoint)
                    case EndpointStatus.DELETING:
                        await self._delete(endpoint)
                    case EndpointStatus.IN_SERVICE | EndpointStatus.FAILED:
                        break
                    case _:
                        assert_never(endpoint.status)
            except _BringUpError as error:
                self._fail(endpoint, reason=str(error))
            except Exception:  # noqa: BLE001  whatever it is, the endpoint must not hang for ever
                _log.exception("a bug while endpoint %s was %s", arn, endpoint.status)
                if endpoint.status is EndpointStatus.DELETING:
                    break  # stays so, and is tried again at the next start
                self._fail(endpoint, reason=BUG)
        self._tasks.pop(arn, None)

    async def _roll_out(self, endpoint: Endpoint) -> None:
        """Bring up what is pending, move the traffic at once, then end what served before.

        This is SageMaker's default: blue/green, all at once, no baking (BC DeploymentConfig).
        """
        if endpoint.pending is None:
            raise LookupError(f"{endpoint.arn} is {endpoint.status} with nothing pending")
        deployment, fleet = await self._bring_up(endpoint, endpoint.pending)
        old = self._fleets.get(endpoint.arn)
        self._fleets[endpoint.arn] = fleet
        switched = replace(endpoint, deployment=deployment, pending=None, failure_reason=None)
        if old is not None:
            self._store.save(switched.resource())
            await old.drain()
            await self._stop_fleet(old)
        self._move(switched, EndpointEvent.HEALTHY)
        await self._tidy()

    async def _bring_back(self, endpoint: Endpoint) -> None:
        """Start again what served before the restart, then go on with an update cut short."""
        if endpoint.deployment is None:
            raise LookupError(f"{endpoint.arn} is {endpoint.status} and never served")
        deployment, fleet = await self._bring_up(endpoint, endpoint.deployment)
        self._fleets[endpoint.arn] = fleet
        endpoint = replace(endpoint, deployment=deployment)
        now_ms = self._clock.now_ms()
        endpoint = endpoint.moved(EndpointEvent.HEALTHY, at_ms=now_ms)
        if endpoint.pending is not None:
            endpoint = endpoint.moved(EndpointEvent.UPDATE, at_ms=now_ms)
        self._store.save(endpoint.resource())

    async def _delete(self, endpoint: Endpoint) -> None:
        fleet = self._fleets.pop(endpoint.arn, None)
        if fleet is not None:
            await self._stop_fleet(fleet)
        self._store.remove(endpoint.arn)
        await self._tidy()

    async def _bring_up(self, endpoint: Endpoint, wanted: Deployment) -> tuple[Deployment, Fleet]:
        """A healthy fleet, and the deployment with what its names were found to mean."""
        begun = self._clock.monotonic()
        timeout_s = self._timeout_s(wanted.variant)
        deployment = await self._resolved(endpoint, wanted, deadline=begun + timeout_s)
        variant = deployment.variant
        fleet = Fleet(
            FleetSpec(
                endpoint_name=endpoint.name,
                region=endpoint.region,
                variant=variant,
                model_dir=self._model_dir(deployment),
            ),
            launcher=self._launcher,
            pinger=self._pinger,
            clock=self._clock,
            health_check=self._health_check,
        )
        is_serverless = variant.serverless is not None
        # Serverless has one time for download and start. DG serverless-endpoints.
        spent_s = self._clock.monotonic() - begun if is_serverless else 0.0
        self._live.add(fleet)
        try:
            await fleet.start(startup_timeout_s=timeout_s, spent_s=spent_s)
        except PingFailedError as error:
            self._live.discard(fleet)
            raise _BringUpError(
                f"The primary container for production variant {variant.name} did not pass the"
                " ping health check. Please check CloudWatch logs for this endpoint."
            ) from error
        return deployment, fleet

    def _timeout_s(self, variant: Variant) -> float:
        if variant.serverless is not None:
            return self._serverless_startup_timeout_s
        return variant.startup_timeout_s or self._startup_timeout_s

    async def _stop_fleet(self, fleet: Fleet) -> None:
        await fleet.stop()
        self._live.discard(fleet)

    async def _resolved(
        self, endpoint: Endpoint, wanted: Deployment, *, deadline: float
    ) -> Deployment:
        """Look up image and artifact, once, and write down what they are."""
        variant = wanted.variant
        try:
            image = wanted.resolved_image or self._launcher.resolve(variant.image)
        except ImageMissingError as error:
            raise _BringUpError(
                f"Please make sure all images included in the model for the production variant"
                f" {variant.name} exist, and that the execution role used to create the model has"
                " permissions to access them."
            ) from error
        digest = wanted.model_data_digest
        if variant.model_data_url and (digest is None or self._artifacts.find(digest) is None):
            digest = await self._fetch(variant.model_data_url, deadline=deadline)
        deployment = replace(
            wanted,
            resolved_image=image,
            resolution_time_ms=wanted.resolution_time_ms or self._clock.now_ms(),
            model_data_digest=digest,
        )
        if endpoint.status is EndpointStatus.SYSTEM_UPDATING:
            self._store.save(replace(endpoint, deployment=deployment).resource())
        else:
            self._store.save(replace(endpoint, pending=deployment).resource())
        return deployment

    async def _fetch(self, url: str, *, deadline: float) -> str:
        try:
            return await self._fetched(url, deadline=deadline)
        except (ObjectMissingError, ObjectStoreUnavailableError, OSError) as error:
            _log.warning("could not download %s: %s", url, error)
            raise _BringUpError(
                f'Failed to download model data for container "container_1" from URL: "{url}".'
                " Please ensure that there is an object located at the URL and that the role"
                " passed to CreateModel has permissions to download the object."
            ) from error
        except ArchiveError as error:
            raise _BringUpError(
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

    def _model_dir(self, deployment: Deployment) -> Path:
        if deployment.model_data_digest is None:
            return self._artifacts.empty()
        folder = self._artifacts.find(deployment.model_data_digest)
        if folder is None:
            raise LookupError(f"no artifact {deployment.model_data_digest}")
        return folder

    def _digests(self) -> set[str]:
        """The artifacts that endpoints need: what they run and what they are about to."""
        endpoints = [Endpoint.of(resource) for resource in self._store.all_of(Kind.ENDPOINT)]
        return {
            each.model_data_digest
            for endpoint in endpoints
            for each in (endpoint.deployment, endpoint.pending)
            if each is not None and each.model_data_digest is not None
        }

    async def _tidy(self) -> None:
        """Remove artifacts that nobody needs; what cannot be removed now is tried again later."""
        try:
            await self._artifacts.prune(in_use=self._digests)
        except OSError:
            _log.exception("could not remove unused model artifacts")

    def _move(self, endpoint: Endpoint, event: EndpointEvent) -> None:
        self._store.save(endpoint.moved(event, at_ms=self._clock.now_ms()).resource())

    def _fail(self, endpoint: Endpoint, *, reason: str) -> None:
        """Write down why. Where something served before, what was pending is given up."""
        _log.warning("endpoint %s: %s", endpoint.arn, reason)
        resource = self._store.find(endpoint.arn)
        latest = endpoint if resource is None else Endpoint.of(resource)
        pending = latest.pending if latest.deployment is None else None
        failed = replace(latest, pending=pending, failure_reason=reason[:_MAX_REASON_LENGTH])
        self._move(failed, EndpointEvent.UNHEALTHY)
