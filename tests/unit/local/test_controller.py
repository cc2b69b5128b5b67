"""The controller with fake instances and objects, and virtual time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from portside.local.capacity.fleet import Fleet
from portside.local.capacity.starter import FleetSpec, Starter
from portside.local.endpoint.controller import Controller
from portside.local.endpoint.provision import Provisioner
from portside.local.s3.artifact_cache import ArtifactCache
from portside.local.state.database import StateFileError
from portside.local.state.deployment import Deployment, Endpoint, Variant
from portside.local.state.endpoint_state import EndpointEvent, EndpointStatus
from portside.local.state.store import Store
from tests.unit.local.state_fakes import (
    ACCOUNT,
    ARN,
    IMAGE,
    REGION,
    URL,
    FakeClock,
    FakeLauncher,
    FakeObjects,
    archive,
    eventually,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from portside.local.capacity.capacity import Capacity
    from portside.local.capacity.traffic import Traffic
    from portside.local.state.resource import Resource

NER = f"{ARN}endpoint/ner"
PING_FAILED = (
    "The primary container for production variant AllTraffic did not pass the ping health check."
    " Please check CloudWatch logs for this endpoint."
)


def deployment(config: str = "one", *, image: str = IMAGE, url: str | None = URL) -> Deployment:
    variant = Variant(
        name="AllTraffic",
        model_name="ner",
        image=image,
        model_data_url=url,
        environment={},
        weight=1.0,
        instance_count=1,
        serverless=None,
        startup_timeout_s=None,
    )
    return Deployment(config_name=config, requested_time_ms=1, variants=(variant,))


def changed(wanted: Deployment, **changes: object) -> Deployment:
    (variant,) = wanted.variants
    variant = replace(variant, **changes)  # type: ignore[arg-type]  # fields of Variant
    return replace(wanted, variants=(variant,))


def capacity_of(traffic: Traffic | None) -> Capacity:
    assert traffic is not None
    chosen = traffic.choose()
    assert chosen is not None
    return chosen


@dataclass
class FakeAlarms:
    states: dict[str, str] = field(default_factory=dict)
    on_look: Callable[[], None] = lambda: None

    async def alarm_states(self, names: Sequence[str]) -> dict[str, str]:
        self.on_look()
        return {name: self.states[name] for name in names if name in self.states}


def endpoint(status: EndpointStatus = EndpointStatus.CREATING, **changes: object) -> Endpoint:
    created = Endpoint(
        account=ACCOUNT,
        region=REGION,
        name="ner",
        status=status,
        creation_time_ms=1,
        last_modified_time_ms=1,
        pending=deployment(),
    )
    return replace(created, **changes)  # type: ignore[arg-type]  # fields of Endpoint


class RecordingStore(Store):
    """Remembers the statuses that an endpoint went through, however shortly."""

    statuses: list[str]
    full_at: range = range(0)
    """Which of the next writes find the disk full."""
    writes = 0

    def save(self, resource: Resource) -> None:
        self._write()
        self.statuses = [*getattr(self, "statuses", []), resource.status]
        super().save(resource)

    def remove(self, arn: str) -> bool:
        self._write()
        return super().remove(arn)

    def _write(self) -> None:
        self.writes += 1
        if self.writes - 1 in self.full_at:
            raise StateFileError("could not write to the state file: full")

    def fill_up(self, *, at: int) -> None:
        """From the write with this number on, counted from now, two find the disk full."""
        self.writes, self.full_at = 0, range(at, at + 2)


@dataclass
class World:
    folder: Path
    store: RecordingStore
    launcher: FakeLauncher = field(default_factory=FakeLauncher)
    clock: FakeClock = field(default_factory=FakeClock)
    alarms: FakeAlarms = field(default_factory=FakeAlarms)
    objects: FakeObjects = field(
        default_factory=lambda: FakeObjects(**{"model.tar.gz": archive(weights="1")})
    )

    def controller(self) -> Controller:
        artifacts = ArtifactCache(self.folder / "models", objects=self.objects)
        provisioner = Provisioner(
            images=self.launcher,
            artifacts=artifacts,
            new_capacity=self.capacity,
            clock=self.clock,
        )
        return Controller(
            store=self.store,
            launcher=self.launcher,
            provisioner=provisioner,
            artifacts=artifacts,
            alarms=self.alarms,
            clock=self.clock,
        )

    def capacity(self, spec: FleetSpec) -> Fleet:
        starter = Starter(spec, launcher=self.launcher, pinger=self.launcher, clock=self.clock)
        return Fleet(starter, clock=self.clock)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[Controller]:
        controller = self.controller()
        await controller.start()
        try:
            yield controller
        finally:
            await controller.stop()

    def endpoint(self) -> Endpoint | None:
        resource = self.store.find(NER)
        return None if resource is None else Endpoint.of(resource)

    async def until(self, status: EndpointStatus) -> Endpoint:
        def is_there() -> bool:
            now = self.endpoint()
            return now is not None and now.status is status

        await eventually(is_there)
        found = self.endpoint()
        assert found is not None
        return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = RecordingStore.open(tmp_path / "state.sqlite3")
    yield World(tmp_path, store)
    store.close()


async def test_a_created_endpoint_comes_into_service(world: World) -> None:
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)

        assert created.pending is None
        assert created.deployment is not None
        assert created.deployment.variants[0].resolved_image is not None
        assert "@sha256:" in created.deployment.variants[0].resolved_image
        model_dir = world.launcher.processes[0].spec.model_dir
        assert (model_dir / "weights").read_text() == "1"
        assert controller.traffic(NER) is not None
    assert world.launcher.alive == []


async def test_a_model_without_data_gets_an_empty_folder(world: World) -> None:
    world.store.add(endpoint(pending=deployment(url=None)).resource())
    async with world.started():
        await world.until(EndpointStatus.IN_SERVICE)

    assert list(world.launcher.processes[0].spec.model_dir.iterdir()) == []


DATA_MISSING = (
    'Failed to download model data for container "container_1" from URL: "s3://bucket/gone".'
    " Please ensure that there is an object located at the URL and that the role passed to"
    " CreateModel has permissions to download the object."
)
IMAGE_MISSING = (
    "Please make sure all images included in the model for the production variant AllTraffic"
    " exist, and that the execution role used to create the model has permissions to access them."
)


@pytest.mark.parametrize(
    ("pending", "reason"),
    [
        (deployment(url="s3://bucket/gone"), DATA_MISSING),
        (deployment(image=IMAGE.replace("portside-runtime", "mine")), IMAGE_MISSING),
    ],
)
async def test_what_cannot_be_had_fails_the_endpoint(
    world: World, pending: Deployment, reason: str
) -> None:
    world.store.add(endpoint(pending=pending).resource())
    async with world.started():
        created = await world.until(EndpointStatus.FAILED)

    assert created.failure_reason == reason
    assert world.launcher.processes == []


async def test_a_broken_archive_fails_the_endpoint_and_names_the_cause(world: World) -> None:
    world.objects.by_key["model.tar.gz"] = b"not an archive"
    world.store.add(endpoint().resource())
    async with world.started():
        created = await world.until(EndpointStatus.FAILED)

    assert created.failure_reason is not None
    assert created.failure_reason.startswith(
        f'Failed to extract model data archive for container "container_1" from URL "{URL}".'
    )
    assert "not a whole gzip file" in created.failure_reason


async def test_instances_that_end_fail_the_endpoint(world: World) -> None:
    world.launcher.plan = [None, None, None]
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.FAILED)

        assert created.failure_reason == PING_FAILED
        assert controller.traffic(NER) is None


async def test_serverless_has_less_time(world: World) -> None:
    world.launcher.plan = [1_000_000]
    serverless = changed(deployment(), serverless={"MemorySizeInMB": 2048, "MaxConcurrency": 1})
    begun = world.clock.monotonic()
    world.store.add(endpoint(pending=serverless).resource())
    async with world.started():
        await world.until(EndpointStatus.FAILED)

    assert world.clock.monotonic() - begun == pytest.approx(180, abs=1)


async def test_a_replaced_serverless_instance_has_the_full_time_again(world: World) -> None:
    serverless = changed(deployment(), serverless={"MemorySizeInMB": 2048, "MaxConcurrency": 1})
    world.objects.outages = 170
    world.launcher.plan = [1, 500]  # the second is healthy after 100 s
    world.store.add(endpoint(pending=serverless).resource())
    async with world.started() as controller:
        await world.until(EndpointStatus.IN_SERVICE)
        fleet = capacity_of(controller.traffic(NER))

        first, *_ = world.launcher.processes
        first.exit(1)
        await eventually(lambda: len(world.launcher.processes) == 2)
        second = world.launcher.processes[1]
        await eventually(lambda: second.pings_needed <= 0 or not second.is_alive)

        assert second.is_alive
        async with fleet.lease() as lease:
            assert lease.instance.port == second.port


async def test_an_object_store_that_is_away_for_a_while_is_waited_for(world: World) -> None:
    world.objects.outages = 20
    world.store.add(endpoint().resource())
    async with world.started():
        created = await world.until(EndpointStatus.IN_SERVICE)

    assert created.failure_reason is None


async def test_an_object_store_that_stays_away_fails_the_endpoint_in_time(world: World) -> None:
    world.objects.outages = 1_000_000
    begun = world.clock.monotonic()
    gone = deployment(url="s3://bucket/gone")
    world.store.add(endpoint(pending=gone).resource())
    async with world.started():
        created = await world.until(EndpointStatus.FAILED)

    assert created.failure_reason == DATA_MISSING
    assert world.clock.monotonic() - begun == pytest.approx(480, abs=2)


async def test_the_start_up_time_of_the_variant_wins(world: World) -> None:
    world.launcher.plan = [1_000_000]
    patient = changed(deployment(), startup_timeout_s=900)
    begun = world.clock.monotonic()
    world.store.add(endpoint(pending=patient).resource())
    async with world.started():
        await world.until(EndpointStatus.FAILED)

    assert world.clock.monotonic() - begun == pytest.approx(900, abs=1)


async def test_a_deleted_endpoint_is_gone_with_its_instances_and_its_artifact(
    world: World,
) -> None:
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)

        world.store.save(created.moved(EndpointEvent.DELETE, at_ms=2).resource())
        controller.reconcile(NER)
        await eventually(lambda: world.endpoint() is None)

        assert world.launcher.alive == []
        assert controller.traffic(NER) is None
        await eventually(lambda: list((world.folder / "models").iterdir()) == [])


async def test_an_update_replaces_the_fleet_once_the_new_one_is_healthy(world: World) -> None:
    world.objects.by_key["new.tar.gz"] = archive(weights="2")
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)
        old = controller.traffic(NER)

        updating = created.moved(EndpointEvent.UPDATE, at_ms=2)
        wanted = deployment("two", url="s3://bucket/new.tar.gz")
        world.store.save(replace(updating, pending=wanted).resource())
        controller.reconcile(NER)
        updated = await world.until(EndpointStatus.IN_SERVICE)

        assert updated.config_name == "two"
        assert controller.traffic(NER) is not old
        assert [process.signals for process in world.launcher.processes] == [["TERM"], []]
        (alive,) = world.launcher.alive
        assert (alive.spec.model_dir / "weights").read_text() == "2"


async def test_an_update_that_fails_leaves_what_was(world: World) -> None:
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)
        old = controller.traffic(NER)
        world.launcher.plan = [None, None, None]

        updating = created.moved(EndpointEvent.UPDATE, at_ms=2)
        world.store.save(replace(updating, pending=deployment("two")).resource())
        controller.reconcile(NER)
        kept = await world.until(EndpointStatus.IN_SERVICE)

        assert (kept.config_name, kept.pending) == ("one", None)
        assert kept.failure_reason == PING_FAILED
        assert controller.traffic(NER) is old
        assert len(world.launcher.alive) == 1


CANARY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY",
            "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
            "WaitIntervalInSeconds": 60,
        },
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
}


async def test_a_canary_gets_its_share_and_then_all(world: World) -> None:
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)
        begun = world.clock.monotonic()
        seen: list[tuple[float, str | None]] = []

        def look() -> None:
            traffic, now = controller.traffic(NER), world.endpoint()
            assert traffic is not None
            assert now is not None
            seen.append((traffic.share, now.stage))

        world.alarms.on_look = look
        updating = created.moved(EndpointEvent.UPDATE, at_ms=2)
        world.store.save(
            replace(updating, pending=deployment("two"), deployment_config=CANARY).resource()
        )
        controller.reconcile(NER)
        updated = await world.until(EndpointStatus.IN_SERVICE)

        assert list(dict.fromkeys(seen)) == [(0.1, "Baking"), (1.0, "Baking")]
        assert (updated.config_name, updated.pending, updated.stage) == ("two", None, None)
        assert world.clock.monotonic() - begun >= 120
        assert len(world.launcher.alive) == 1


async def test_an_alarm_while_it_bakes_rolls_back(world: World) -> None:
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)
        old = capacity_of(controller.traffic(NER))
        world.alarms.states["errors"] = "ALARM"
        updating = created.moved(EndpointEvent.UPDATE, at_ms=2)
        world.store.save(
            replace(updating, pending=deployment("two"), deployment_config=CANARY).resource()
        )
        controller.reconcile(NER)
        kept = await world.until(EndpointStatus.IN_SERVICE)

        assert EndpointStatus.ROLLING_BACK in world.store.statuses
        assert (kept.config_name, kept.pending) == ("one", None)
        assert kept.failure_reason is not None
        assert "errors" in kept.failure_reason
        assert capacity_of(controller.traffic(NER)) is old
        assert [process.signals for process in world.launcher.processes] == [[], ["TERM"]]


async def test_other_capacity_is_brought_up_in_place(world: World) -> None:
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)
        for count in (3, 1):
            updating = created.moved(EndpointEvent.UPDATE, at_ms=2)
            wanted = changed(deployment(), instance_count=count, weight=2.0)
            world.store.save(replace(updating, pending=wanted, is_scaling=True).resource())
            controller.reconcile(NER)
            created = await world.until(EndpointStatus.IN_SERVICE)

            assert len(world.launcher.alive) == count
            assert created.deployment == wanted
            assert not created.is_scaling
        assert len(world.launcher.processes) == 3


async def test_capacity_that_does_not_come_up_is_given_up(world: World) -> None:
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)
        world.launcher.plan = [1, None, None, None]
        updating = created.moved(EndpointEvent.UPDATE, at_ms=2)
        wanted = changed(deployment(), instance_count=3)
        world.store.save(replace(updating, pending=wanted, is_scaling=True).resource())
        controller.reconcile(NER)
        kept = await world.until(EndpointStatus.IN_SERVICE)

        assert EndpointStatus.ROLLING_BACK in world.store.statuses
        assert kept.deployment is not None
        assert kept.deployment.variants[0].instance_count == 1
        assert (kept.pending, kept.is_scaling) == (None, False)
        assert len(world.launcher.alive) == 1


async def test_every_variant_has_instances_of_its_own(world: World) -> None:
    (variant,) = deployment().variants
    both = replace(deployment(), variants=(variant, replace(variant, name="Other")))
    world.store.add(endpoint(pending=both).resource())
    async with world.started() as controller:
        await world.until(EndpointStatus.IN_SERVICE)

        traffic = controller.traffic(NER)
        assert traffic is not None
        assert set(traffic.blue.capacities) == {"AllTraffic", "Other"}
        streams = {process.spec.log_stream.split("/")[0] for process in world.launcher.alive}
        assert streams == {"AllTraffic", "Other"}


SERVED = {"deployment": deployment(), "pending": None}
UPDATED = {"deployment": deployment(), "pending": deployment("two")}


@pytest.mark.parametrize(
    ("before", "expected", "config"),
    [
        (endpoint(EndpointStatus.CREATING), EndpointStatus.IN_SERVICE, "one"),
        (endpoint(EndpointStatus.IN_SERVICE, **SERVED), EndpointStatus.IN_SERVICE, "one"),
        (endpoint(EndpointStatus.SYSTEM_UPDATING, **SERVED), EndpointStatus.IN_SERVICE, "one"),
        (endpoint(EndpointStatus.UPDATING, **UPDATED), EndpointStatus.IN_SERVICE, "two"),
        (endpoint(EndpointStatus.UPDATING, **SERVED), EndpointStatus.IN_SERVICE, "one"),
        (endpoint(EndpointStatus.FAILED), EndpointStatus.FAILED, "one"),
    ],
)
async def test_endpoints_are_taken_up_where_they_stood(
    world: World, before: Endpoint, expected: EndpointStatus, config: str
) -> None:
    world.store.add(before.resource())
    async with world.started():
        after = await world.until(expected)

    assert after.config_name == config
    assert after.pending is None or expected is EndpointStatus.FAILED
    assert world.launcher.leftovers_killed == 1


async def test_a_delete_cut_short_is_finished(world: World) -> None:
    world.store.add(endpoint(EndpointStatus.DELETING, **SERVED).resource())
    async with world.started():
        await eventually(lambda: world.endpoint() is None)


async def test_after_a_restart_it_is_system_updating_until_an_instance_answers(
    world: World,
) -> None:
    world.launcher.plan = [1_000_000]
    world.store.add(endpoint(EndpointStatus.IN_SERVICE, **SERVED).resource())
    controller = world.controller()
    await controller.start()

    assert (await world.until(EndpointStatus.SYSTEM_UPDATING)).config_name == "one"
    await eventually(lambda: bool(world.launcher.processes))
    world.launcher.processes[0].pings_needed = 0
    await world.until(EndpointStatus.IN_SERVICE)
    await controller.stop()


async def test_a_restart_needs_no_second_download(world: World) -> None:
    world.store.add(endpoint().resource())
    async with world.started():
        await world.until(EndpointStatus.IN_SERVICE)
    async with world.started():
        await world.until(EndpointStatus.IN_SERVICE)

    assert world.objects.downloads == ["model.tar.gz"]


async def test_a_stop_while_an_endpoint_is_created_leaves_no_process_and_loses_nothing(
    world: World,
) -> None:
    world.launcher.plan = [1_000_000]
    world.store.add(endpoint().resource())
    async with world.started():
        await eventually(lambda: bool(world.launcher.processes))

    assert world.launcher.alive == []
    stopped = world.endpoint()
    assert stopped is not None
    assert stopped.status is EndpointStatus.CREATING


async def test_a_stop_while_the_old_fleet_drains_leaves_no_process(world: World) -> None:
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)
        old = controller.traffic(NER)
        async with capacity_of(old).lease():
            updating = created.moved(EndpointEvent.UPDATE, at_ms=2)
            world.store.save(replace(updating, pending=deployment("two")).resource())
            controller.reconcile(NER)
            await eventually(lambda: controller.traffic(NER) is not old)
            await controller.stop()

    assert world.launcher.alive == []


async def test_a_bug_does_not_leave_an_endpoint_creating_for_ever(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.store.add(endpoint(pending=None).resource())
    async with world.started():
        created = await world.until(EndpointStatus.FAILED)

    assert created.failure_reason is not None
    assert "gateway.log" in created.failure_reason
    assert "a bug while endpoint" in caplog.text


@pytest.mark.parametrize("at", range(6))
async def test_a_full_disk_holds_an_endpoint_up_only_while_it_is_full(
    world: World, at: int
) -> None:
    world.store.add(endpoint().resource())
    world.store.fill_up(at=at)
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)
        assert (created.pending, created.failure_reason) == (None, None)
        assert len(world.launcher.alive) == 1

        updating = replace(created.moved(EndpointEvent.UPDATE, at_ms=2), pending=deployment("two"))
        world.store.fill_up(at=at + 1)  # after this one, which was answered
        world.store.save(updating.resource())
        controller.reconcile(NER)
        updated = await world.until(EndpointStatus.IN_SERVICE)
        assert (updated.config_name, updated.failure_reason) == ("two", None)
        assert len(world.launcher.alive) == 1

        scaling = replace(
            updated.moved(EndpointEvent.UPDATE, at_ms=3),
            pending=changed(deployment("two"), instance_count=2),
            is_scaling=True,
        )
        world.store.fill_up(at=at + 1)
        world.store.save(scaling.resource())
        controller.reconcile(NER)
        scaled = await world.until(EndpointStatus.IN_SERVICE)
        assert (scaled.pending, scaled.failure_reason) == (None, None)
        assert len(world.launcher.alive) == 2

        world.store.fill_up(at=at + 1)
        world.store.save(scaled.moved(EndpointEvent.DELETE, at_ms=4).resource())
        controller.reconcile(NER)
        await eventually(lambda: world.endpoint() is None)
        assert world.launcher.alive == []


async def test_an_update_goes_on_from_one_write_after_a_restart(world: World) -> None:
    interrupted = endpoint(
        EndpointStatus.UPDATING, deployment=deployment(), pending=deployment("two")
    )
    world.store.add(interrupted.resource())
    async with world.started():
        updated = await world.until(EndpointStatus.IN_SERVICE)

    assert updated.config_name == "two"
    before_updating = world.store.statuses[: world.store.statuses.index(EndpointStatus.UPDATING)]
    assert EndpointStatus.IN_SERVICE not in before_updating  # no moment in which it is forgotten


async def test_a_plan_that_cannot_be_made_leaves_no_second_fleet(world: World) -> None:
    world.store.add(endpoint().resource())
    async with world.started() as controller:
        created = await world.until(EndpointStatus.IN_SERVICE)
        canary = {"TrafficRoutingConfiguration": {"Type": "CANARY"}}  # kept before it was checked
        updating = replace(
            created.moved(EndpointEvent.UPDATE, at_ms=2),
            pending=deployment("two"),
            deployment_config={"BlueGreenUpdatePolicy": canary},
        )
        world.store.save(updating.resource())
        controller.reconcile(NER)
        kept = await world.until(EndpointStatus.IN_SERVICE)

        assert kept.config_name == "one"
        assert len(world.launcher.alive) == 1
