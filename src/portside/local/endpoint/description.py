"""An endpoint in DescribeEndpoint's words: what serves, what is on its way, why it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portside.local.clock import moment
from portside.local.state.endpoint_state import EndpointStatus

if TYPE_CHECKING:
    from portside.local.state.deployment import Deployment, Endpoint, Variant


def described(endpoint: Endpoint) -> dict[str, Any]:
    """The members of DescribeEndpointOutput."""
    output: dict[str, Any] = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": endpoint.config_name,
        "EndpointStatus": endpoint.status,
        "CreationTime": moment(endpoint.creation_time_ms),
        "LastModifiedTime": moment(endpoint.last_modified_time_ms),
    }
    has_failed = endpoint.status is EndpointStatus.FAILED
    shown = endpoint.deployment or (endpoint.pending if has_failed else None)
    if shown is not None:
        output["ProductionVariants"] = _variant_summaries(shown, endpoint)
        if shown.data_capture is not None:
            output["DataCaptureConfig"] = _data_capture_summary(shown.data_capture)
    is_new = not (has_failed or endpoint.is_scaling)  # BC: of a new config, or the first
    if endpoint.pending is not None and is_new:
        output["PendingDeploymentSummary"] = _pending_summary(endpoint.pending, endpoint)
    if endpoint.deployment_config is not None:
        output["LastDeploymentConfig"] = endpoint.deployment_config
    if endpoint.failure_reason is not None:
        output["FailureReason"] = endpoint.failure_reason
    return output


def _variant_summaries(deployment: Deployment, endpoint: Endpoint) -> list[dict[str, Any]]:
    has_failed = endpoint.status is EndpointStatus.FAILED
    desired = endpoint.pending if endpoint.is_scaling and endpoint.pending else deployment
    status = _variant_status(endpoint, desired) if endpoint.is_scaling else {}
    return [
        _variant_summary(
            variant, desired=desired.variant(variant.name) or variant, is_running=not has_failed
        )
        | status
        for variant in deployment.variants
    ]


def _variant_summary(variant: Variant, *, desired: Variant, is_running: bool) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "VariantName": variant.name,
        "CurrentWeight": variant.weight,
        "DesiredWeight": desired.weight,
        **_deployed_images(variant),
    }
    if variant.serverless is not None:
        summary["CurrentServerlessConfig"] = variant.serverless
        if desired.serverless != variant.serverless:
            summary["DesiredServerlessConfig"] = desired.serverless
    else:
        summary["CurrentInstanceCount"] = variant.instance_count if is_running else 0
        summary["DesiredInstanceCount"] = desired.instance_count
    if variant.routing is not None:
        summary["RoutingConfig"] = {"RoutingStrategy": variant.routing}
    return summary


def _variant_status(endpoint: Endpoint, pending: Deployment) -> dict[str, Any]:
    creating = endpoint.status is EndpointStatus.CREATING
    stage = endpoint.stage or ("Creating" if creating else "Updating")
    started = moment(pending.requested_time_ms)
    return {"VariantStatus": [{"Status": stage, "StartTime": started}]}


def _pending_summary(pending: Deployment, endpoint: Endpoint) -> dict[str, Any]:
    return {
        "EndpointConfigName": pending.config_name,
        "ProductionVariants": [
            {
                "VariantName": variant.name,
                "DesiredWeight": variant.weight,
                **_variant_status(endpoint, pending),
                **_deployed_images(variant),
                **(
                    {"DesiredServerlessConfig": variant.serverless}
                    if variant.serverless is not None
                    else {"DesiredInstanceCount": variant.instance_count}
                ),
            }
            for variant in pending.variants
        ],
        "StartTime": moment(pending.requested_time_ms),
    }


def _data_capture_summary(config: dict[str, Any]) -> dict[str, Any]:
    is_on = config.get("EnableCapture", True)  # BC: on unless told otherwise
    return {
        "EnableCapture": is_on,
        "CaptureStatus": "Started" if is_on else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }


def _deployed_images(variant: Variant) -> dict[str, Any]:
    if variant.resolved_image is None or variant.resolution_time_ms is None:
        return {}
    image = {
        "SpecifiedImage": variant.image,
        "ResolvedImage": variant.resolved_image,
        "ResolutionTime": moment(variant.resolution_time_ms),
    }
    return {"DeployedImages": [image]}
