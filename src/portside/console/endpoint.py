"""An endpoint as it is shown: what AWS's descriptions of it say, and nothing made up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from portside.client.endpoint import ANSWERING

if TYPE_CHECKING:
    from collections.abc import Callable

    from portside.console.account import Described


class Tone(StrEnum):
    """How a state is colored."""

    GOOD = "good"
    BUSY = "busy"
    BAD = "bad"


_BAD: Final = {"Failed", "OutOfService", "UpdateRollbackFailed"}
_AT_REST: Final = {"InService", *_BAD}
"""Source of both: API Reference of SageMaker, DescribeEndpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantView:
    """A ProductionVariant. `share` is the part of the traffic that its weight stands for."""

    name: str
    model: str
    capacity: str
    weight: str
    share: float | None
    image: str
    stages: list[str]
    is_serverless: bool
    is_shadow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, as far as AWS tells."""

    time: datetime
    title: str
    tone: Tone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointView:
    """One endpoint. `reason` is what AWS says of its last failure, `history` newest first."""

    name: str
    status: str
    tone: Tone
    reason: str
    modified: datetime
    variants: list[VariantView]
    pending: list[VariantView]
    pending_config: str
    history: list[Event]
    facts: list[tuple[str, str]]

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is under way."""
        return self.status in _AT_REST

    @property
    def answers(self) -> bool:
        """Whether it takes requests."""
        return self.status in ANSWERING

    @property
    def capacity(self) -> str:
        """Of all variants in a few words."""
        return ", ".join(variant.capacity for variant in self.variants or self.pending)


def view_endpoint(described: Described) -> EndpointView:
    """What is shown of AWS's descriptions."""
    endpoint = described.endpoint
    configured = {
        variant["VariantName"]: variant
        for variant in (described.config or {}).get("ProductionVariants", [])
    }
    pending = endpoint.get("PendingDeploymentSummary", {})
    # The EndpointConfig that was read is another one's, unless the endpoint is new.
    is_first = pending.get("EndpointConfigName") == endpoint.get("EndpointConfigName")
    status = endpoint["EndpointStatus"]
    return EndpointView(
        name=endpoint["EndpointName"],
        status=status,
        tone=_tone(status),
        reason=endpoint.get("FailureReason", ""),
        modified=endpoint["LastModifiedTime"].astimezone(),
        variants=_variants(endpoint, configured),
        pending=_variants(pending, configured if is_first else {}),
        pending_config=pending.get("EndpointConfigName", ""),
        history=_history(described, _tone(status)),
        facts=_facts(described),
    )


def _tone(status: str) -> Tone:
    if status == "InService":
        return Tone.GOOD
    return Tone.BAD if status in _BAD else Tone.BUSY


def _variants(holder: dict[str, Any], configured: dict[str, Any]) -> list[VariantView]:
    production = holder.get("ProductionVariants", [])
    total = sum(_weight(variant) for variant in production)
    return [
        *(_variant(one, configured.get(one["VariantName"], {}), total) for one in production),
        *(
            _variant(one, configured.get(one["VariantName"], {}), 0, is_shadow=True)
            for one in holder.get("ShadowProductionVariants", [])
        ),
    ]


def _variant(
    summary: dict[str, Any],
    configured: dict[str, Any],
    total_weight: float,
    *,
    is_shadow: bool = False,
) -> VariantView:
    images = [
        image.get("SpecifiedImage", image.get("ResolvedImage", ""))
        for image in summary.get("DeployedImages", [])
    ]
    return VariantView(
        name=summary["VariantName"],
        model=configured.get("ModelName", ""),
        capacity=_capacity(summary, configured),
        weight=_changing(summary, "Weight", lambda weight: f"{weight:g}"),
        share=_weight(summary) / total_weight if total_weight else None,
        image=", ".join(images),
        stages=[
            ": ".join(filter(None, (stage["Status"], stage.get("StatusMessage", ""))))
            for stage in summary.get("VariantStatus", [])
        ],
        is_serverless="CurrentServerlessConfig" in summary or "DesiredServerlessConfig" in summary,
        is_shadow=is_shadow,
    )


def _weight(summary: dict[str, Any]) -> float:
    return float(summary.get("CurrentWeight", summary.get("DesiredWeight", 0)))


def _capacity(summary: dict[str, Any], configured: dict[str, Any]) -> str:
    if "CurrentServerlessConfig" in summary or "DesiredServerlessConfig" in summary:
        return _changing(summary, "ServerlessConfig", _serverless)
    count = _changing(summary, "InstanceCount", str)
    kind = configured.get("InstanceType", "")
    if kind:
        return f"{count} \N{MULTIPLICATION SIGN} {kind}"
    return f"{count} instance{'' if count == '1' else 's'}" if count else "no capacity told"


def _serverless(config: dict[str, int]) -> str:
    parts = [
        "serverless",
        f"{config['MemorySizeInMB']} MB",
        f"up to {config['MaxConcurrency']} at once",
    ]
    if kept := config.get("ProvisionedConcurrency"):
        parts.append(f"{kept} kept warm")
    return " · ".join(parts)


def _changing(summary: dict[str, Any], what: str, words: Callable[[Any], str]) -> str:
    """The current value, and the desired one where that is another."""
    current, desired = summary.get(f"Current{what}"), summary.get(f"Desired{what}")
    if current is None or desired is None or current == desired:
        told = desired if current is None else current
        return "" if told is None else words(told)
    return f"{words(current)} → {words(desired)}"


def _history(described: Described, tone: Tone) -> list[Event]:
    """What AWS keeps of it: the last change, what is under way, and the beginnings."""
    endpoint, config = described.endpoint, described.config
    events = [
        Event(
            time=endpoint["LastModifiedTime"],
            title=f"Last change: {endpoint['EndpointStatus']}",
            tone=Tone.BAD if "FailureReason" in endpoint else tone,
        )
    ]
    pending = endpoint.get("PendingDeploymentSummary", {})
    if began := pending.get("StartTime"):
        title = f"Deployment of {pending['EndpointConfigName']} began"
        events.append(Event(time=began, title=title, tone=Tone.BUSY))
    events.append(Event(time=endpoint["CreationTime"], title="Created"))
    if config is not None:
        title = f"EndpointConfig {config['EndpointConfigName']} made"
        events.append(Event(time=config["CreationTime"], title=title))
    events.sort(key=lambda event: event.time, reverse=True)
    return [replace(event, time=event.time.astimezone()) for event in events]


def _facts(described: Described) -> list[tuple[str, str]]:
    endpoint, config = described.endpoint, described.config or {}
    capture = endpoint.get("DataCaptureConfig", {})
    asynchronous = config.get("AsyncInferenceConfig", {}).get("OutputConfig", {})
    facts = [
        ("EndpointConfig", endpoint.get("EndpointConfigName", "")),
        ("ARN", endpoint["EndpointArn"]),
        ("Last deployment", _policy(endpoint.get("LastDeploymentConfig", {}))),
        (
            "Data capture",
            f"{capture['CaptureStatus']}, {capture['CurrentSamplingPercentage']} % to "
            f"{capture['DestinationS3Uri']}"
            if capture.get("EnableCapture")
            else "",
        ),
        ("Asynchronous", f"answers to {asynchronous['S3OutputPath']}" if asynchronous else ""),
    ]
    return [(label, value) for label, value in facts if value]


def _policy(config: dict[str, Any]) -> str:
    """A DeploymentConfig in words."""
    parts = []
    if blue_green := config.get("BlueGreenUpdatePolicy"):
        routing = blue_green.get("TrafficRoutingConfiguration", {})
        parts.append(f"blue/green, {routing.get('Type', '').lower().replace('_', ' ')}")
        if size := routing.get("CanarySize"):
            parts.append(f"{_size(size)} first")
        if size := routing.get("LinearStepSize"):
            parts.append(f"{_size(size)} at a time")
        if wait_s := routing.get("WaitIntervalInSeconds"):
            parts.append(f"{wait_s} s between")
    if rolling := config.get("RollingUpdatePolicy"):
        parts.append(f"rolling, {_size(rolling['MaximumBatchSize'])} at a time")
    if alarms := config.get("AutoRollbackConfiguration", {}).get("Alarms"):
        parts.append(f"back on {', '.join(alarm['AlarmName'] for alarm in alarms)}")
    return ", ".join(parts)


def _size(size: dict[str, Any]) -> str:
    percent = size["Type"] == "CAPACITY_PERCENT"
    return f"{size['Value']} %" if percent else f"{size['Value']} instances"
