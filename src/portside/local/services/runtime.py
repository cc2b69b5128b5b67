"""InvokeEndpoint: one request to one healthy instance, and SageMaker's words when it goes wrong."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from portside.contract import (
    HEADER_CUSTOM_ATTRIBUTES,
    HEADER_INFERENCE_ID,
    HEADER_TARGET_VARIANT,
    INVOCATION_TIMEOUT_S,
    LOG_GROUP_PREFIX,
    REALTIME_PAYLOAD_BYTES,
    SERVERLESS_PAYLOAD_BYTES,
)
from portside.local.deployment import Endpoint
from portside.local.fleet import NoInstanceError
from portside.local.instance_client import ConnectionLostError, InvocationTimeoutError
from portside.local.protocol.fault import Fault
from portside.local.refusal import refuse_unbuilt, unavailable
from portside.local.resource import Kind, arn_of, partition_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portside.local.deployment import Variant
    from portside.local.fleet import Fleet
    from portside.local.instance_client import Answer
    from portside.local.protocol.call import Call
    from portside.local.store import Store

_FORWARDED: Final = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": HEADER_CUSTOM_ATTRIBUTES,
    "InferenceId": HEADER_INFERENCE_ID,
    "TargetVariant": HEADER_TARGET_VARIANT,
}
"""What reaches the container; every other header is stripped. DG your-algorithms-inference-code."""

_RETURNED: Final = {"ContentType": "Content-Type", "CustomAttributes": HEADER_CUSTOM_ATTRIBUTES}
"""What reaches the caller."""

_UNBUILT: Final = ("EnableExplanations", "PrefixAwareId", "SessionId", "TargetContainerHostname")

_MAX_MESSAGE: Final = 2048
"""BC ModelError.Message and OriginalMessage."""


_log = logging.getLogger(__name__)


class Fleets(Protocol):
    """Who knows what serves an endpoint."""

    def fleet(self, arn: str) -> Fleet | None:
        """What serves an endpoint now."""
        ...


class Client(Protocol):
    """What can call an instance."""

    async def invoke(
        self,
        port: int,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        max_answer_bytes: int,
    ) -> Answer:
        """`POST /invocations`; raises `InvocationTimeoutError` and `ConnectionLostError`."""
        ...


class RuntimeService:
    """InvokeEndpoint."""

    def __init__(
        self,
        store: Store,
        *,
        fleets: Fleets,
        client: Client,
        timeout_s: float = INVOCATION_TIMEOUT_S,
        realtime_payload_bytes: int = REALTIME_PAYLOAD_BYTES,
    ) -> None:
        self._store = store
        self._fleets = fleets
        self._client = client
        self._timeout_s = timeout_s
        self._realtime_payload_bytes = realtime_payload_bytes

    async def invoke(self, call: Call) -> dict[str, Any]:
        """Hand the body to an instance and its answer back, neither touched."""
        endpoint, variant = self._serving(call)
        limit = self._check_body(call, variant)
        answer = await self._answer(call, endpoint, limit=limit)
        if answer.body is None or not 200 <= answer.status < 300:
            raise _model_error(endpoint, status=answer.status, body=answer.body)
        return {
            "Body": answer.body,
            "InvokedProductionVariant": variant.name,
            **_returned_headers(endpoint, answer),
        }

    def _serving(self, call: Call) -> tuple[Endpoint, Variant]:
        """The endpoint by its exact name: unlike the control plane, the runtime minds the case."""
        params = call.params
        name = params["EndpointName"]
        arn = arn_of(Kind.ENDPOINT, name, account=call.account, region=call.region)
        resource = self._store.find(arn)
        endpoint = None if resource is None else Endpoint.of(resource)
        if (
            endpoint is None
            or endpoint.name != name
            or endpoint.deployment is None
            or not endpoint.status.is_serving
        ):  # amazon-sagemaker-examples#293; what AWS says of one in Creating is not documented
            raise _validation_error(f"Endpoint {name} of account {call.account} not found.")
        variant = endpoint.deployment.variant
        refuse_unbuilt(params, _UNBUILT, of="InvokeEndpoint")
        if "TargetModel" in params:  # amazon-sagemaker-examples#1026
            raise _validation_error(
                f"Endpoint {name} is not a multi-model endpoint and does not support target model"
                " header.",
                error_code="TARGET_MODEL_HEADER_NOT_SUPPORTED",
            )
        if "InferenceComponentName" in params:
            raise _validation_error(
                "Inference Component Name header is not allowed for endpoints to which you dont"
                " plan to deploy inference components. Please remove the Inference Component Name"
                " header and try again."
            )
        if params.get("TargetVariant", variant.name) != variant.name:  # our words
            raise _validation_error(
                f"Variant {params['TargetVariant']} of endpoint {name} not found."
            )
        return endpoint, variant

    def _check_body(self, call: Call, variant: Variant) -> int:
        """The most bytes that body and answer may have."""
        size = len(call.params.get("Body", b""))
        if variant.serverless is not None:
            if size > SERVERLESS_PAYLOAD_BYTES:  # aws/sagemaker-python-sdk#4271
                raise _validation_error(f"Request {call.request_id} has oversize body.")
            return SERVERLESS_PAYLOAD_BYTES
        limit = self._realtime_payload_bytes
        if size > limit:  # aws/sagemaker-python-sdk#171
            raise Fault("413", f"HTTP content length exceeded {limit} bytes.", status=413)
        return limit

    async def _answer(self, call: Call, endpoint: Endpoint, *, limit: int) -> Answer:
        fleet = self._fleets.fleet(endpoint.arn)
        if fleet is None:
            raise _unavailable()
        try:
            with fleet.lease() as instance:
                return await self._client.invoke(
                    instance.port,
                    headers={
                        header: call.params[member]
                        for member, header in _FORWARDED.items()
                        if member in call.params
                    },
                    body=call.params.get("Body", b""),
                    timeout_s=self._timeout_s,
                    max_answer_bytes=limit,
                )
        except NoInstanceError as error:
            raise _unavailable() from error
        except InvocationTimeoutError as error:
            raise _timed_out(endpoint) from error
        except ConnectionLostError as error:
            raise _connection_lost(endpoint) from error


def _returned_headers(endpoint: Endpoint, answer: Answer) -> dict[str, str]:
    """Without those that no header may hold: BC CustomAttributes, "visible US-ASCII"."""
    output: dict[str, str] = {}
    for member, header in _RETURNED.items():
        value = answer.headers.get(header)
        if value is None:
            continue
        if value.isascii() and value.isprintable():
            output[member] = value
        else:
            _log.warning("endpoint %s: left out %s: %r is not ASCII", endpoint.arn, header, value)
    return output


def _validation_error(message: str, *, error_code: str | None = None) -> Fault:
    """The runtime's name of a bad request; the control plane's is ValidationException."""
    return Fault("ValidationError", message, fields={"ErrorCode": error_code} if error_code else {})


def _unavailable() -> Fault:
    """No instance is up: the first comes back after a restart, or a dead one is being replaced."""
    return unavailable("The service is unavailable. Try your call again.")


def _model_error(endpoint: Endpoint, *, status: int, body: bytes | None) -> Fault:
    """A status other than 2xx, or an answer over the limit.

    The shape is exact, because clients take it apart: regular expressions for it
    are in OpenSearch and LangChain.
    """
    side = "client" if 400 <= status < 500 else "server"
    if body is None:  # awslabs/realtime-fraud-detection-with-gnn-on-dgl#1331
        said, original = "and could not load the entire response body", ""
    else:
        original = body.decode(errors="replace")[:_MAX_MESSAGE]
        room = _MAX_MESSAGE - len(_see(endpoint)) - 80  # 80: the words around it
        said = f'with message "{original[:room]}"'
    return _fault(
        endpoint,
        f"Received {side} error ({status}) from primary {said}. {_see(endpoint)}",
        status=status,
        original=original,
        error_code=f"{'CLIENT_ERROR' if side == 'client' else 'INTERNAL_FAILURE'}_FROM_MODEL",
    )


def _timed_out(endpoint: Endpoint) -> Fault:
    original = (
        "Your invocation timed out while waiting for a response from container primary. Review"
        " the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try"
        " again."
    )
    return _fault(
        endpoint,
        f'Received server error (0) from primary with message "{original}". {_see(endpoint)}',
        original=original,
    )


def _connection_lost(endpoint: Endpoint) -> Fault:
    """amazon-sagemaker-examples#2815, #3089."""
    message = (
        f"Amazon SageMaker could not get a response from the {endpoint.name} endpoint. This can"
        " occur when CPU or memory utilization is high. To check your utilization, see Amazon"
        " CloudWatch. To fix this problem, use an instance type with more CPU capacity or memory."
    )
    return _fault(endpoint, message, original=message)


def _fault(
    endpoint: Endpoint,
    message: str,
    *,
    original: str,
    status: int = 0,
    error_code: str = "INTERNAL_FAILURE_FROM_MODEL",
) -> Fault:
    log_group_arn = (
        f"arn:{partition_of(endpoint.region)}:logs:{endpoint.region}:{endpoint.account}:log-group:"
        f"{LOG_GROUP_PREFIX}{endpoint.name}"
    )
    fields = {
        "OriginalStatusCode": status,
        "OriginalMessage": original,
        "LogStreamArn": log_group_arn,
        "ErrorCode": error_code,
    }
    return Fault("ModelError", message, status=424, fields=fields)


def _see(endpoint: Endpoint) -> str:
    return (
        f"See https://{endpoint.region}.console.aws.amazon.com/cloudwatch/home?region="
        f"{endpoint.region}#logEventViewer:group={LOG_GROUP_PREFIX}{endpoint.name}"
        f" in account {endpoint.account} for more information."
    )
