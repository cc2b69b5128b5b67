"""What InvokeEndpoint says when it has no answer: SageMaker's own words, and where to look.

The shapes are exact, because clients take them apart: regular expressions for them are
in OpenSearch and LangChain.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from portside.contract import LOG_GROUP_PREFIX
from portside.local import refusal
from portside.local.capacity.capacity import NoInstanceError, ThrottledError
from portside.local.instance.instance_client import ConnectionLostError, InvocationTimeoutError
from portside.local.invocation.sticky_session import NEW_SESSION
from portside.local.protocol.fault import Fault
from portside.local.state.resource import partition_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portside.local.state.deployment import Endpoint

_MAX_MESSAGE: Final = 2048
"""BC ModelError.Message and OriginalMessage."""

_CLIENT: Final = "CLIENT_ERROR_FROM_MODEL"
_SERVER: Final = "INTERNAL_FAILURE_FROM_MODEL"


@contextmanager
def refusals(endpoint: Endpoint, *, session_id: str | None = None) -> Iterator[None]:
    """Whatever goes wrong on the way to an instance and back, as what the caller is told."""
    try:
        yield
    except NoInstanceError as error:
        if session_id not in {None, NEW_SESSION}:
            raise session_lost(endpoint, session_id) from error
        raise unavailable() from error
    except ThrottledError as error:
        raise throttled() from error
    except InvocationTimeoutError as error:
        raise timed_out(endpoint) from error
    except ConnectionLostError as error:
        raise connection_lost(endpoint) from error


# --- The caller's, and ours --------------------------------------------------


def validation_error(message: str, *, error_code: str | None = None) -> Fault:
    """The runtime's name of a bad request; the control plane's is ValidationException."""
    return Fault("ValidationError", message, fields={"ErrorCode": error_code} if error_code else {})


def session_lost(endpoint: Endpoint, session_id: str | None) -> Fault:
    """It never was, is over, or its instance is gone. The words are ours."""
    return validation_error(
        f"Session {session_id} of endpoint {endpoint.name} not found. Begin another with the"
        f" session id {NEW_SESSION}."
    )


def unavailable() -> Fault:
    """No instance is up: the first comes back after a restart, or a dead one is being replaced."""
    return refusal.unavailable("The service is unavailable. Try your call again.")


def throttled() -> Fault:
    """Without a word, as of an endpoint that is overloaded: opensearch-project/ml-commons#2429.

    What AWS says of a serverless endpoint at its max concurrency is not documented.
    """
    return Fault("ThrottlingException", None)


# --- The instance's ----------------------------------------------------------


def refused(endpoint: Endpoint, *, status: int, body: bytes | None) -> Fault:
    """A status other than 2xx, or (with None for its body) an answer over the limit."""
    is_client = 400 <= status < 500
    if body is None:  # awslabs/realtime-fraud-detection-with-gnn-on-dgl#1331
        said, original = "and could not load the entire response body", ""
    else:
        original = body.decode(errors="replace")[:_MAX_MESSAGE]
        room = _MAX_MESSAGE - len(_see(endpoint)) - 80  # 80: the words around it
        said = f'with message "{original[:room]}"'
    side = "client" if is_client else "server"
    return _fault(
        endpoint,
        f"Received {side} error ({status}) from primary {said}. {_see(endpoint)}",
        status=status,
        original=original,
        error_code=_CLIENT if is_client else _SERVER,
    )


def timed_out(endpoint: Endpoint) -> Fault:
    """No answer in time."""
    original = (
        "Your invocation timed out while waiting for a response from container primary. Review"
        " the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try"
        " again."
    )
    message = f'Received server error (0) from primary with message "{original}". {_see(endpoint)}'
    return _fault(endpoint, message, original=original)


def connection_lost(endpoint: Endpoint) -> Fault:
    """amazon-sagemaker-examples#2815, #3089."""
    message = (
        f"Amazon SageMaker could not get a response from the {endpoint.name} endpoint. This can"
        " occur when CPU or memory utilization is high. To check your utilization, see Amazon"
        " CloudWatch. To fix this problem, use an instance type with more CPU capacity or memory."
    )
    return _fault(endpoint, message, original=message)


def stream_timed_out() -> Fault:
    """In the middle of a stream. BC ModelStreamError; the words are ours."""
    return _stream_fault(
        "ModelInvocationTimeExceeded",
        "The model failed to finish sending the response within the time allowed.",
    )


def stream_broken() -> Fault:
    """In the middle of a stream. BC ModelStreamError; the words are ours."""
    return _stream_fault(
        "StreamBroken", "The connection to the model was closed before the response had ended."
    )


def _stream_fault(error_code: str, message: str) -> Fault:
    return Fault("ModelStreamError", message, fields={"ErrorCode": error_code})


def _fault(
    endpoint: Endpoint,
    message: str,
    *,
    original: str,
    status: int = 0,
    error_code: str = _SERVER,
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
