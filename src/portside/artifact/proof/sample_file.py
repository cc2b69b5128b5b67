"""The user's samples, read and held against the model before anything slow begins.

    texts.txt       a text a line
    labeled.conll   a word and its label a line, an empty line between texts
    bodies.jsonl    what stands under `inputs` in a request's body, as JSON, a line each:
                    a text, or an object such as {"question": …, "context": …};
                    with {"text": …, "label": …} a text classifier's answers are scored

What the model's task does not take, and a label that the model does not know, is an error
that names the line: nothing could be compared, or F1 would be 0 before and after.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.sample import Sample, Samples
from portside.errors import ConfigError

_KEY: Final = "model.samples"

_COLUMNS: Final = 2
_OUTSIDE: Final = "O"
_MARKS: Final = ("B-", "I-")
"""Before the kind of an entity: the word begins one, or goes on with it."""

_EXPECTED: Final = {
    Task.TOKEN_CLASSIFICATION: "a text",
    Task.TEXT_CLASSIFICATION: 'a text, or `{"text": …, "text_pair": …}` for a pair of them',
    Task.QUESTION_ANSWERING: '`{"question": …, "context": …}`',
    Task.FEATURE_EXTRACTION: "a text",
}
"""What stands under `inputs`; the tasks of `portside.serving` say the same, later."""

_FILES: Final = {
    Task.TOKEN_CLASSIFICATION: "a text a line, or a `.conll` with a word and its label a line",
    Task.TEXT_CLASSIFICATION: (
        'a text a line, or a `.jsonl` with `{"text": "…", "label": "…"}` a line'
    ),
    Task.QUESTION_ANSWERING: 'a `.jsonl` with `{"question": "…", "context": "…"}` a line',
    Task.FEATURE_EXTRACTION: "a text a line",
}

_SHOWN: Final = 60
"""Characters of what stands in a line."""


def read_samples(
    path: Path, task: Task, *, labels: Sequence[str] = (), exclusive: bool = True
) -> Samples:
    """The samples of a file that the model can answer.

    `labels` are the model's, in their order; unless `exclusive`, a text may have several.
    Raises `ConfigError`, naming the line, for what cannot be read and what does not fit.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows begins files with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read `{path}`: {error}", path=_KEY, hint=f"name a file with {_FILES[task]}"
        ) from error
    lines = text.split("\n")  # a text may hold the other line ends that Python knows
    reader = _Reader(path=path, task=task, labels=tuple(labels), exclusive=exclusive)
    items = tuple(reader.read(lines))
    if not items:
        raise ConfigError(
            f"`{path}` holds no samples", path=_KEY, hint=f"write {_FILES[task]} into it"
        )
    return Samples(source=path.name, items=items)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """A file, and what the model that is asked takes and knows."""

    path: Path
    task: Task
    labels: tuple[str, ...]
    exclusive: bool

    def read(self, lines: Sequence[str]) -> Iterator[Sample]:
        """The samples in these lines."""
        if self.path.suffix in {".conll", ".bio", ".iob"}:
            yield from self._labeled_texts(lines)
            return
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            if self.path.suffix == ".jsonl":
                yield self._from_json(number, line)
            else:
                self._check_inputs(number, line)
                yield Sample(inputs=line)

    # --- Words with labels -----------------------------------------------------

    def _labeled_texts(self, lines: Sequence[str]) -> Iterator[Sample]:
        words: list[str] = []
        labels: list[str] = []
        for number, line in enumerate([*lines, ""], 1):
            columns = line.split()
            if len(columns) >= _COLUMNS:
                words.append(columns[0])
                labels.append(self._word_label(number, columns[-1]))
            elif columns:
                self._refuse(number, f"has a word without a label: `{_short(line)}`")
            elif words:
                yield Sample(inputs=" ".join(words), word_labels=tuple(labels))
                words, labels = [], []

    def _word_label(self, number: int, label: str) -> str:
        if self.task is not Task.TOKEN_CLASSIFICATION:
            self._refuse(number, f"has the label of a word, and {self.task} has none")
        if label == _OUTSIDE:
            return label
        if not (label.startswith(_MARKS) and len(label) > len(_MARKS[0])):
            self._refuse(number, f"has the label `{label}`, neither `O` nor `B-…` nor `I-…`")
        # By their kinds: one of the two marks is what many models go without.
        if label[2:] not in {known[2:] for known in self.labels if known.startswith(_MARKS)}:
            self._refuse_label(number, label)
        return label

    # --- Lines of JSON ---------------------------------------------------------

    def _from_json(self, number: int, line: str) -> Sample:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            self._refuse(number, f"is not JSON: {reason}")
        if not (isinstance(value, dict) and "label" in value):
            self._check_inputs(number, value)
            return Sample(inputs=value)
        label = value.pop("label")
        if self.task is not Task.TEXT_CLASSIFICATION:
            self._refuse(number, f"has the label of a text, and {self.task} has none")
        inputs = value["text"] if value.keys() == {"text"} else value
        self._check_inputs(number, inputs)
        return Sample(inputs=inputs, labels=self._text_labels(number, label))

    def _text_labels(self, number: int, given: object) -> frozenset[str]:
        if not isinstance(given, list):
            return frozenset({self._text_label(number, given)})
        if self.exclusive:
            self._refuse(
                number,
                "has a list of labels, and the model's exclude each other: its `config.json` "
                'has no `"problem_type": "multi_label_classification"`',
            )
        return frozenset(self._text_label(number, each) for each in given)

    def _text_label(self, number: int, given: object) -> str:
        """A label's name; data sets have its number as well, which `id2label` names."""
        if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(self.labels):
            return self.labels[given]
        if not isinstance(given, str) or given not in self.labels:
            self._refuse_label(number, given)
        return given

    # --- What does not fit -----------------------------------------------------

    def _check_inputs(self, number: int, value: object) -> None:
        if not _fits(self.task, value):
            shown = _short(value if isinstance(value, str) else json.dumps(value))
            expected = _EXPECTED[self.task]
            self._refuse(number, f"does not fit {self.task}: expected {expected}, got `{shown}`")

    def _refuse_label(self, number: int, label: object) -> NoReturn:
        named = ", ".join(f"`{known}`" for known in self.labels)
        shown = label if isinstance(label, str) else json.dumps(label)
        self._refuse(number, f"has the label `{_short(shown)}`, and the model knows {named}")

    def _refuse(self, number: int, what: str) -> NoReturn:
        raise ConfigError(
            f"line {number} of `{self.path}` {what}",
            path=_KEY,
            hint=f"mend the line, or name a file with {_FILES[self.task]}",
        )


def _fits(task: Task, value: object) -> bool:
    match task, value:
        case Task.QUESTION_ANSWERING, {"question": str(question), "context": str(context), **rest}:
            return bool(question and context) and not rest
        case Task.TEXT_CLASSIFICATION, {"text": str(), **rest}:
            return rest.keys() <= {"text_pair"} and isinstance(rest.get("text_pair", ""), str)
        case Task.QUESTION_ANSWERING, _:
            return False
        case _:
            return isinstance(value, str)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
