"""Predictions: `InvokeEndpoint`, the same streamed, and `InvokeEndpointAsync`.

Request ─▶ signed call ─▶ Answer, whose chunks are read as they come
                  └─▶ RemoteError: the container's own words, or SageMaker's
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from portside.aws.session import Session, explained
from portside.errors import RemoteError

_CHUNK_BYTES: Final = 64 * 1024
"""Of an answer that is not streamed: read in parts, so that its first byte has a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent; None leaves a header out."""

    body: bytes
    content_type: str
    accept: str | None = None
    variant: str | None = None
    session_id: str | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """In the API's spelling."""
        named = {
            "Accept": self.accept,
            "TargetVariant": self.variant,
            "SessionId": self.session_id,
        }
        given = {name: value for name, value in named.items() if value is not None}
        return {"Body": self.body, "ContentType": self.content_type, **given}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an endpoint answered; `chunks` is the container's body, to be read once.

    Reading raises `RemoteError` where the answer breaks off.
    """

    chunks: Iterator[bytes]
    content_type: str
    variant: str
    new_session_id: str = ""
    """Of a session that the container began: its id, and when it expires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Where the answer of an asynchronous endpoint will lie; a failure only if it keeps those."""

    output: str
    failure: str | None


def invoke_endpoint(session: Session, endpoint: str, *, request: Request) -> Answer:
    """Send one signed request; a container's own refusal is a `RemoteError` with its words."""
    operation = "InvokeEndpoint"
    with _refusals(endpoint, operation):
        answer = session.runtime.invoke_endpoint(EndpointName=endpoint, **request.parameters)
    chunks = answer["Body"].iter_chunks(_CHUNK_BYTES)
    return Answer(
        chunks=_read(chunks, endpoint=endpoint, operation=operation),
        content_type=answer.get("ContentType", ""),
        variant=answer.get("InvokedProductionVariant", ""),
        new_session_id=answer.get("NewSessionId", ""),
    )


def invoke_endpoint_stream(session: Session, endpoint: str, *, request: Request) -> Answer:
    """The same, with chunks as the platform passes them on, which need not be the container's."""
    operation = "InvokeEndpointWithResponseStream"
    with _refusals(endpoint, operation):
        answer = session.runtime.invoke_endpoint_with_response_stream(
            EndpointName=endpoint, **request.parameters
        )
    events = iter(answer["Body"])
    chunks = (event["PayloadPart"]["Bytes"] for event in events if "PayloadPart" in event)
    return Answer(
        chunks=_read(chunks, endpoint=endpoint, operation=operation),
        content_type=answer.get("ContentType", ""),
        variant=answer.get("InvokedProductionVariant", ""),
    )


def invoke_endpoint_async(
    session: Session, endpoint: str, *, location: str, content_type: str, accept: str | None
) -> Accepted:
    """Put a request that lies on S3 into an asynchronous endpoint's queue."""
    extra: dict[str, Any] = {} if accept is None else {"Accept": accept}
    with _refusals(endpoint, "InvokeEndpointAsync"):
        answer = session.runtime.invoke_endpoint_async(
            EndpointName=endpoint, InputLocation=location, ContentType=content_type, **extra
        )
    return Accepted(output=answer["OutputLocation"], failure=answer.get("FailureLocation"))


def _read(chunks: Iterator[bytes], *, endpoint: str, operation: str) -> Iterator[bytes]:
    with _refusals(endpoint, operation):
        yield from chunks


@contextmanager
def _refusals(endpoint: str, operation: str) -> Iterator[None]:
    """What a caller can do about each of the runtime's refusals."""
    try:
        with explained("sagemaker-runtime", operation):
            yield
    except RemoteError as error:
        if error.code == "ModelError" and isinstance(error.__cause__, ClientError):
            raise _of_the_model(error, error.__cause__, endpoint) from error
        if error.code == "ThrottlingException":
            # AWS sends no text with it: opensearch-project/ml-commons#2429.
            error.message = f"`{endpoint}` refused the request: all that it may do at once is busy"
            error.hint = (
                "try again in a moment, or raise `max_concurrency` (serverless) or "
                "`instance_count` in `[endpoint]` and deploy again"
            )
        if error.code == "ValidationError" and "not found" in error.message:
            error.hint = "deploy it with `portside deploy`; `portside local status` lists what runs"
        if "oversize body" in error.message:
            error.hint = "send at most 4 MiB in one request to a serverless endpoint"
        raise


def _of_the_model(error: RemoteError, cause: ClientError, endpoint: str) -> RemoteError:
    """The container's status and message, which botocore carries beside its own text."""
    status = int(str(cause.response.get("OriginalStatusCode", 0)))
    message = _said(str(cause.response.get("OriginalMessage") or error.message))
    logs = f"read why: `portside logs {endpoint}`"
    return RemoteError(
        f"the model of `{endpoint}` answered {status}: {message}" if status else error.message,
        service=error.service,
        operation=error.operation,
        code=error.code,
        request_id=error.request_id,
        hint=f"mend the request (`portside invoke --help` shows one), or {logs}"
        if 400 <= status < 500
        else logs,
    )


def _said(body: str) -> str:
    """The message in the error bodies of Portside's own serving runtime, else the body."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body
