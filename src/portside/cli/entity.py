"""Named entities shown in their text, the way a reader would mark them."""

from __future__ import annotations

import json
from typing import Any

from rich.style import Style
from rich.text import Text

_COLORS = ("cyan", "yellow", "green", "magenta", "blue", "red")


def highlight(text: str, entities: list[dict[str, Any]]) -> Text:
    """The text with `[words](LABEL)` marked at each entity's `start` and `end` (in characters)."""
    shown, at, colors = Text(), 0, dict[str, str]()
    for entity in sorted(entities, key=lambda found: int(found["start"])):
        label = str(entity["entity_group"])
        color = colors.setdefault(label, _COLORS[len(colors) % len(_COLORS)])
        start, end = int(entity["start"]), int(entity["end"])
        shown.append(text[at:start])
        shown.append(f"[{text[start:end]}]", Style(color=color, bold=True))
        shown.append(f"({label})", Style(color=color, dim=True))
        at = end
    shown.append(text[at:])
    return shown


def marked(request: bytes, answer: bytes) -> list[Text]:
    """The request's texts with their entities; nothing where the two are something else."""
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
    return [highlight(text, found) for text, found in zip(texts, predictions, strict=True)]


def _texts(body: object) -> list[str]:
    """The texts of the bodies that text tasks take."""
    found = body.get("strings", body.get("inputs")) if isinstance(body, dict) else None
    texts = [found] if isinstance(found, str) else found
    return texts if isinstance(texts, list) and all(isinstance(t, str) for t in texts) else []


def _are_entities(prediction: object) -> bool:
    return isinstance(prediction, list) and all(
        isinstance(found, dict) and {"entity_group", "start", "end"} <= found.keys()
        for found in prediction
    )
