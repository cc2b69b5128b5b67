"""moto's IAM and STS as one function from request to response, with no socket.

To import this module is to import moto.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import moto.iam.models
from moto.backends import get_backend
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.test import Client

from portside.local.protocol.message import Response

if TYPE_CHECKING:
    from portside.local.journal import Entry

_SERVICES: Final[tuple[Literal["iam", "sts"], ...]] = ("iam", "sts")


class MotoApplication:
    """An empty IAM. moto keeps its state in the process, so there can be one of these at a time."""

    def __init__(self, *, account: str) -> None:
        self._account = account
        self._time = datetime.now(UTC)
        # The one place where moto's IAM asks for the time.
        moto.iam.models.utcnow = self._now  # type: ignore[attr-defined]  # by name
        self._clients: dict[str, Client] = {}
        for service in _SERVICES:
            get_backend(service).reset()
            self._clients[service] = Client(create_backend_app(service))

    def _now(self) -> datetime:
        return self._time.replace(tzinfo=None)

    def call(self, entry: Entry) -> Response:
        """One request, at the time and with the ids that its entry says."""
        mock_random.seed(entry.seed)
        self._time = datetime.fromtimestamp(entry.time_ms / 1000, UTC)
        answer = self._clients[entry.service].open(
            method=entry.method,
            path=entry.path,
            base_url=f"http://{entry.service}.amazonaws.com",
            query_string=entry.query,
            content_type=entry.content_type,
            data=entry.body,
            headers={"x-moto-account-id": self._account},
        )
        content_type = answer.headers.get("Content-Type", "text/xml")
        return Response(
            status=answer.status_code, headers=(("Content-Type", content_type),), body=answer.data
        )
