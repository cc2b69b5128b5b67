"""How a request for a prediction ended: what the log and the metrics tell of it.

A request that ends leaves one of these and nothing else; they are counted and
written many at a time, when callers do not wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from portside.serving.ticket import Ticket


class Stages(NamedTuple):
    """Where the time of a request went that a handler has seen."""

    decode_s: float
    queue_s: float
    predict_s: float
    encode_s: float
    batch_size: int
    tokens: int


class Outcome(NamedTuple):
    """One request's."""

    at: float
    """When it ended, in seconds since the epoch."""
    request_id: str
    headers: Mapping[str, str]
    path: str
    status: int
    total_s: float
    """From its arrival to its answer."""
    bytes_in: int
    bytes_out: int
    """Of the body; 0 of one that was streamed."""
    stages: Stages | None = None
    """None if it never reached the handler, or was given up there."""
    error: str | None = None


def stages_of(ticket: Ticket) -> Stages | None:
    """What is known of a ticket's stages."""
    if ticket.job is None:
        return None
    return Stages(
        ticket.decode_s,
        ticket.queue_s,
        ticket.predict_s,
        ticket.encode_s,
        ticket.batch_size,
        ticket.tokens,
    )
