"""One operation that a client asks for, after its signature and its input were checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = Any
"""A value of AWS's documents: None, bool, int, float, str, bytes, datetime, list or dict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a service sees of a request: names and values, no HTTP.

    `service` is botocore's name (`sagemaker-runtime`), `params` uses AWS's member
    names; timestamps are aware datetimes, blobs are bytes. `received_s` is when its head
    was read, on the clock `time.monotonic`; None where nobody looked.
    """

    service: str
    operation: str
    params: dict[str, Value]
    account: str
    region: str
    request_id: str
    received_s: float | None = None


Handler: TypeAlias = Callable[[Call], Awaitable[dict[str, Value]]]
"""Answers a call with the members of the operation's output, or raises a `Fault`."""
