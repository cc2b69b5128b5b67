"""Named entities found in their text, for whoever shows them.

request body + answer body ─▶ for each text its spans: plain ones and labeled ones
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A piece of a text; `label` is None outside of entities."""

    text: str
    label: str | None = None


def marked(request: bytes, answer: bytes) -> list[list[Span]]:
    """The request's texts cut into spans; nothing where the two bodies are something else."""
    try:
        texts, predictions = _texts(json.loads(request)), json.loads(answer)
    except ValueError:
        return []
    if not texts or not isinstance(predictions, list):
        return []
    if len(texts) == 1 and _are_entities(predictions):
        predictions = [predictions]
    if len(texts) != len(predictions) or not all(map(_are_entities, predictions)):
        return []
    return [cut(text, found) for text, found in zip(texts, predictions, strict=True)]


def cut(text: str, entities: list[dict[str, Any]]) -> list[Span]:
    """The text cut at each entity's `start` and `end` (in characters)."""
    spans, at = list[Span](), 0
    for entity in sorted(entities, key=lambda found: int(found["start"])):
        start, end = int(entity["start"]), int(entity["end"])
        spans += [Span(text=text[at:start])] if start > at else []
        spans.append(Span(text=text[start:end], label=str(entity["entity_group"])))
        at = end
    return [*spans, Span(text=text[at:])] if at < len(text) else spans


def _texts(body: object) -> list[str]:
    """The texts of the bodies that text tasks take."""
    found = body.get("strings", body.get("inputs")) if isinstance(body, dict) else None
    texts = [found] if isinstance(found, str) else found
    return texts if isinstance(texts, list) and all(isinstance(t, str) for t in texts) else []


def _are_entities(prediction: object) -> bool:
    return isinstance(prediction, list) and all(
        isinstance(found, dict)
        and "entity_group" in found
        and all(isinstance(found.get(key), int) for key in ("start", "end"))
        for found in prediction
    )
