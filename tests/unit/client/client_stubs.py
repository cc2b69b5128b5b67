"""A session whose clients answer what they were told to, once each and in order."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from botocore.response import StreamingBody
from botocore.stub import Stubber

from portside.aws.session import Address, Session
from portside.client.endpoint import Endpoint, Kind

URL = "http://127.0.0.1:9"
"""Nobody listens there."""
ADDRESS = Address(
    endpoint_url=URL, region="us-east-1", access_key_id="key", secret_access_key="secret"
)
TIME = datetime(2030, 1, 1, tzinfo=UTC)
ASYNC = {"OutputConfig": {"S3OutputPath": "s3://answers/folder/"}}


class Stubs:
    """Of the clients that a caller of endpoints uses."""

    def __init__(self, session: Session, stack: ExitStack) -> None:
        self.session = session
        self.runtime, self.sagemaker, self.s3 = (
            stack.enter_context(Stubber(client))
            for client in (session.runtime, session.sagemaker, session.s3)
        )

    def answer(self, body: bytes, **more: str) -> None:
        """To an invocation."""
        self.runtime.add_response(
            "invoke_endpoint",
            {
                "Body": StreamingBody(io.BytesIO(body), len(body)),
                "ContentType": "application/json",
                "InvokedProductionVariant": "AllTraffic",
                **more,
            },
        )

    def refuse(self, code: str, message: str | None = None, **fields: Any) -> None:
        """An invocation."""
        self.runtime.add_client_error(
            "invoke_endpoint",
            service_error_code=code,
            service_message=message or "",
            http_status_code=400,
            modeled_fields=fields,
        )

    def describe(self, *, status: str = "InService", reason: str = "", **config: Any) -> None:
        """The endpoint and its EndpointConfig."""
        described = {
            "EndpointName": "ner",
            "EndpointArn": "arn:aws:sagemaker:us-east-1:000000000000:endpoint/ner",
            "EndpointConfigName": "ner-1",
            "EndpointStatus": status,
            "CreationTime": TIME,
            "LastModifiedTime": TIME,
        }
        if reason:
            described["FailureReason"] = reason
        self.sagemaker.add_response("describe_endpoint", described)
        self.sagemaker.add_response(
            "describe_endpoint_config",
            {
                "EndpointConfigName": "ner-1",
                "EndpointConfigArn": "arn:aws:sagemaker:us-east-1:000000000000:endpoint-config/n",
                "CreationTime": TIME,
                "ProductionVariants": [{"VariantName": "AllTraffic", "ModelName": "ner-1"}],
                **config,
            },
        )

    def deny_describing(self) -> None:
        """As AWS does to who may only invoke."""
        self.sagemaker.add_client_error("describe_endpoint", "AccessDeniedException", "no")

    def assert_all_asked(self) -> None:
        """Nothing that was prepared is left."""
        for stub in (self.runtime, self.sagemaker, self.s3):
            stub.assert_no_pending_responses()


@contextmanager
def stubbed(session: Session) -> Iterator[Stubs]:
    with ExitStack() as stack:
        yield Stubs(session, stack)


def make_endpoint(kind: Kind = Kind.SERVERLESS, *, url: str = URL, **more: Any) -> Endpoint:
    values: dict[str, Any] = {
        "name": "ner",
        "status": "InService",
        "reason": "",
        "kind": kind,
        "models": ("ner-1",),
        "output_path": "s3://answers/folder/" if kind is Kind.ASYNC else None,
        "runtime_url": url,
        "region": "us-east-1",
    }
    return Endpoint(**(values | more))
