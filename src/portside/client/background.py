"""A prediction of an asynchronous endpoint: by way of S3, and waited for.

body ─▶ S3 ─▶ InvokeEndpointAsync ─▶ the endpoint's queue ─▶ … ─▶ S3 ─▶ answer
                                                     └─▶ S3 ─▶ failure
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final
from uuid import uuid4

from portside.aws import runtime
from portside.aws.session import Session, explained
from portside.client.endpoint import Endpoint, Kind
from portside.client.payload import check_size
from portside.client.place import Place
from portside.errors import RemoteError, UsageError

INPUTS: Final = "portside-inputs"
"""Folder beside the answers that a request lies in until it is answered."""

_WAITS_S: Final = (0.5, 1.0, 2.0, 5.0)
"""Between two looks; the last one again and again. A cold start alone takes minutes."""

_ABSENT: Final = {"NoSuchKey", "404", "NotFound"}


def invoke_async(
    session: Session,
    endpoint: Endpoint,
    *,
    request: runtime.Request,
    told: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> bytes:
    """Put a request into the endpoint's queue and wait for the answer, as long as it takes.

    `told` is told where the answer will lie, for who does not want to wait. Raises
    `UsageError` for an endpoint of another kind and for a body that is too large,
    `RemoteError` with the endpoint's own words where the model failed.
    """
    if endpoint.kind is not Kind.ASYNC or endpoint.output_path is None:
        raise UsageError(
            f"`{endpoint.name}` is not asynchronous but {endpoint.kind}",
            hint="leave out `--async`",
        )
    check_size(len(request.body), endpoint.name, kind=Kind.ASYNC)
    place = _input_place(endpoint.output_path)
    with explained("s3", "PutObject"):
        session.s3.upload_fileobj(BytesIO(request.body), place.bucket, place.key)
    try:
        accepted = runtime.invoke_endpoint_async(
            session,
            endpoint.name,
            location=place.uri,
            content_type=request.content_type,
            accept=request.accept,
        )
    except RemoteError:
        _remove(session, place)
        raise
    told(accepted.output)
    # Whoever interrupts this leaves the request where it is: the endpoint may yet read it.
    outcome = _wait(session, accepted, sleep=sleep)
    _remove(session, place)
    if outcome.failed:
        raise RemoteError(
            f"the model of `{endpoint.name}` failed: {outcome.body.decode(errors='replace')}",
            service="sagemaker-runtime",
            operation="InvokeEndpointAsync",
            code="ModelError",
            hint=f"read why: `portside logs {endpoint.name}`",
        )
    return outcome.body


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    body: bytes
    failed: bool


def _wait(
    session: Session, accepted: runtime.Accepted, *, sleep: Callable[[float], None]
) -> _Outcome:
    waits_s = itertools.chain(_WAITS_S, itertools.repeat(_WAITS_S[-1]))
    while True:
        if (body := _read(session, accepted.output)) is not None:
            return _Outcome(body=body, failed=False)
        if accepted.failure and (body := _read(session, accepted.failure)) is not None:
            return _Outcome(body=body.strip(), failed=True)
        sleep(next(waits_s))


def _read(session: Session, uri: str) -> bytes | None:
    place = Place.of(uri)
    try:
        with explained("s3", "GetObject"):
            return session.s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    except RemoteError as error:
        if error.code in _ABSENT:
            return None
        raise


def _remove(session: Session, place: Place) -> None:
    with explained("s3", "DeleteObject"):
        session.s3.delete_object(Bucket=place.bucket, Key=place.key)


def _input_place(output_path: str) -> Place:
    """Beside the answers, in the bucket that the endpoint's role may read and write."""
    outputs = Place.of(output_path)
    folders = [part for part in (outputs.key.strip("/"), INPUTS, uuid4().hex) if part]
    return Place(bucket=outputs.bucket, key="/".join(folders))
