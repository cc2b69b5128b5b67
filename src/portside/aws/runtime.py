"""Predictions: `InvokeEndpoint`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from botocore.exceptions import ClientError

from portside.aws.session import Session, explained
from portside.errors import RemoteError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an endpoint answered: the container's body, its content type, the variant."""

    body: bytes
    content_type: str
    variant: str


def invoke_endpoint(
    session: Session, endpoint: str, *, body: bytes, content_type: str, accept: str | None
) -> Answer:
    """Send one signed request; a container's own refusal is a `RemoteError` with its words."""
    extra = {"Accept": accept} if accept else {}
    try:
        with explained("sagemaker-runtime", "InvokeEndpoint"):
            answer = session.runtime.invoke_endpoint(
                EndpointName=endpoint,
                Body=body,
                ContentType=content_type,
                **extra,
            )
            return Answer(
                body=answer["Body"].read(),
                content_type=answer.get("ContentType", ""),
                variant=answer.get("InvokedProductionVariant", ""),
            )
    except RemoteError as error:
        if error.code == "ModelError" and isinstance(error.__cause__, ClientError):
            raise _of_the_model(error, error.__cause__, endpoint) from error
        if error.code == "ValidationError" and "not found" in error.message:
            error.hint = "deploy it with `portside deploy`; `portside local status` lists what runs"
        if "oversize body" in error.message:
            error.hint = "send at most 4 MiB in one request to a serverless endpoint"
        raise


def _of_the_model(error: RemoteError, cause: ClientError, endpoint: str) -> RemoteError:
    """The container's status and message, which botocore carries beside its own text."""
    status = int(str(cause.response.get("OriginalStatusCode", 0)))
    message = _said(str(cause.response.get("OriginalMessage") or error.message))
    return RemoteError(
        f"the model of `{endpoint}` answered {status}: {message}" if status else error.message,
        service=error.service,
        operation=error.operation,
        code=error.code,
        request_id=error.request_id,
        hint="mend the request: `portside invoke --help` shows one"
        if 400 <= status < 500
        else f"read why: `portside logs {endpoint}`",
    )


def _said(body: str) -> str:
    """The message in the error bodies of Portside's own serving runtime, else the body."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body
