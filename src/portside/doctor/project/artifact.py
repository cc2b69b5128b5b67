"""Checks of the configuration, of the model, and of what an endpoint can hold and wait for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, assert_never

from portside import config, contract
from portside.artifact.quantity import size
from portside.doctor.finding import Check, Severity, Spot
from portside.doctor.project.fact import Project
from portside.image.check import IMAGE_BYTES

SERVERLESS_DISK_BYTES: Final = 5 * 1024**3
"""Of an instance, whatever its memory size. DG serverless-endpoints."""

_ASYNC_PAYLOAD_BYTES: Final = 1024**3
"""Largest request of an asynchronous endpoint, on S3. DG async-inference."""

_MIB: Final = 1024**2

_TIMEOUTS: Final = frozenset(
    {
        contract.ENV_TIMEOUT,
        "GUNICORN_TIMEOUT",
        "MMS_DEFAULT_RESPONSE_TIMEOUT",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS",
        "SAGEMAKER_TS_RESPONSE_TIMEOUT",
        "TS_DEFAULT_RESPONSE_TIMEOUT",
    }
)
"""Variables that time requests, in seconds."""


def _refused(project: Project) -> Iterator[Spot]:
    for refusal in project.refusals:
        yield Spot(where=refusal.where, what=refusal.what, mend=refusal.mend)


def _pickles(project: Project) -> Iterator[Spot]:
    for where in project.pickles:
        yield Spot(
            where=where,
            what="it is a pickle: loading it runs whatever code is in it, and only with the very "
            "versions of the libraries that wrote it",
            mend="save the weights as safetensors, or the model as ONNX",
        )


def _memory(project: Project) -> Iterator[Spot]:
    for endpoint in project.endpoints:
        match endpoint.settings:
            case config.Serverless(memory_size_mb=int(memory)) if (
                project.model_bytes > memory * _MIB
            ):
                fits = [
                    each
                    for each in contract.SERVERLESS_MEMORY_MB
                    if each * _MIB > project.model_bytes
                ]
                yield Spot(
                    where=f"{endpoint.where}.memory_size_mb",
                    what=f"the model's files take {size(project.model_bytes)}, and the endpoint "
                    f"has {memory} MB of memory",
                    mend=f"set `memory_size_mb = {fits[0]}`"
                    if fits
                    else 'set `kind = "realtime"`: serverless has no more than 6144 MB',
                )
            case _:
                pass


def _disk(project: Project) -> Iterator[Spot]:
    if project.model_in_image and project.model_bytes > IMAGE_BYTES:
        yield Spot(
            where="image.model_in_image",
            what=f"the model alone takes {size(project.model_bytes)}, and SageMaker starts no "
            f"image of over {size(IMAGE_BYTES)}",
            mend="set `model_in_image = false`: the model then comes from S3",
        )
    for endpoint in project.endpoints:
        is_serverless = isinstance(endpoint.settings, config.Serverless)
        if is_serverless and project.model_bytes > SERVERLESS_DISK_BYTES:
            yield Spot(
                where=endpoint.where,
                what=f"the model takes {size(project.model_bytes)}, and a serverless instance has "
                f"{size(SERVERLESS_DISK_BYTES)} of disk",
                mend='set `kind = "realtime"`',
            )


def _payload(project: Project) -> Iterator[Spot]:
    limit = min((_limit(each.settings) for each in project.endpoints), default=0)
    for where, length in project.requests.items():
        if length > limit > 0:
            yield Spot(
                where=where,
                what=f"a request of {size(length)}, and an endpoint of this kind takes "
                f"{size(limit)}",
                mend="send less at a time, or use an asynchronous endpoint",
            )


def _limit(settings: config.EndpointKind) -> int:
    """Most bytes of a request's body."""
    match settings:
        case config.Serverless():
            return contract.SERVERLESS_PAYLOAD_BYTES
        case config.Realtime():
            return contract.REALTIME_PAYLOAD_BYTES
        case config.Async():
            return _ASYNC_PAYLOAD_BYTES
        case other:
            assert_never(other)


def _timeouts(project: Project) -> Iterator[Spot]:
    quick = [each for each in project.endpoints if not isinstance(each.settings, config.Async)]
    for endpoint in quick:
        for name, value in endpoint.settings.environment.items():
            is_number = re.fullmatch(r"\d+(\.\d+)?", value)
            if name in _TIMEOUTS and is_number and float(value) > contract.INVOCATION_TIMEOUT_S:
                yield Spot(
                    where=f"{endpoint.where}.environment.{name}",
                    what=f"{value} s, and SageMaker hangs up after "
                    f"{contract.INVOCATION_TIMEOUT_S:.0f} s, whatever the container allows",
                    mend="stay below 60, stream the answer (8 minutes), or use an asynchronous "
                    "endpoint (an hour)",
                )


CHECKS: Final[tuple[Check[Project], ...]] = (
    Check(
        name="project-refused",
        severity=Severity.ERROR,
        tells="what `portside deploy` would refuse: a wrong key, missing weights, tokenizer or "
        "labels, labels that do not fit the weights, pickles that nobody allowed",
        source="docs/reference/configuration.md",
        look=_refused,
    ),
    Check(
        name="model-pickle",
        severity=Severity.WARNING,
        tells="weights are pickles",
        source="aws/amazon-sagemaker-from-idea-to-production#9",
        look=_pickles,
    ),
    Check(
        name="endpoint-memory",
        severity=Severity.ERROR,
        tells="the model is larger than the memory of its serverless endpoint",
        source="DG serverless-endpoints",
        look=_memory,
    ),
    Check(
        name="endpoint-disk",
        severity=Severity.ERROR,
        tells="the model does not fit an image, or the disk of a serverless instance",
        source="aws/deep-learning-containers#3803",
        look=_disk,
    ),
    Check(
        name="endpoint-payload",
        severity=Severity.ERROR,
        tells="a request file is larger than what the endpoint takes",
        source="aws/sagemaker-python-sdk#4271",
        look=_payload,
    ),
    Check(
        name="endpoint-timeout",
        severity=Severity.WARNING,
        tells="a time-out is longer than SageMaker waits",
        source="aws/sagemaker-python-sdk#1119",
        look=_timeouts,
    ),
)
