"""One prediction from the caller's side: what was answered, and how long it took."""

from __future__ import annotations

import time
from dataclasses import dataclass

from portside import contract
from portside.aws import runtime
from portside.aws.session import Session
from portside.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """An endpoint's answer; `took_ms` is the caller's whole wait, in milliseconds."""

    body: bytes
    content_type: str
    variant: str
    took_ms: float


def invoke(
    session: Session,
    endpoint: str,
    *,
    body: bytes,
    content_type: str = "application/json",
    accept: str | None = None,
) -> Prediction:
    """Send one signed request and wait for the answer.

    Raises `UsageError` for a body that no endpoint takes (it would be sent whole and
    then refused), `RemoteError` with the container's own words where the model refuses.
    """
    if len(body) > contract.REALTIME_PAYLOAD_BYTES:
        raise UsageError(
            f"cannot send {len(body)} bytes: SageMaker takes {contract.REALTIME_PAYLOAD_BYTES}",
            hint="send fewer texts in one request",
        )
    began = time.monotonic()
    answer = runtime.invoke_endpoint(
        session, endpoint, body=body, content_type=content_type, accept=accept
    )
    return Prediction(
        body=answer.body,
        content_type=answer.content_type,
        variant=answer.variant,
        took_ms=(time.monotonic() - began) * 1000,
    )
