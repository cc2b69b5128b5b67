"""What SNS posts to subscribers by HTTP, sent while nobody waits."""

from __future__ import annotations

import http.client
import json as json_format
import logging
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_TIMEOUT_S: Final = 15
"""SNS Developer Guide, "Message delivery retries". One attempt here, where SNS makes more."""

_log = logging.getLogger(__name__)


class Deliveries:
    """In place of the module `requests` in moto's SNS, which uses its `post`."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(4, thread_name_prefix="delivery")

    def post(self, url: str, *, json: Mapping[str, object], headers: Mapping[str, str]) -> None:
        """Send it, some time."""
        body = json_format.dumps(json).encode()
        self._worker.submit(_post, url, body, dict(headers))

    def close(self) -> None:
        """Wait for those that are being sent, and send no more."""
        self._worker.shutdown(cancel_futures=True)


def _post(url: str, body: bytes, headers: dict[str, str]) -> None:
    try:
        # A subscription's address begins with `http` or `https`, see `moto_application`.
        request = urllib.request.Request(url, body, headers)  # noqa: S310  see above
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  see above
            _log.info("delivered a notification to `%s`: %d", url, answer.status)
    except (OSError, ValueError, http.client.HTTPException) as error:
        _log.warning("could not deliver a notification to `%s`: %s", url, error)
