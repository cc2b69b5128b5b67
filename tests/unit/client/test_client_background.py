"""An asynchronous endpoint: the request on S3, the wait, the answer or the failure."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY

from portside.aws.runtime import Request
from portside.aws.session import Session
from portside.client.background import invoke_async
from portside.client.endpoint import Kind
from portside.client.place import Place
from portside.errors import RemoteError, UsageError
from tests.unit.client.client_stubs import ADDRESS, Stubs, make_endpoint, stubbed

REQUEST = Request(body=b"{}", content_type="application/json", accept="text/csv")
OUTPUT = {"Bucket": "answers", "Key": "folder/1.out"}
FAILURE = {"Bucket": "answers", "Key": "failures/1-error.out"}


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(ADDRESS)


@pytest.fixture
def stubs(session: Session) -> Iterator[Stubs]:
    with stubbed(session) as made:
        yield made
        made.assert_all_asked()


def accept(stubs: Stubs) -> None:
    """The request, put into the queue."""
    stubs.s3.add_response("put_object", {})
    stubs.runtime.add_response(
        "invoke_endpoint_async",
        {
            "OutputLocation": "s3://answers/folder/1.out",
            "FailureLocation": "s3://answers/failures/1-error.out",
        },
        {
            "EndpointName": "ner",
            "InputLocation": ANY,
            "ContentType": "application/json",
            "Accept": "text/csv",
        },
    )


def absent(stubs: Stubs, place: dict[str, str]) -> None:
    stubs.s3.add_client_error("get_object", "NoSuchKey", expected_params=place)


def present(stubs: Stubs, place: dict[str, str], body: bytes) -> None:
    streamed = StreamingBody(io.BytesIO(body), len(body))
    stubs.s3.add_response("get_object", {"Body": streamed}, place)
    stubs.s3.add_response("delete_object", {}, {"Bucket": "answers", "Key": ANY})


def test_the_answer_is_waited_for_and_the_request_removed(stubs: Stubs) -> None:
    accept(stubs)
    absent(stubs, OUTPUT)
    absent(stubs, FAILURE)
    present(stubs, OUTPUT, b"[1]")
    told, slept = list[str](), list[float]()

    answered = invoke_async(
        stubs.session,
        make_endpoint(Kind.ASYNC),
        request=REQUEST,
        told=told.append,
        sleep=slept.append,
    )

    assert (answered, told, slept) == (b"[1]", ["s3://answers/folder/1.out"], [0.5])


def test_a_model_that_failed(stubs: Stubs) -> None:
    accept(stubs)
    absent(stubs, OUTPUT)
    present(stubs, FAILURE, b"Received server error (500)\n")

    with pytest.raises(RemoteError, match=r"`ner` failed: Received server error \(500\)$") as told:
        invoke_async(
            stubs.session,
            make_endpoint(Kind.ASYNC),
            request=REQUEST,
            told=lambda _: None,
            sleep=lambda _: None,
        )

    assert "portside logs ner" in str(told.value.hint)


def test_a_refused_request_is_not_left_on_s3(stubs: Stubs) -> None:
    stubs.s3.add_response("put_object", {})
    stubs.runtime.add_client_error("invoke_endpoint_async", "ValidationError", "no")
    stubs.s3.add_response("delete_object", {})

    with pytest.raises(RemoteError, match="no"):
        invoke_async(stubs.session, make_endpoint(Kind.ASYNC), request=REQUEST, told=lambda _: None)


def test_an_endpoint_of_another_kind(stubs: Stubs) -> None:
    with pytest.raises(UsageError, match="`ner` is not asynchronous but serverless"):
        invoke_async(stubs.session, make_endpoint(), request=REQUEST, told=lambda _: None)


def test_places() -> None:
    place = Place.of("s3://bucket/a/b.out")

    assert (place.bucket, place.key, place.uri) == ("bucket", "a/b.out", "s3://bucket/a/b.out")
