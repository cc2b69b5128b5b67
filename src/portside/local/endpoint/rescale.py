"""Weights and capacities of variants: changed in place, or kept over an update.

UpdateEndpointWeightsAndCapacities and RetainAllVariantProperties, as values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from portside.local.refusal import invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from portside.local.state.deployment import Deployment, Variant


def rescale(deployment: Deployment, desired: Sequence[Mapping[str, Any]]) -> Deployment:
    """The deployment with what DesiredWeightsAndCapacities says; raises SageMaker's faults."""
    by_name = {each["VariantName"]: each for each in desired}
    for each in desired:
        if sum(other["VariantName"] == each["VariantName"] for other in desired) > 1:
            # getmoto/moto, which has it from AWS by its tests
            raise invalid(
                f'The variant name "{each["VariantName"]}" was non-unique within the request.'
            )
    unknown = sorted(name for name in by_name if deployment.variant(name) is None)
    if unknown:  # the same source
        raise invalid(
            f'The variant name(s) "{", ".join(unknown)}" is/are not present within endpoint'
            f' configuration "{deployment.config_name}".'
        )
    variants = tuple(
        _rescaled(variant, by_name.get(variant.name, {})) for variant in deployment.variants
    )
    check_weights(variant.weight for variant in variants)
    return replace(deployment, variants=variants)


def retain(params: Mapping[str, Any], pending: Deployment, *, of: Deployment | None) -> Deployment:
    """What an UpdateEndpoint asks for, with the weights and counts that it is to keep.

    BC UpdateEndpointInput: RetainAllVariantProperties, but for those that
    ExcludeRetainedVariantProperties lists.
    """
    if of is None or not params.get("RetainAllVariantProperties"):
        return pending
    excluded = {
        each["VariantPropertyType"] for each in params.get("ExcludeRetainedVariantProperties", [])
    }
    variants = tuple(
        _retained(variant, of.variant(variant.name), excluded=excluded)
        for variant in pending.variants
    )
    check_weights(variant.weight for variant in variants)
    keeps_capture = "DataCaptureConfig" not in excluded
    capture = of.data_capture if keeps_capture else pending.data_capture
    return replace(pending, variants=variants, data_capture=capture)


def check_weights(weights: Iterable[float]) -> None:
    """Refuse variants of which nobody would get an invocation; the words are ours."""
    if not any(weight > 0 for weight in weights):
        raise invalid("At least one production variant must have a weight above zero.")


def _rescaled(variant: Variant, desired: Mapping[str, Any]) -> Variant:
    serverless = variant.serverless
    if "ServerlessUpdateConfig" in desired:
        if serverless is None:  # our words
            raise invalid(
                f"Production variant {variant.name} is not serverless and cannot take a"
                " ServerlessUpdateConfig."
            )
        serverless = {**serverless, **desired["ServerlessUpdateConfig"]}
        if serverless.get("ProvisionedConcurrency", 0) > serverless["MaxConcurrency"]:
            raise invalid("ProvisionedConcurrency must be at most MaxConcurrency.")
    count = desired.get("DesiredInstanceCount", variant.instance_count)
    if variant.serverless is not None and "DesiredInstanceCount" in desired:
        raise invalid(
            f"Production variant {variant.name} is serverless and cannot take a"
            " DesiredInstanceCount."
        )
    if count < 1:  # only an asynchronous endpoint may have none: DG async-inference-autoscale
        raise invalid(
            f"DesiredInstanceCount of production variant {variant.name} must be at least 1."
        )
    return replace(
        variant,
        weight=desired.get("DesiredWeight", variant.weight),
        instance_count=count,
        serverless=serverless,
    )


def _retained(variant: Variant, old: Variant | None, *, excluded: set[str]) -> Variant:
    if old is None:
        return variant
    if "DesiredWeight" not in excluded:
        variant = replace(variant, weight=old.weight)
    is_same_kind = (variant.serverless is None) == (old.serverless is None)
    if "DesiredInstanceCount" not in excluded and is_same_kind:
        variant = replace(variant, instance_count=old.instance_count)
    return variant
