"""What a model is asked, to see whether a smaller form of it answers the same.

A file's samples are read by `sample_file`. Without a file, texts that come with Portside:
sentences about everyday things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Final

from portside.artifact.folder.architecture import Task

BUNDLED: Final = "bundled texts"

_BUNDLED_FILE: Final = "sample_texts.txt"

_QUESTIONS: Final = ("What is it about?", "Who is mentioned?", "Where does it happen?")
"""Asked of the bundled texts in turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question to a model."""

    inputs: Any
    """As in a request's body: a text, or an object."""
    word_labels: tuple[str, ...] = ()
    """The right label of each word, where the words of the text are joined by single spaces."""
    labels: frozenset[str] | None = None
    """The right labels of the text: one, unless the model's do not exclude each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """All questions, and where they are from."""

    source: str
    items: tuple[Sample, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What a request for any of them says too, so that an endpoint's settings do not matter."""
    exclusive: bool = True
    """Whether a text has one of the labels, not some of them."""


def bundled_samples(task: Task) -> Samples:
    """What is asked where the user has named no file."""
    file = resources.files(__package__).joinpath(_BUNDLED_FILE)
    texts = file.read_text(encoding="utf-8").splitlines()
    match task:
        case Task.QUESTION_ANSWERING:
            items = [
                Sample(inputs={"question": _QUESTIONS[number % len(_QUESTIONS)], "context": text})
                for number, text in enumerate(texts)
            ]
        case _:
            items = [Sample(inputs=text) for text in texts]
    return Samples(source=BUNDLED, items=tuple(items))
