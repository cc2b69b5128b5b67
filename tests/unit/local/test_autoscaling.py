"""What a policy comes to, and that it is done."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from portside.local.delegated.metric_store import Datum, Metric, Period
from portside.local.delegated.scaling import ScalableTarget, ScalingPolicy
from portside.local.scaling.autoscaling import INSTANCE_COUNT, Autoscaler
from portside.local.scaling.target_tracking import Tracking, decide, tracking_of
from tests.unit.local.state_fakes import FakeClock

if TYPE_CHECKING:
    from collections.abc import Sequence

INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
RESOURCE = "endpoint/ner/variant/AllTraffic"
METRIC = Metric(
    namespace="AWS/SageMaker",
    name="InvocationsPerInstance",
    dimensions={"EndpointName": "ner", "VariantName": "AllTraffic"},
)
TRACKING = Tracking(metric=METRIC, statistic="Sum", target_value=100, zero_when_missing=True)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([300, 300, 300], 6),  # three times the target: three times the instances
        ([90, 150, 110], 2),  # not three in a row
        ([150, 150], 2),
        ([101, 101, 101], 3),  # rounded up
        ([50] * 15, 1),
        ([50] * 14, 2),
        ([95] * 15, 2),  # below the target, but not by a tenth
        ([None] * 15, 1),  # no traffic
        ([], 2),
    ],
)
def test_the_capacity_that_a_policy_asks_for(values: list[float | None], wanted: int) -> None:
    assert decide(2, values, TRACKING) == wanted


def test_a_metric_of_ones_own_that_is_not_measured_changes_nothing() -> None:
    assert decide(2, [None] * 15, replace(TRACKING, zero_when_missing=False)) == 2


def test_scale_in_can_be_switched_off() -> None:
    assert decide(2, [0] * 15, replace(TRACKING, can_scale_in=False)) == 2


def policy(**configuration: Any) -> ScalingPolicy:
    predefined = {"PredefinedMetricType": INVOCATIONS}
    return ScalingPolicy(
        name="follow",
        resource_id=RESOURCE,
        dimension=INSTANCE_COUNT,
        kind="TargetTrackingScaling",
        configuration={"TargetValue": 100.0, "PredefinedMetricSpecification": predefined}
        | configuration,
    )


def test_a_policy_is_read() -> None:
    read = tracking_of(policy(ScaleOutCooldown=60, DisableScaleIn=True))

    assert read == replace(TRACKING, out_cooldown_s=60, can_scale_in=False)


def test_a_policy_on_a_metric_of_ones_own_is_read() -> None:
    custom = {
        "MetricName": "Depth",
        "Namespace": "Mine",
        "Dimensions": [{"Name": "Queue", "Value": "q"}],
        "Statistic": "Average",
    }
    read = tracking_of(
        replace(
            policy(),
            configuration={"TargetValue": 5.0, "CustomizedMetricSpecification": custom},
        )
    )

    assert read == Tracking(
        metric=Metric(namespace="Mine", name="Depth", dimensions={"Queue": "q"}),
        statistic="Average",
        target_value=5,
        zero_when_missing=False,
    )


@pytest.mark.parametrize(
    "configuration",
    [
        {"TargetValue": 1.0, "PredefinedMetricSpecification": {"PredefinedMetricType": "Other"}},
        {"TargetValue": 1.0, "CustomizedMetricSpecification": {"Metrics": []}},
        {"TargetValue": 1.0},
        {
            "TargetValue": 0.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": INVOCATIONS},
        },
    ],
)
def test_a_policy_on_what_is_not_known_is_not_read(configuration: dict[str, Any]) -> None:
    assert tracking_of(replace(policy(), configuration=configuration)) is None


TARGET = ScalableTarget(
    resource_id=RESOURCE, dimension=INSTANCE_COUNT, min_capacity=1, max_capacity=4
)


@dataclass
class World:
    """CloudWatch, Application Auto Scaling and an endpoint in memory."""

    clock: FakeClock = field(default_factory=FakeClock)
    target: ScalableTarget = TARGET
    other_targets: list[ScalableTarget] = field(default_factory=list)
    policies: list[ScalingPolicy] = field(default_factory=lambda: [policy()])
    data: list[Datum] = field(default_factory=list)
    capacity: int | None = 1
    changes: list[int] = field(default_factory=list)
    flushes: int = 0

    async def scalable_targets(self) -> list[ScalableTarget]:
        return [*self.other_targets, self.target]

    async def scaling_policies(self) -> list[ScalingPolicy]:
        return self.policies

    async def metric_periods(
        self, metric: Metric, *, start_s: int, end_s: int, period_s: int
    ) -> list[Period]:
        found: dict[int, list[Datum]] = {}
        for datum in self.data:
            if datum.metric == metric and start_s <= datum.time_s < end_s:
                found.setdefault(datum.time_s // period_s * period_s, []).append(datum)
        return [Period(time_s=time_s, points=points) for time_s, points in sorted(found.items())]

    def current(self, endpoint: str, variant: str, dimension: str) -> int | None:
        assert (endpoint, variant, dimension) == ("ner", "AllTraffic", INSTANCE_COUNT)
        return self.capacity

    async def change(self, endpoint: str, variant: str, dimension: str, *, to: int) -> None:
        self.changes.append(to)
        self.capacity = to

    async def flush(self) -> None:
        self.flushes += 1

    def autoscaler(self, pace: float = 1.0) -> Autoscaler:
        return Autoscaler(self, capacities=self, flush=self.flush, clock=self.clock, pace=pace)

    def measure(self, values: Sequence[float], *, period_s: int = 60) -> None:
        """One sum for each of the last whole periods, oldest first."""
        now_s = self.clock.now_ms() // 1000 // period_s * period_s
        self.data = [
            Datum.of(METRIC, value, time_s=now_s - period_s * age)
            for age, value in zip(range(len(values), 0, -1), values, strict=True)
        ]


async def test_it_goes_out_as_far_as_the_target_allows() -> None:
    world = World()
    world.measure([1000] * 3)

    await world.autoscaler().look()

    assert world.changes == [4]
    assert world.flushes == 1


async def test_a_target_that_is_not_of_a_variant_does_not_stop_the_others() -> None:
    component = ScalableTarget(
        resource_id="inference-component/ner",
        dimension="sagemaker:inference-component:DesiredCopyCount",
        min_capacity=1,
        max_capacity=2,
    )
    world = World(other_targets=[component])
    world.measure([1000] * 3)

    await world.autoscaler().look()

    assert world.changes == [4]


async def test_a_target_that_cannot_be_looked_after_does_not_stop_the_others() -> None:
    world = World(other_targets=[replace(TARGET, resource_id="endpoint/ner")])
    world.measure([1000] * 3)

    await world.autoscaler().look()

    assert world.changes == [4]


async def test_it_rests_after_a_change() -> None:
    world = World(target=replace(TARGET, max_capacity=100))
    autoscaler = world.autoscaler()
    for _ in range(7):
        world.measure([200] * 3)
        await autoscaler.look()
        await world.clock.sleep(60)

    assert world.changes == [2, 4]  # after 0 s and after 300 s


async def test_a_faster_pace_means_the_same_rate_in_less_time() -> None:
    world = World()
    world.measure([5] * 3, period_s=1)  # 300 a minute

    await world.autoscaler(pace=60).look()

    assert world.changes == [3]


async def test_without_traffic_it_goes_in_to_the_least() -> None:
    world = World(capacity=4)

    await world.autoscaler().look()

    assert world.changes == [1]


async def test_a_capacity_out_of_bounds_is_brought_back_without_a_policy() -> None:
    world = World(capacity=9, policies=[])

    await world.autoscaler().look()

    assert world.changes == [4]


async def test_an_endpoint_that_is_being_changed_is_left_alone() -> None:
    world = World(capacity=None)
    world.measure([1000] * 3)

    await world.autoscaler().look()

    assert world.changes == []


@pytest.mark.parametrize(
    ("target", "capacity", "values"),
    [
        (replace(TARGET, scale_out_suspended=True), 1, [1000] * 3),
        (replace(TARGET, scale_in_suspended=True), 4, [0] * 15),
    ],
)
async def test_what_is_suspended_is_not_done(
    target: ScalableTarget, capacity: int, values: list[float]
) -> None:
    world = World(target=target, capacity=capacity)
    world.measure(values)

    await world.autoscaler().look()

    assert world.changes == []


async def test_all_policies_must_agree_to_go_in() -> None:
    custom = {"MetricName": "Depth", "Namespace": "Mine", "Statistic": "Average"}
    other = {"TargetValue": 5.0, "CustomizedMetricSpecification": custom}
    world = World(capacity=4)
    world.policies.append(replace(policy(), name="other", configuration=other))

    await world.autoscaler().look()

    assert world.changes == []


async def test_step_scaling_is_told_of_and_left(caplog: pytest.LogCaptureFixture) -> None:
    world = World(policies=[replace(policy(), kind="StepScaling", configuration={})])

    await world.autoscaler().look()

    assert world.changes == []
    assert "policy follow is not one of those" in caplog.text
