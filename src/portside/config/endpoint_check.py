"""What SageMaker takes of an endpoint's settings, checked before anything is made."""

from __future__ import annotations

import re
from typing import Final, assert_never

from portside import contract
from portside.config.endpoint_instance import check_instance_type
from portside.config.endpoint_section import (
    Async,
    EndpointKind,
    InstanceSection,
    Realtime,
    RolloutSection,
    Serverless,
    VpcSection,
)
from portside.errors import ConfigError
from portside.serving.tasks.strategy import AggregationStrategy

_SERVICE_PARTITION: Final = r"arn:aws[a-z-]*"
_TTL_HOURS: Final = {"h": 1, "d": 24, "w": 7 * 24}
_OWN_TAGS: Final = ("portside:", "aws:")
"""Portside's own tags, and those that AWS keeps for itself."""
_OWN_TAG_COUNT: Final = 10
"""Places that are left to Portside's own; see `deploy.desired.resources`."""


def ttl_hours(text: str) -> int:
    """The hours in `8h`, `7d` or `2w`; raises `ValueError` for anything else."""
    found = re.fullmatch(r"([1-9][0-9]{0,3})([hdw])", text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * _TTL_HOURS[found[2]]


def checked(settings: EndpointKind, path: str) -> EndpointKind:
    """The settings at a key's path, if SageMaker would take them; else a `ConfigError`."""
    match settings:
        case Serverless():
            _check_serverless(settings, path)
        case Realtime():
            _check_instances(settings, path)
            _check_realtime(settings, path)
        case Async():
            _check_instances(settings, path)
            _check_async(settings, path)
        case _:
            assert_never(settings)
    check_environment(settings.environment, f"{path}.environment")
    _check_tags(settings.tags, f"{path}.tags")
    _check_arn(settings.role, "iam", "role/", f"{path}.role")
    if settings.ttl is not None:
        _check_ttl(settings.ttl, f"{path}.ttl")
    return settings


def _check_serverless(settings: Serverless, path: str) -> None:
    """BC ProductionVariantServerlessConfig."""
    memory, most = settings.memory_size_mb, settings.max_concurrency
    if memory is not None and memory not in contract.SERVERLESS_MEMORY_MB:
        sizes = ", ".join(map(str, contract.SERVERLESS_MEMORY_MB))
        raise ConfigError(
            f"serverless has no memory size of {memory} MB",
            path=f"{path}.memory_size_mb",
            hint=f"choose one of: {sizes}",
        )
    _check_range(most, 1, contract.SERVERLESS_MAX_CONCURRENCY, f"{path}.max_concurrency")
    if settings.provisioned_concurrency is not None:
        _check_range(settings.provisioned_concurrency, 1, most, f"{path}.provisioned_concurrency")
    if settings.scaling is None:
        return
    if settings.provisioned_concurrency is None:
        raise ConfigError(
            "there is no provisioned concurrency to scale",
            path=f"{path}.scaling",
            hint=f"set `{path}.provisioned_concurrency`, or remove the table",
        )
    scaling = settings.scaling
    at = f"{path}.scaling"
    _check_range(scaling.max_concurrency, scaling.min_concurrency, most, f"{at}.max_concurrency")
    _check_within(
        settings.provisioned_concurrency,
        scaling.min_concurrency,
        scaling.max_concurrency,
        f"{path}.provisioned_concurrency",
    )


def _check_instances(settings: InstanceSection, path: str) -> None:
    insists = settings.allow_unknown_instance_type
    check_instance_type(settings.instance_type, f"{path}.instance_type", insists=insists)
    _check_arn(settings.kms_key, "kms", "key/", f"{path}.kms_key")
    if settings.vpc is not None:
        _check_vpc(settings.vpc, f"{path}.vpc")
    if settings.rollout is not None:
        _check_rollout(settings.rollout, f"{path}.rollout")


def _check_realtime(settings: Realtime, path: str) -> None:
    names = [variant.name for variant in settings.variants]
    for number, variant in enumerate(settings.variants):
        at = f"{path}.variants[{number}]"
        if not re.fullmatch(contract.NAME_PATTERN, variant.name) or names.count(variant.name) > 1:
            raise ConfigError(
                f"`{variant.name}` cannot be the name of a variant",
                path=f"{at}.name",
                hint="use letters, digits and dashes, and each name once",
            )
        if variant.instance_type is not None:
            check_instance_type(
                variant.instance_type,
                f"{at}.instance_type",
                insists=settings.allow_unknown_instance_type,
            )
        check_environment(variant.environment, f"{at}.environment")
    if settings.variants and not any(variant.weight for variant in settings.variants):
        raise ConfigError(
            "no variant has a weight",
            path=f"{path}.variants",
            hint="give one of them a `weight` above 0",
        )
    scaling = settings.scaling
    if scaling is not None:
        _check_bounds(scaling.min_instances, scaling.max_instances, f"{path}.scaling")
        counts = {settings.instance_count} if not settings.variants else set()
        counts |= {one.instance_count or settings.instance_count for one in settings.variants}
        for count in counts:
            _check_within(
                count, scaling.min_instances, scaling.max_instances, f"{path}.instance_count"
            )
    if settings.capture is not None:
        _check_s3(settings.capture.destination, f"{path}.capture.destination")


def _check_async(settings: Async, path: str) -> None:
    _check_s3(settings.input, f"{path}.input")
    _check_s3(settings.output, f"{path}.output")
    _check_s3(settings.failure, f"{path}.failure")
    _check_arn(settings.success_topic, "sns", "", f"{path}.success_topic")
    _check_arn(settings.error_topic, "sns", "", f"{path}.error_topic")
    if settings.scaling is not None:
        least, most = settings.scaling.min_instances, settings.scaling.max_instances
        _check_bounds(least, most, f"{path}.scaling")
        _check_within(settings.instance_count, max(least, 1), most, f"{path}.instance_count")


def _check_rollout(rollout: RolloutSection, path: str) -> None:
    """SageMaker takes steps of some sizes alone."""
    at, step = f"{path}.step_percent", rollout.step_percent
    if rollout.kind == "all_at_once":
        if step is not None:
            raise ConfigError(
                "all at once has no steps", path=at, hint='set `kind` to "canary" or "linear"'
            )
        return
    if step is None:
        raise ConfigError(
            f"a {rollout.kind} rollout needs a size", path=at, hint="set it, for example to 10"
        )
    least, most = {
        "canary": contract.CANARY_PERCENT,
        "linear": contract.LINEAR_STEP_PERCENT,
    }[rollout.kind]
    _check_range(step, least, most, at)


def _check_vpc(vpc: VpcSection, path: str) -> None:
    for key, names, prefix in (
        ("subnets", vpc.subnets, "subnet-"),
        ("security_groups", vpc.security_groups, "sg-"),
    ):
        for name in names:
            if not re.fullmatch(rf"{prefix}[0-9a-z]+", name):
                raise ConfigError(
                    f"`{name}` is not the ID of one",
                    path=f"{path}.{key}",
                    hint=f"write IDs such as `{prefix}0123456789abcdef0`",
                )


def check_environment(environment: dict[str, str], path: str) -> None:
    """Names and lengths that SageMaker takes. Source: botocore, EnvironmentMap."""
    for name, value in environment.items():
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
            raise ConfigError(
                f"`{name}` cannot be the name of a variable",
                path=path,
                hint="use letters, digits and `_`, and no digit in front",
            )
        if name == contract.ENV_AGGREGATION_STRATEGY and value not in {"", *AggregationStrategy}:
            raise ConfigError(
                f"there is no aggregation strategy `{value}`",
                path=f"{path}.{name}",
                hint=f"set it to one of: {', '.join(AggregationStrategy)}",
            )
        if max(len(name), len(value)) > contract.ENVIRONMENT_LENGTH:
            raise ConfigError(
                f"`{name}` or its value is longer than {contract.ENVIRONMENT_LENGTH} characters",
                path=path,
                hint="put long values into a file beside the model",
            )


def _check_tags(tags: dict[str, str], path: str) -> None:
    """Of what AWS takes, less those that are Portside's own."""
    for name, value in tags.items():
        if name.startswith(_OWN_TAGS):
            raise ConfigError(
                f"`{name}` is kept for others",
                path=path,
                hint="choose a name that does not begin with `portside:` or `aws:`",
            )
        if not (
            re.fullmatch(r"[\w\s.:/=+@-]*", name + value)
            and 1 <= len(name) <= contract.TAG_KEY_LENGTH
            and len(value) <= contract.TAG_VALUE_LENGTH
        ):
            raise ConfigError(
                f"`{name}` and its value cannot be a tag",
                path=path,
                hint="use letters, digits, spaces and any of `_.:/=+-@`, "
                f"{contract.TAG_KEY_LENGTH} and {contract.TAG_VALUE_LENGTH} at most",
            )
    _check_range(len(tags), 0, contract.TAG_COUNT - _OWN_TAG_COUNT, path)


def _check_arn(arn: str | None, service: str, kind: str, path: str) -> None:
    if arn is None:
        return
    where = "" if service == "iam" else "[a-z0-9-]+"
    pattern = rf"{_SERVICE_PARTITION}:{service}:{where}:[0-9]{{12}}:{kind}[\w+=,.@/-]+"
    if not re.fullmatch(pattern, arn):
        region = "" if service == "iam" else "us-east-1"
        raise ConfigError(
            f"`{arn}` is not the ARN of one",
            path=path,
            hint=f"write it whole: `arn:aws:{service}:{region}:123456789012:{kind}NAME`",
        )


def _check_s3(address: str | None, path: str) -> None:
    if address is not None and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{2,62}(/.*)?", address):
        raise ConfigError(
            f"`{address}` is not a place on S3",
            path=path,
            hint="write `s3://BUCKET/PREFIX`, or remove the key to use Portside's own bucket",
        )


def _check_ttl(text: str, path: str) -> None:
    try:
        ttl_hours(text)
    except ValueError as error:
        raise ConfigError(
            f"`{text}` is not a time to live",
            path=path,
            hint="write hours, days or weeks, as in `8h`, `7d` or `2w`",
        ) from error


def _check_bounds(least: int, most: int, path: str) -> None:
    if least > most:
        raise ConfigError(
            f"{least} is more than `max_instances`",
            path=f"{path}.min_instances",
            hint=f"choose a number up to {most}",
        )


def _check_within(value: int, least: int, most: int, path: str) -> None:
    if not least <= value <= most:
        raise ConfigError(
            f"{value} is not within what it may be scaled to",
            path=path,
            hint=f"choose a number from {least} to {most}, or change the scaling",
        )


def _check_range(value: int, least: int, most: int, path: str) -> None:
    if not least <= value <= most:
        raise ConfigError(
            f"{value} is out of range",
            path=path,
            hint=f"choose a number from {least} to {most}",
        )
