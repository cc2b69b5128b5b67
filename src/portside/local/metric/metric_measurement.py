"""A stopwatch for one invocation: told what happens to it, it says in the end how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.local.metric.metric import Invocation

if TYPE_CHECKING:
    from portside.local.capacity.capacity import Lease
    from portside.local.clock import Clock


class Measurement:
    """An invocation on its way; `received_s` is when it came, on the clock's monotonic."""

    def __init__(self, *, endpoint: str, variant: str, received_s: float, clock: Clock) -> None:
        self.broke_mid_stream = False
        self._fault: int | None = None
        self._endpoint = endpoint
        self._variant = variant
        self._received_s = received_s
        self._clock = clock
        self._lease: Lease | None = None
        self._concurrent = 0
        self._sent_s: float | None = None
        self._first_chunk_s: float | None = None
        self._ended_s: float | None = None
        self._status = 0
        self._is_stream = False

    def send(self, lease: Lease) -> None:
        """It has its instance, and goes there now."""
        self._lease = lease
        self._concurrent = lease.instance.outstanding
        self._sent_s = self._clock.monotonic()

    def answer(self, status: int) -> None:
        """The instance has answered, with the whole of it."""
        self._status = status
        self._ended_s = self._clock.monotonic()

    def stream(self, status: int) -> None:
        """The first of a streamed answer has come."""
        self._status = status
        self._is_stream = True
        self._first_chunk_s = self._clock.monotonic()

    def refuse(self, status: int) -> None:
        """The caller is told a fault of this status in place of an answer."""
        self._fault = status

    def result(self) -> Invocation:
        """How it went; now it is over."""
        now_s = self._clock.monotonic()
        elapsed_s = now_s - self._received_s
        sent_s = now_s if self._sent_s is None else self._sent_s
        model_s = (self._ended_s or now_s) - sent_s
        first_s = self._first_chunk_s
        return Invocation(
            time_ms=self._clock.now_ms() - round(1000 * elapsed_s),
            endpoint=self._endpoint,
            variant=self._variant,
            fault=None if self.broke_mid_stream else self._fault,
            model_status=None if self._lease is None else self._status,
            model_s=model_s,
            overhead_s=elapsed_s - model_s,
            setup_s=0.0 if self._lease is None else self._lease.setup_s,
            concurrent=self._concurrent,
            is_provisioned=self._lease is not None and self._lease.is_provisioned,
            is_stream=self._is_stream,
            first_chunk_s=None if first_s is None else first_s - self._received_s,
            first_chunk_model_s=None if first_s is None else first_s - sent_s,
            broke_mid_stream=self.broke_mid_stream,
        )
