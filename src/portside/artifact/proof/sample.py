"""What a model is asked, to see whether a smaller form of it answers the same.

    texts.txt       a text a line
    labeled.conll   a word and its label a line, an empty line between texts
    bodies.jsonl    what stands under `inputs` in a request's body, as JSON, a line each:
                    a text, or an object such as {"question": …, "context": …};
                    with {"text": …, "label": …} a text classifier's answers are scored

Without a file, texts that come with Portside: sentences about everyday things.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from portside.artifact.folder.architecture import Task
from portside.errors import ConfigError

BUNDLED: Final = "bundled texts"

_BUNDLED_FILE: Final = "sample_texts.txt"

_QUESTIONS: Final = ("What is it about?", "Who is mentioned?", "Where does it happen?")
"""Asked of the bundled texts in turn."""

_COLUMNS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question to a model."""

    inputs: Any
    """As in a request's body: a text, or an object."""
    word_labels: tuple[str, ...] = ()
    """The right label of each word, where the words of the text are joined by single spaces."""
    label: str | None = None
    """The right label of the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """All questions, and where they are from."""

    source: str
    items: tuple[Sample, ...]


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


def read_samples(path: Path) -> Samples:
    """The samples of a file; raises ConfigError, naming the line, for one that cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows begins files with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(f"cannot read `{path}`: {error}") from error
    lines = text.split("\n")  # a text may hold the other line ends that Python knows
    match path.suffix:
        case ".conll" | ".bio" | ".iob":
            items = list(_labeled_texts(path, lines))
        case ".jsonl":
            items = [_from_json(path, number, line) for number, line in _full(lines)]
        case _:
            items = [Sample(inputs=line) for _, line in _full(lines)]
    if not items:
        raise _broken(f"`{path}` holds no samples")
    return Samples(source=path.name, items=tuple(items))


def _full(lines: Sequence[str]) -> Iterable[tuple[int, str]]:
    """Lines that are not empty, with their numbers."""
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _labeled_texts(path: Path, lines: Sequence[str]) -> Iterator[Sample]:
    words: list[str] = []
    labels: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        columns = line.split()
        if len(columns) >= _COLUMNS:
            words.append(columns[0])
            labels.append(_checked_label(path, number, columns[-1]))
        elif columns:
            raise _broken(f"line {number} of `{path}` has a word without a label: `{line}`")
        elif words:
            yield Sample(inputs=" ".join(words), word_labels=tuple(labels))
            words, labels = [], []


def _checked_label(path: Path, number: int, label: str) -> str:
    if label == "O" or (label[:2] in {"B-", "I-"} and len(label) > len("B-")):
        return label
    raise _broken(
        f"line {number} of `{path}` has the label `{label}`, neither `O` nor `B-…` nor `I-…`"
    )


def _from_json(path: Path, number: int, line: str) -> Sample:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise _broken(f"line {number} of `{path}` is not JSON: {error.msg}") from error
    match value:
        case {"text": str(text), "label": str(label), **others}:
            return Sample(inputs={"text": text, **others} if others else text, label=label)
        case {"label": label}:
            raise _broken(
                f"line {number} of `{path}` has the label `{label}`, and no text with it or none "
                "that `id2label` could name"
            )
        case str() | dict():
            return Sample(inputs=value)
        case _:
            raise _broken(f"line {number} of `{path}` is neither a text nor an object")


def _broken(message: str) -> ConfigError:
    return ConfigError(
        message,
        path="model.samples",
        hint="name a file with a text a line, or a `.conll` with a word and its label a line",
    )
