"""Labeled sentences from a CoNLL-style file, and back: a word and its label on each line.

    Grace    B-person
    Hopper   I-person
    lives    O
             (a blank line ends the sentence)

A tab or spaces stand between the two. `B-` begins an entity, `I-` goes on with
it, `O` is outside of all. A wrong line is an `InputError` that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

OUTSIDE = "O"


class InputError(Exception):
    """Something that was given is wrong; `hint` is the next step."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """Words with one label each; `where` names the file and the line where it begins."""

    words: tuple[str, ...]
    labels: tuple[str, ...]
    where: str


def read_sentences(path: Path) -> list[Sentence]:
    """All sentences of a file, in order; raises `InputError`, also where there is no entity."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            sentences = list(_sentences(lines, path))
    except OSError as error:
        raise InputError(
            f"cannot read `{path}`: {error.strerror}",
            hint="give a text file with a word and its label on each line",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"cannot read `{path}`: it is not UTF-8 text",
            hint=f"convert it: `iconv -f latin1 -t utf8 {path} > utf8.conll`",
        ) from error
    if not entity_types(sentences):
        what = "has no entity in it" if sentences else "is empty"
        raise InputError(
            f"`{path}` {what}",
            hint="give a file with labels such as `B-person` and `I-person`",
        )
    return sentences


def write_sentences(path: Path, sentences: Iterable[Sentence]) -> None:
    """Write a file that `read_sentences` reads back the same."""
    blocks = (
        "".join(f"{word}\t{label}\n" for word, label in zip(one.words, one.labels, strict=True))
        for one in sentences
    )
    path.write_text("\n".join(blocks), encoding="utf-8")


def entity_types(sentences: Iterable[Sentence]) -> list[str]:
    """What is labeled, such as `person`; sorted."""
    labels = {label for sentence in sentences for label in sentence.labels}
    return sorted({label[2:] for label in labels if label != OUTSIDE})


def _sentences(lines: Iterable[str], path: Path) -> Iterator[Sentence]:
    rows: list[tuple[str, str]] = []
    number = 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            rows.append(_row(line, where=f"`{path}` line {number}"))
        elif rows:
            yield _sentence(rows, where=f"`{path}` line {number - len(rows)}")
            rows = []
    if rows:
        yield _sentence(rows, where=f"`{path}` line {number - len(rows) + 1}")


def _sentence(rows: list[tuple[str, str]], *, where: str) -> Sentence:
    words, labels = zip(*rows, strict=True)
    return Sentence(words=words, labels=labels, where=where)


def _row(line: str, *, where: str) -> tuple[str, str]:
    columns = line.strip("\r\n").split("\t") if "\t" in line else line.split()
    match [column.strip() for column in columns]:
        case [word, label] if word and label:
            if label != OUTSIDE and not (label[:2] in {"B-", "I-"} and label[2:]):
                raise InputError(
                    f"{where}: `{label}` is not a label",
                    hint="write `O`, or `B-` or `I-` and a type, as in `B-person`",
                )
            return word, label
        case found:
            filled = len([column for column in found if column])
            raise InputError(
                f"{where}: {filled} column{'s' * (filled != 1)} in place of a word and its label",
                hint="write `word<tab>label`; of a file with more columns keep two, "
                "as in `cut -d' ' -f1,4`",
            )
