"""What the command line asks of a local AWS that runs, over its API; to import it brings boto3."""

from __future__ import annotations

from collections import Counter
from typing import Any

from portside.aws import sagemaker, signed
from portside.aws.session import Session
from portside.cli import local_process


def reset(found: local_process.Found) -> None:
    """Empty it."""
    signed.post(Session(found.address), f"{found.running.url}/_portside/reset")


def endpoints(found: local_process.Found) -> list[dict[str, Any]]:
    """Every endpoint as AWS's API shows it, with what only a local one can tell."""
    session = Session(found.address)
    names = [one.name for one in sagemaker.list_endpoints(session)]
    described = (sagemaker.describe_endpoint(session, name) for name in names)
    counted = _invocations(session, found.running.url)
    return [
        {
            "name": now.name,
            "status": now.status,
            "reason": now.reason,
            "invocations": counted.get(now.name, Counter(cold=0, warm=0)),
        }
        for now in described
        if now
    ]


def _invocations(session: Session, url: str) -> dict[str, Counter[str]]:
    """By endpoint: how many came to an instance `cold` and `warm`, since it was started."""
    census = signed.get(session, f"{url}/_portside/endpoints")
    counted: dict[str, Counter[str]] = {}
    for endpoint in census["endpoints"]:
        total = counted.setdefault(endpoint["name"], Counter(cold=0, warm=0))
        for variant in endpoint["variants"]:
            total.update(variant["invocations"])
    return counted
