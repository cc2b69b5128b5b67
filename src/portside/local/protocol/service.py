"""Which service is asked, and for which operation: botocore's models read from the other side.

The service named in the credential scope says most of it. `sagemaker` is two
services, the control plane (`X-Amz-Target: SageMaker.CreateModel` at `/`) and the
runtime (a path under `/endpoints/`), told apart by that header; `monitoring` is CloudWatch,
in two protocols, told apart in the same way.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Request


class Wire(StrEnum):
    """AWS's protocols, by botocore's names."""

    JSON = "json"
    REST_JSON = "rest-json"
    REST_XML = "rest-xml"
    QUERY = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """An AWS service that the gateway answers for; `name` is botocore's."""

    name: str
    wire: Wire
    invalid_code: str = "ValidationException"
    """The code with which the service refuses an input that breaks its model."""


SAGEMAKER: Final = Service(name="sagemaker", wire=Wire.JSON)
# The runtime's codes differ from the control plane's: model of sagemaker-runtime, ValidationError.
RUNTIME: Final = Service(
    name="sagemaker-runtime", wire=Wire.REST_JSON, invalid_code="ValidationError"
)
# Model of logs, InvalidParameterException.
LOGS: Final = Service(name="logs", wire=Wire.JSON, invalid_code="InvalidParameterException")
# Model of ecr, InvalidParameterException.
ECR: Final = Service(name="ecr", wire=Wire.JSON, invalid_code="InvalidParameterException")
S3: Final = Service(name="s3", wire=Wire.REST_XML)
IAM: Final = Service(name="iam", wire=Wire.QUERY)
STS: Final = Service(name="sts", wire=Wire.QUERY)
SNS: Final = Service(name="sns", wire=Wire.QUERY)
# boto3 and the AWS CLI speak JSON to CloudWatch, older clients the query protocol.
METRICS: Final = Service(name="cloudwatch", wire=Wire.JSON)
METRICS_BY_QUERY: Final = Service(name="cloudwatch", wire=Wire.QUERY)
SCALING: Final = Service(name="application-autoscaling", wire=Wire.JSON)

DELEGATED: Final = frozenset({IAM, STS, SNS, METRICS, METRICS_BY_QUERY, SCALING})
"""The services that are answered by moto."""
GLOBAL: Final = frozenset({IAM, STS})
"""Those of them that do not ask in which region they are."""

_BY_SIGNING_NAME: Final = {
    "monitoring": METRICS,
    **{service.name: service for service in (SAGEMAKER, LOGS, ECR, S3, IAM, STS, SNS, SCALING)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation of a service's model, with the values that its path carried."""

    service: Service
    model: OperationModel
    labels: dict[str, str]

    @property
    def name(self) -> str:
        """The operation's name, such as `CreateModel`."""
        return self.model.name


def find_service(signing_name: str, request: Request) -> Service | None:
    """The service behind a credential scope; None where the gateway does not know it."""
    if signing_name == SAGEMAKER.name and request.header("x-amz-target") is None:
        return RUNTIME
    if signing_name == "monitoring" and request.header("x-amz-target") is None:
        return METRICS_BY_QUERY
    return _BY_SIGNING_NAME.get(signing_name)


def guess_service(request: Request) -> Service:
    """The service that an unsigned request was likely meant for, to refuse it in its words."""
    if request.header("x-amz-target") is not None:
        return SAGEMAKER
    if request.path.startswith("/endpoints/"):
        return RUNTIME
    if (request.header("content-type") or "").startswith("application/x-www-form-urlencoded"):
        return IAM
    return S3


def find_operation(service: Service, request: Request) -> Operation:
    """The operation that a request names, by header or by method and path."""
    model = service_model(service.name)
    labels: dict[str, str] = {}
    if service.wire is Wire.JSON:
        prefix, _, name = (request.header("x-amz-target") or "").rpartition(".")
        known = prefix == model.metadata["targetPrefix"] and name in model.operation_names
    else:
        found = _match_path(service.name, request)
        known = found is not None
        name, labels = found or ("", {})
    if not known:
        asked = name or f"{request.method} {request.path}"
        message = f"The service {service.name} has no operation {asked}"
        raise Fault("UnknownOperationException", message, status=404)
    return Operation(service=service, model=model.operation_model(name), labels=labels)


@functools.cache
def service_model(name: str) -> ServiceModel:
    """A service's model as botocore ships it, read once; SageMaker's takes some 50 ms."""
    # Not from `~/.aws/models`: what the server answers does not depend on the user's own files.
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model(name, "service-2"), name)


def _match_path(service: str, request: Request) -> tuple[str, dict[str, str]] | None:
    for method, pattern, name in _routes(service):
        found = pattern.fullmatch(request.path)
        if found is not None and method == request.method:
            return name, {label: unquote(value) for label, value in found.groupdict().items()}
    return None


@functools.cache
def _routes(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    model = service_model(service)
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", http["requestUri"])
        routes.append((http["method"], re.compile(pattern), name))
    return routes
