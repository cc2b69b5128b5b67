"""A request that is tried, and its answer as it is shown.

form ─▶ Trial ─▶ (the endpoint) ─▶ Answer ─▶ AnswerView
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from portside.client.entity import Span, marked

SHOWN_CHARACTERS: Final = 100_000
"""Of an answer; more makes a page that nobody reads and few browsers scroll."""
KINDS: Final = 6
"""Colors of entities, as many as people tell apart."""


class Format(StrEnum):
    """How a text is sent: as text tasks of Portside, of Hugging Face's toolkit, or bare."""

    STRINGS = "strings"
    INPUTS = "inputs"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One request. `text` is what was typed where the body was made from a text."""

    body: bytes
    content_type: str
    accept: str = ""
    variant: str = ""
    text: str = ""
    format: Format | None = None

    @classmethod
    def of_text(cls, text: str, form: Format, *, variant: str = "") -> Trial:
        """A text in one of the forms that text tasks take."""
        match form:
            case Format.STRINGS:
                body, content_type = json.dumps({"strings": [text]}), "application/json"
            case Format.INPUTS:
                body, content_type = json.dumps({"inputs": text}), "application/json"
            case Format.PLAIN:
                body, content_type = text, "text/plain"
            case _:
                assert_never(form)
        return cls(
            body=body.encode(), content_type=content_type, variant=variant, text=text, format=form
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `status` is the container's; 0 where it gave none in time."""

    status: int
    body: bytes
    took_ms: float
    content_type: str = ""
    variant: str = ""
    custom_attributes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedSpan:
    """A piece of a text; an entity has a label and a kind, 0 to `KINDS` - 1, of its color."""

    text: str
    label: str | None = None
    kind: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    """An answer, or an error. `facts` are labels and values; `body` is text to show as it is."""

    is_error: bool
    headline: str
    message: str = ""
    hint: str = ""
    facts: list[tuple[str, str]]
    texts: list[list[MarkedSpan]]
    body: str = ""


def view_answer(trial: Trial, answer: Answer) -> AnswerView:
    """The answer with its entities marked in the text, the JSON indented."""
    is_error = not 200 <= answer.status < 300
    facts = [
        ("Latency", f"{answer.took_ms:.0f} ms"),
        ("Variant", answer.variant),
        ("Content type", answer.content_type),
        ("Custom attributes", answer.custom_attributes),
    ]
    said = _message(answer.body) if is_error else ""
    return AnswerView(
        is_error=is_error,
        headline=f"The model answered {answer.status}" if answer.status else "No answer in time",
        message=said,
        facts=[(label, value) for label, value in facts if value],
        texts=[] if is_error else _marked(trial, answer),
        body="" if said else _readable(answer.body, answer.content_type),
    )


def view_refusal(headline: str, *, message: str, hint: str | None) -> AnswerView:
    """An error that is not the model's own: SageMaker's, or of the way there."""
    return AnswerView(
        is_error=True, headline=headline, message=message, hint=hint or "", facts=[], texts=[]
    )


def _marked(trial: Trial, answer: Answer) -> list[list[MarkedSpan]]:
    """The texts with their entities; nothing where the answer holds something else."""
    asked = json.dumps({"inputs": trial.text}).encode() if trial.format else trial.body
    try:
        texts = marked(asked, answer.body)
    except RecursionError:  # an answer may be nested as deep as it likes
        return []
    labels = dict.fromkeys(span.label for text in texts for span in text if span.label)
    kinds = {label: number % KINDS for number, label in enumerate(labels)}
    return [[_span(span, kinds) for span in text] for text in texts]


def _span(span: Span, kinds: dict[str, int]) -> MarkedSpan:
    if span.label is None:
        return MarkedSpan(text=span.text)
    return MarkedSpan(text=span.text, label=span.label, kind=kinds[span.label])


def _message(body: bytes) -> str:
    """The message of the error bodies of Portside's own serving runtime, else nothing."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _readable(body: bytes, content_type: str) -> str:
    try:
        shown = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except RecursionError:
        shown = body.decode(errors="replace")
    except ValueError:
        try:
            shown = body.decode()
        except UnicodeDecodeError:
            return f"{len(body):,} bytes of {content_type or 'no content type'}"
    if len(shown) > SHOWN_CHARACTERS:
        return f"{shown[:SHOWN_CHARACTERS]}\n… {len(shown) - SHOWN_CHARACTERS:,} characters more"
    return shown
