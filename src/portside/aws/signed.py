"""A signed request for a path that no service model describes."""

from __future__ import annotations

import json
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

from portside.aws.session import Session, explained
from portside.errors import RemoteError

TIMEOUT_S = 60


def post(session: Session, url: str) -> None:
    """Send an empty POST, signed as one to SageMaker is; anything but 200 is an error."""
    _send(session, "POST", url)


def get(session: Session, url: str) -> dict[str, Any]:
    """The JSON that a GET, signed as one to SageMaker is, gets; anything but 200 is an error."""
    answered: dict[str, Any] = json.loads(_send(session, "GET", url))
    return answered


def _send(session: Session, method: str, url: str) -> str:
    path = "/" + url.partition("://")[2].partition("/")[2]
    request = AWSRequest(method=method, url=url, data=b"")
    with explained("sagemaker", path):
        SigV4Auth(session.credentials(), "sagemaker", session.region).add_auth(request)
        answer = URLLib3Session(timeout=TIMEOUT_S).send(request.prepare())
    if answer.status_code != 200:
        raise RemoteError(
            f"`{method} {path}` was answered {answer.status_code}: {answer.text.strip()}",
            service="sagemaker",
            operation=path,
            code=str(answer.status_code),
            hint="look into `gateway.log` in the data folder of the local AWS",
        )
    text: str = answer.text
    return text
