"""Whether what runs is what was asked for, and answers as it did when it was packaged.

    the endpoint's config ──▶ is it the wanted one?   a failed update ends InService, too
    samples ──▶ InvokeEndpoint ──▶ findings ──▶ are they those of the packaging?

Done after the wait and before anything old is removed, so that a rollback has its way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from portside.aws import sagemaker
from portside.aws.model_error import answered_status
from portside.aws.runtime import Request, invoke_endpoint
from portside.aws.session import Session
from portside.deploy.desired.resources import Endpoint
from portside.errors import DeployError, RemoteError

LEAST_AGREEMENT: Final = 0.9
"""Of what is found in the samples, on another processor than that of the packaging: its rounding
moves what was close to call. A wrong model or tokenizer agrees on far less."""

JSON: Final = "application/json"

Finding = tuple[str | int, ...]
"""What a caller acts on: a label, an entity's kind and place, or the place of an answer."""

_HOLDS: Final = 0.5
"""The score of a label that does not exclude others, above which it is likelier than not."""

_CLIENT_ERRORS: Final = range(400, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request, and what was found in it at the packaging; None where nobody knows."""

    body: bytes
    content_type: str = JSON
    accept: str | None = None
    """None leaves it to the endpoint, whose environment may name another type than JSON."""
    found: frozenset[Finding] | None = None
    is_exclusive: bool = True
    """Whether one label excludes the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was shown of an endpoint: `compared` answers were as at the packaging."""

    endpoint: str
    compared: int
    answered: int
    doubt: str = ""
    """Why nothing, or not all, was shown."""


Invoke = Callable[[str, Sample], object]
"""Asks an endpoint; the parsed answer."""


def check_config(session: Session, endpoint: Endpoint) -> None:
    """Raise `DeployError` where the endpoint does not run the wanted config."""
    now = sagemaker.describe_endpoint(session, endpoint.name)
    if now is None or now.status != "InService" or now.config_name != endpoint.config_name:
        state = f"is {now.status} on `{now.config_name}`" if now else "is gone"
        raise DeployError(
            f"the endpoint `{endpoint.name}` is not what was asked for: it {state}, "
            f"not InService on `{endpoint.config_name}`",
            endpoint=endpoint.name,
            hint="another may have changed it: look at `portside status --history`, "
            "then run the same command again",
        )


def prove(endpoint: str, samples: Sequence[Sample], *, invoke: Invoke) -> Proof:
    """Ask the samples. Raises `DeployError` where the endpoint fails or answers otherwise."""
    if not samples:
        return Proof(
            endpoint=endpoint, compared=0, answered=0, doubt="there is no sample request to ask"
        )
    shared = there = compared = answered = 0
    doubt = ""
    for sample in samples:
        try:
            answer = invoke(endpoint, sample)
        except RemoteError as error:
            if sample.found is None and answered_status(error) in _CLIENT_ERRORS:
                doubt = f"the sample request was refused: {error.message}"
                continue
            raise _broken(endpoint, f"cannot answer a sample request: {error.message}") from error
        answered += 1
        if sample.found is not None:
            found = findings(answer, is_exclusive=sample.is_exclusive)
            shared += 2 * len(found & sample.found)
            there += len(found) + len(sample.found)
            compared += 1
    if there and shared / there < LEAST_AGREEMENT:
        raise _broken(
            endpoint,
            f"does not answer as at the packaging: of what is found in {compared} samples "
            f"{100 * shared / there:.0f} % is the same",
        )
    return Proof(endpoint=endpoint, compared=compared, answered=answered, doubt=doubt)


def invoker(session: Session) -> Invoke:
    """Asks over InvokeEndpoint; an answer that is no JSON is its bytes."""

    def invoke(endpoint: str, sample: Sample) -> object:
        request = Request(body=sample.body, content_type=sample.content_type, accept=sample.accept)
        body = b"".join(invoke_endpoint(session, endpoint, request=request).chunks)
        try:
            parsed: object = json.loads(body)
        except (ValueError, RecursionError):
            return body
        return parsed

    return invoke


def findings(answer: object, *, is_exclusive: bool) -> frozenset[Finding]:
    """What a caller acts on in an answer of one of the tasks, as `artifact.proof` counts it."""
    found: set[Finding] = set()
    for item in answer if isinstance(answer, list) else [answer]:
        match item:
            case {"entity_group": str(kind), "start": int(start), "end": int(end)}:
                found.add((kind, start, end))
            case {"entity": str(kind), "start": int(start), "end": int(end)}:
                found.add((kind, start, end))
            case {"label": str(label), "score": float(score)} if is_exclusive or score > _HOLDS:
                found.add((label,))
            case {"start": int(start), "end": int(end)}:
                found.add((start, end))
    return frozenset(found)


def kept_samples(report: bytes) -> tuple[Sample, ...]:
    """The samples that a `report.json` keeps with what was found in them; none in older ones."""
    try:
        kept: list[dict[str, Any]] = json.loads(report)["asked"]
        return tuple(
            Sample(
                body=_body(one),
                accept=JSON,
                found=frozenset(tuple(finding) for finding in one["found"]),
                is_exclusive=one.get("is_exclusive", True),
            )
            for one in kept
        )
    except (ValueError, TypeError, KeyError):
        return ()


def _body(kept: dict[str, Any]) -> bytes:
    parameters = {"parameters": kept["parameters"]} if kept.get("parameters") else {}
    return json.dumps({"inputs": kept["inputs"], **parameters}, ensure_ascii=False).encode()


def _broken(endpoint: str, what: str) -> DeployError:
    return DeployError(
        f"the endpoint `{endpoint}` {what}",
        endpoint=endpoint,
        hint="go back to what ran before: `portside rollback`",
    )
