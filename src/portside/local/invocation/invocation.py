"""What an invocation may be, and which headers it carries to the instance and back."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from portside.contract import (
    HEADER_CUSTOM_ATTRIBUTES,
    HEADER_INFERENCE_ID,
    HEADER_SESSION_ID,
    HEADER_TARGET_VARIANT,
    INVOCATION_TIMEOUT_S,
    REALTIME_PAYLOAD_BYTES,
    SERVERLESS_PAYLOAD_BYTES,
    STREAM_TIMEOUT_S,
)
from portside.local.invocation.model_error import validation_error
from portside.local.protocol.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portside.local.protocol.call import Call
    from portside.local.state.deployment import Variant

STRICT_PAYLOAD_BYTES: Final = 6 * 1024 * 1024
"""BC BodyBlob, API InvokeEndpoint; other pages say 25 MB (DG hosting-faqs), and botocore sends
whatever it is given."""

_FORWARDED: Final = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": HEADER_CUSTOM_ATTRIBUTES,
    "InferenceId": HEADER_INFERENCE_ID,
    "SessionId": HEADER_SESSION_ID,
    "TargetVariant": HEADER_TARGET_VARIANT,
}
"""What reaches the container; every other header is stripped. DG your-algorithms-inference-code."""

_RETURNED: Final = {"ContentType": "Content-Type", "CustomAttributes": HEADER_CUSTOM_ATTRIBUTES}
"""What reaches the caller."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long an answer may take, streamed or not, and how big a real-time body may be."""

    timeout_s: float = INVOCATION_TIMEOUT_S
    stream_timeout_s: float = STREAM_TIMEOUT_S
    realtime_payload_bytes: int = REALTIME_PAYLOAD_BYTES

    def check_body(self, call: Call, variant: Variant) -> int:
        """The most bytes that body and answer may have; raises what a body over it is told."""
        size = len(call.params.get("Body", b""))
        if variant.serverless is not None:
            if size > SERVERLESS_PAYLOAD_BYTES:  # aws/sagemaker-python-sdk#4271
                raise validation_error(f"Request {call.request_id} has oversize body.")
            return SERVERLESS_PAYLOAD_BYTES
        limit = self.realtime_payload_bytes
        if size > limit:  # aws/sagemaker-python-sdk#171
            raise Fault("413", f"HTTP content length exceeded {limit} bytes.", status=413)
        return limit


def forwarded(call: Call) -> dict[str, str]:
    """The headers that the container gets: none that the caller did not send."""
    params = call.params
    return {header: params[member] for member, header in _FORWARDED.items() if member in params}


def returned(headers: Mapping[str, str], *, arn: str) -> dict[str, str]:
    """The members that the caller gets of the container's headers.

    Without those that no header may hold: BC CustomAttributes, "visible US-ASCII".
    """
    output: dict[str, str] = {}
    for member, header in _RETURNED.items():
        value = headers.get(header)
        if value is None:
            continue
        if value.isascii() and value.isprintable():
            output[member] = value
        else:
            _log.warning("endpoint %s: left out %s: %r is not ASCII", arn, header, value)
    return output
