"""All endpoints of an account, as SageMaker lists them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from portside.aws.session import Session, explained


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEndpoint:
    """An endpoint in a list; `created_at` in seconds since 1970."""

    name: str
    arn: str
    status: str
    created_at: float


def list_all(session: Session) -> Iterator[ListedEndpoint]:
    """Every endpoint of the account and region, whoever made it."""
    with explained("sagemaker", "ListEndpoints"):
        for page in session.sagemaker.get_paginator("list_endpoints").paginate():
            for endpoint in page["Endpoints"]:
                yield ListedEndpoint(
                    name=endpoint["EndpointName"],
                    arn=endpoint["EndpointArn"],
                    status=endpoint["EndpointStatus"],
                    created_at=endpoint["CreationTime"].timestamp(),
                )
