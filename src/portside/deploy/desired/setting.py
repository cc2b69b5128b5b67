"""Settings of an endpoint in AWS's spelling: data capture, asynchronous inference, rollout (pure).

Source of every name and limit: botocore's service model, DataCaptureConfig,
AsyncInferenceConfig, DeploymentConfig.
"""

from __future__ import annotations

from typing import Any, Final

from portside.config import Async, CaptureSection, RolloutSection

_TRAFFIC: Final = {"all_at_once": "ALL_AT_ONCE", "canary": "CANARY", "linear": "LINEAR"}
_SIZE: Final = {"canary": "CanarySize", "linear": "LinearStepSize"}


def data_capture(
    capture: CaptureSection, *, destination: str, kms_key: str | None
) -> dict[str, Any]:
    """What goes in and what comes out; JSON and CSV as text, all else as base64."""
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": capture.sampling_percentage,
        "DestinationS3Uri": destination,
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json"],
        },
    } | ({"KmsKeyId": kms_key} if kms_key else {})


def async_inference(settings: Async, *, output: str, failure: str) -> dict[str, Any]:
    """Where answers go, who hears of them, how many an instance works on at a time."""
    places: dict[str, Any] = {"S3OutputPath": output, "S3FailurePath": failure}
    if settings.kms_key:
        places["KmsKeyId"] = settings.kms_key
    topics = {"SuccessTopic": settings.success_topic, "ErrorTopic": settings.error_topic}
    if any(topics.values()):
        places["NotificationConfig"] = {key: topic for key, topic in topics.items() if topic}
    config: dict[str, Any] = {"OutputConfig": places}
    if settings.max_concurrent_invocations is not None:
        most = settings.max_concurrent_invocations
        config["ClientConfig"] = {"MaxConcurrentInvocationsPerInstance": most}
    return config


def deployment(rollout: RolloutSection) -> dict[str, Any]:
    """How the traffic moves to the new fleet, and what sends it back."""
    routing: dict[str, Any] = {
        "Type": _TRAFFIC[rollout.kind],
        "WaitIntervalInSeconds": rollout.wait_s,
    }
    if rollout.step_percent is not None:
        size = {"Type": "CAPACITY_PERCENT", "Value": rollout.step_percent}
        routing[_SIZE[rollout.kind]] = size
    config: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": rollout.termination_wait_s,
        }
    }
    if rollout.alarms:
        alarms = [{"AlarmName": alarm} for alarm in rollout.alarms]
        config["AutoRollbackConfiguration"] = {"Alarms": alarms}
    return config
