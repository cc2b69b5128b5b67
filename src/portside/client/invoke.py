"""One prediction from the caller's side: what was answered, and how long it took.

    body ─▶ small enough for this kind of endpoint? ─▶ signed request ─▶ Exchange
                                                                         chunks, then Timings

Whoever may do nothing but invoke can invoke: the control plane is asked only about a body
that not every endpoint takes, or to explain a refusal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from portside import contract
from portside.aws import runtime
from portside.aws.session import Session
from portside.client.endpoint import Kind, explain, look_up
from portside.client.payload import JSON, check_size
from portside.errors import RemoteError

Clock = Callable[[], float]
"""Seconds that only grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """The caller's waits from the sending of the request on, in milliseconds; sizes in bytes."""

    first_byte_ms: float
    whole_ms: float
    sent_bytes: int
    received_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """An endpoint's answer, whole; `took_ms` is the caller's whole wait, in milliseconds."""

    body: bytes
    content_type: str
    variant: str
    took_ms: float


@dataclass(slots=True, kw_only=True)
class Exchange:
    """An answer that is being read: iterate over `chunks()`, then ask for `timings`."""

    answer: runtime.Answer
    sent_bytes: int
    began_s: float
    clock: Clock
    _first_s: float | None = field(default=None, init=False)
    _last_s: float = field(default=0.0, init=False)
    _received_bytes: int = field(default=0, init=False)

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes, once; raises `RemoteError` where it breaks off."""
        for chunk in self.answer.chunks:
            self._last_s = self.clock()
            self._first_s = self._first_s or self._last_s
            self._received_bytes += len(chunk)
            yield chunk
        self._last_s = self.clock()

    def read(self) -> bytes:
        """The body, whole; raises as `chunks` does."""
        return b"".join(self.chunks())

    @property
    def timings(self) -> Timings:
        """What was measured; of an empty body the first byte is its end."""
        first_s = self._last_s if self._first_s is None else self._first_s
        return Timings(
            first_byte_ms=(first_s - self.began_s) * 1000,
            whole_ms=(self._last_s - self.began_s) * 1000,
            sent_bytes=self.sent_bytes,
            received_bytes=self._received_bytes,
        )


def invoke(
    session: Session,
    endpoint: str,
    *,
    body: bytes,
    content_type: str = JSON,
    accept: str | None = None,
) -> Prediction:
    """Send one signed request and wait for the whole answer; raises as `open_exchange`."""
    request = runtime.Request(body=body, content_type=content_type, accept=accept)
    exchange = open_exchange(session, endpoint, request=request)
    body = exchange.read()
    return Prediction(
        body=body,
        content_type=exchange.answer.content_type,
        variant=exchange.answer.variant,
        took_ms=exchange.timings.whole_ms,
    )


def open_exchange(
    session: Session,
    endpoint: str,
    *,
    request: runtime.Request,
    streamed: bool = False,
    clock: Clock = time.monotonic,
) -> Exchange:
    """Send one signed request; the answer is there to be read when this returns.

    Raises `UsageError` for a body that the endpoint does not take (it would be sent whole and
    then refused), `RemoteError` with the container's own words where the model refuses, or
    with the endpoint's state where it does not answer.
    """
    check_payload(session, endpoint, size_bytes=len(request.body))
    ask = runtime.invoke_endpoint_stream if streamed else runtime.invoke_endpoint
    _ = session.runtime  # boto3 takes a while to make it, which is nothing of the endpoint's
    began_s = clock()
    try:
        answer = ask(session, endpoint, request=request)
    except RemoteError as error:
        is_vague = error.code == "ValidationError"
        if is_vague and (told := explain(session, endpoint, error)) is not None:
            raise told from error
        raise
    return Exchange(answer=answer, sent_bytes=len(request.body), began_s=began_s, clock=clock)


def check_payload(session: Session, endpoint: str, *, size_bytes: int) -> None:
    """Raise `UsageError` for a body that is too large for the endpoint."""
    if size_bytes <= contract.SERVERLESS_PAYLOAD_BYTES:
        return  # which every kind takes
    try:
        kind = look_up(session, endpoint).kind
    except RemoteError as error:
        if "AccessDenied" not in error.code:
            raise
        kind = Kind.REALTIME  # which takes the most of those that are asked directly
    check_size(size_bytes, endpoint, kind=kind)
