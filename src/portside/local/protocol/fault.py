"""What AWS answers when it refuses: product behavior, with AWS's own codes and words."""

from __future__ import annotations

from typing import Any


class Fault(Exception):  # noqa: N818  `fault` is the word of AWS's service models
    """An answer other than success: error code, message, HTTP status, further body members.

    `fields` holds modeled members beside the message, such as `OriginalStatusCode` of a
    `ModelError`. A message of None is sent as null, as AWS does when it throttles.
    """

    def __init__(
        self,
        code: str,
        message: str | None,
        *,
        status: int = 400,
        fields: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields or {}
