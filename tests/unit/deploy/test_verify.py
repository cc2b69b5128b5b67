"""What counts as proven, and what is shown to be broken."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from portside.aws.session import Session
from portside.deploy.desired.resources import Endpoint
from portside.deploy.verify import Sample, check_config, findings, invoker, kept_samples, prove
from portside.errors import DeployError, RemoteError

ADA = {"entity_group": "PER", "start": 0, "end": 3, "score": 0.9, "word": "Ada"}
LONDON = {"entity_group": "LOC", "start": 13, "end": 19, "score": 0.9, "word": "London"}
FOUND = frozenset({("PER", 0, 3), ("LOC", 13, 19)})


def refusal(status: int) -> RemoteError:
    details: Any = {"Error": {"Code": "ModelError"}, "OriginalStatusCode": status}
    error = RemoteError("no", service="runtime", operation="InvokeEndpoint", code="ModelError")
    error.__cause__ = ClientError(details, "InvokeEndpoint")
    return error


def answering(answer: object) -> Any:
    def invoke(_: str, __: Sample) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return invoke


def test_the_same_findings_are_proof() -> None:
    proof = prove("ner", [Sample(body=b"", found=FOUND)], invoke=answering([ADA, LONDON]))

    assert (proof.compared, proof.answered, proof.doubt) == (1, 1, "")


def test_scores_may_differ_and_findings_may_not() -> None:
    sample = Sample(body=b"", found=FOUND)
    prove("ner", [sample], invoke=answering([ADA | {"score": 0.4}, LONDON]))

    with pytest.raises(DeployError, match=r"of what is found in 1 samples 67 %") as caught:
        prove("ner", [sample], invoke=answering([ADA]))

    assert "portside rollback" in (caught.value.hint or "")


def test_one_close_call_among_many_is_no_fault() -> None:
    samples = [Sample(body=str(number).encode(), found=FOUND) for number in range(10)]

    def invoke(_: str, sample: Sample) -> object:
        return [ADA] if sample.body == b"0" else [ADA, LONDON]

    assert prove("ner", samples, invoke=invoke).compared == 10


def test_without_a_sample_it_says_that_nothing_was_shown() -> None:
    assert prove("ner", [], invoke=answering(None)).doubt == "there is no sample request to ask"


def test_a_request_of_which_no_answer_is_known_must_be_answered() -> None:
    proof = prove("ner", [Sample(body=b"")], invoke=answering({"any": 1}))

    assert (proof.compared, proof.answered) == (0, 1)
    with pytest.raises(DeployError, match="cannot answer a sample request"):
        prove("ner", [Sample(body=b"")], invoke=answering(refusal(500)))


def test_a_request_that_does_not_fit_is_a_doubt_not_a_fault() -> None:
    proof = prove("ner", [Sample(body=b"")], invoke=answering(refusal(400)))

    assert proof.doubt == "the sample request was refused: no"
    with pytest.raises(DeployError):
        prove("ner", [Sample(body=b"", found=FOUND)], invoke=answering(refusal(400)))


@pytest.mark.parametrize(
    ("answer", "is_exclusive", "found"),
    [
        ([ADA], True, {("PER", 0, 3)}),
        ([{"entity": "B-PER", "start": 0, "end": 3}], True, {("B-PER", 0, 3)}),
        ({"answer": "x", "start": 1, "end": 2, "score": 0.5}, True, {(1, 2)}),
        ([{"label": "a", "score": 0.2}], True, {("a",)}),
        ([{"label": "a", "score": 0.2}, {"label": "b", "score": 0.7}], False, {("b",)}),
        (b"bytes", True, set()),
    ],
)
def test_findings_of_every_task(answer: object, is_exclusive: bool, found: set[Any]) -> None:
    assert findings(answer, is_exclusive=is_exclusive) == found


def test_samples_come_from_the_report() -> None:
    asked = [{"inputs": "Ada", "found": [["PER", 0, 3]]}]

    (sample,) = kept_samples(json.dumps({"asked": asked}).encode())

    assert json.loads(sample.body) == {"inputs": "Ada"}  # as of a report without parameters
    assert sample.found == {("PER", 0, 3)}
    assert kept_samples(b'{"schema_version": 1}') == kept_samples(b"no json") == ()


def test_a_kept_sample_is_asked_with_its_parameters() -> None:
    kept = {"inputs": "Ada", "parameters": {"top_k": None}, "found": [], "is_exclusive": False}

    (sample,) = kept_samples(json.dumps({"asked": [kept]}).encode())

    assert json.loads(sample.body) == {"inputs": "Ada", "parameters": {"top_k": None}}
    assert not sample.is_exclusive
    assert sample.accept == "application/json"


class FakeRuntime:
    """Answers with what it was asked."""

    def invoke_endpoint(self, **parameters: Any) -> dict[str, Any]:
        asked = parameters | {"Body": parameters["Body"].decode()}
        return {"Body": StreamingBody(io.BytesIO(json.dumps(asked).encode()), None)}


@pytest.mark.parametrize("accept", [None, "application/json"])
def test_an_endpoint_is_asked_for_the_type_that_a_sample_names(accept: str | None) -> None:
    session = cast("Session", SimpleNamespace(runtime=FakeRuntime()))

    answer = invoker(session)("ner", Sample(body=b"{}", accept=accept))

    assert answer == {
        "EndpointName": "ner",
        "Body": "{}",
        "ContentType": "application/json",
        **({"Accept": accept} if accept else {}),
    }


class FakeSageMaker:
    """An endpoint as it stands."""

    def __init__(self, status: str, config: str) -> None:
        self._state = {"EndpointStatus": status, "EndpointConfigName": config}

    def describe_endpoint(self, **_: str) -> dict[str, Any]:
        return {"EndpointName": "ner", "EndpointArn": "arn", **self._state}


class FakeSession:
    """A session with SageMaker alone."""

    def __init__(self, status: str, config: str) -> None:
        self.sagemaker = FakeSageMaker(status, config)


@pytest.mark.parametrize(
    ("status", "config", "is_fine"),
    [("InService", "ner-2", True), ("InService", "ner-1", False), ("Updating", "ner-2", False)],
)
def test_the_live_config_must_be_the_wanted_one(status: str, config: str, is_fine: bool) -> None:
    session = cast("Session", FakeSession(status, config))
    wanted = Endpoint(name="ner", config_name="ner-2", tags={})

    if is_fine:
        check_config(session, wanted)
    else:
        with pytest.raises(DeployError, match=f"it is {status} on `{config}`"):
            check_config(session, wanted)
