"""Samples in files: what users have, held against what the model takes and knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.sample import Sample, Samples
from portside.artifact.proof.sample_file import read_samples
from portside.errors import ConfigError

ENTITIES = ("O", "B-PER", "I-PER", "I-LOC")
REVIEWS = ("BAD", "GOOD")


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def read(path: Path, task: Task = Task.TOKEN_CLASSIFICATION, **options: Any) -> Samples:
    labels = REVIEWS if task is Task.TEXT_CLASSIFICATION else ENTITIES
    return read_samples(path, task, labels=labels, **options)


def test_a_text_a_line(tmp_path: Path):
    samples = read(write(tmp_path, "texts.txt", "One.\n\n  Zwei, größer.\n"))

    assert [sample.inputs for sample in samples.items] == ["One.", "  Zwei, größer."]
    assert samples.source == "texts.txt"


def test_words_with_their_labels(tmp_path: Path):
    text = "Ada\tB-PER\nslept\tO\n\n\nIn O\nOslo NN B-LOC\n"
    samples = read(write(tmp_path, "dev.conll", text))

    # The model has no `B-LOC`, but it has the kind.
    assert samples.items == (
        Sample(inputs="Ada slept", word_labels=("B-PER", "O")),
        Sample(inputs="In Oslo", word_labels=("O", "B-LOC")),
    )


def test_json_lines_are_what_stands_under_inputs(tmp_path: Path):
    line = '{"question": "Who?", "context": "Ada."}'
    samples = read(write(tmp_path, "bodies.jsonl", f"{line}\n"), Task.QUESTION_ANSWERING)

    assert [sample.inputs for sample in samples.items] == [{"question": "Who?", "context": "Ada."}]


def test_a_mark_at_the_begin_and_odd_line_ends_are_no_part_of_a_text(tmp_path: Path):
    conll = tmp_path / "dev.conll"
    conll.write_bytes("\ufeffAda\tB-PER\r\n\r\nBo\tB-PER\r\n".encode())
    bodies = write(tmp_path, "bodies.jsonl", '"one\u2028line"\n')

    labels = [sample.word_labels for sample in read(conll).items]
    assert labels == [("B-PER",), ("B-PER",)]
    assert read(conll).items[0].inputs == "Ada"
    assert read(bodies).items[0].inputs == "one\u2028line"


def test_what_stands_beside_a_label_is_asked_too(tmp_path: Path):
    line = '{"text": "It rains.", "text_pair": "It is wet.", "label": "GOOD"}\n'
    [sample] = read(write(tmp_path, "pairs.jsonl", line), Task.TEXT_CLASSIFICATION).items

    assert sample.inputs == {"text": "It rains.", "text_pair": "It is wet."}
    assert sample.labels == {"GOOD"}


def test_a_label_by_its_name_and_by_its_number(tmp_path: Path):
    lines = '{"text": "Fine.", "label": "GOOD"}\n{"text": "No.", "label": 0}\n'
    samples = read(write(tmp_path, "reviews.jsonl", lines), Task.TEXT_CLASSIFICATION)

    assert samples.items == (
        Sample(inputs="Fine.", labels=frozenset({"GOOD"})),
        Sample(inputs="No.", labels=frozenset({"BAD"})),
    )


def test_several_labels_where_they_do_not_exclude_each_other(tmp_path: Path):
    lines = '{"text": "So.", "label": ["GOOD", 0]}\n{"text": "Hm.", "label": []}\n'
    file = write(tmp_path, "both.jsonl", lines)

    samples = read(file, Task.TEXT_CLASSIFICATION, exclusive=False)

    assert [sample.labels for sample in samples.items] == [{"GOOD", "BAD"}, set()]
    with pytest.raises(ConfigError, match=r"line 1 .*multi_label_classification"):
        read(file, Task.TEXT_CLASSIFICATION)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("empty.txt", "\n \n", "holds no samples"),
        ("a.conll", "Ada B-PER\nslept\n", "line 2 .* without a label: `slept`"),
        ("b.conll", "Ada PER\n", "line 1 .* the label `PER`"),
        ("c.conll", "Ada B-\n", "line 1 .* the label `B-`"),
        (
            "d.conll",
            "Ada B-PER\n\nAcme B-ORG\n",
            "line 3 .* the label `B-ORG`, and the model knows `O`, `B-PER`, `I-PER`, `I-LOC`",
        ),
        ("e.jsonl", '"one"\n{"open"\n', "line 2 .* is not JSON"),
        ("f.jsonl", "17\n", "line 1 .* token-classification: expected a text, got `17`"),
        ("g.jsonl", '"a"\n\n["b"]\n', r"line 3 .* expected a text, got `\["),
        ("h.jsonl", '{"text": "a", "label": "GOOD"}', "line 1 .* the label of a text, and token"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(tmp_path: Path, name: str, text: str, said: str):
    with pytest.raises(ConfigError, match=said) as raised:
        read(write(tmp_path, name, text))

    assert raised.value.hint


@pytest.mark.parametrize(
    ("label", "shown"),
    [('"good"', "good"), ("2", "2"), ("-1", "-1"), ("true", "true"), ("null", "null")],
)
def test_a_label_that_the_model_does_not_know(tmp_path: Path, label: str, shown: str):
    lines = f'{{"text": "Fine.", "label": "GOOD"}}\n{{"text": "No.", "label": {label}}}\n'

    with pytest.raises(ConfigError) as raised:
        read(write(tmp_path, "reviews.jsonl", lines), Task.TEXT_CLASSIFICATION)

    message = raised.value.message
    assert message.startswith("`model.samples`: line 2 of ")
    assert message.endswith(f"has the label `{shown}`, and the model knows `BAD`, `GOOD`")


@pytest.mark.parametrize(
    ("task", "line", "expected"),
    [
        (Task.QUESTION_ANSWERING, '"Who?"', '`{"question": …, "context": …}`'),
        (Task.QUESTION_ANSWERING, '{"question": "Who?"}', '`{"question": …, "context": …}`'),
        (Task.QUESTION_ANSWERING, '{"question": "Who?", "context": ""}', '`{"question": …'),
        (Task.TEXT_CLASSIFICATION, '{"text": 3}', "a text, or `{"),
        (Task.TEXT_CLASSIFICATION, '{"text": "a", "other": "b"}', "a text, or `{"),
        (Task.FEATURE_EXTRACTION, '{"text": "a"}', "a text, got `{"),
    ],
)
def test_what_a_task_does_not_take(tmp_path: Path, task: Task, line: str, expected: str):
    with pytest.raises(ConfigError) as raised:
        read(write(tmp_path, "bodies.jsonl", f"{line}\n"), task)

    fault = f"line 1 of `{tmp_path}/bodies.jsonl` does not fit {task}: expected {expected}"
    assert fault in raised.value.message


@pytest.mark.parametrize("task", [task for task in Task if task is not Task.TOKEN_CLASSIFICATION])
def test_labels_of_words_are_for_one_task(tmp_path: Path, task: Task):
    with pytest.raises(ConfigError, match=f"line 1 .* label of a word, and {task} has none"):
        read(write(tmp_path, "dev.conll", "Ada B-PER\n"), task)


def test_a_file_that_is_not_text(tmp_path: Path):
    file = tmp_path / "texts.txt"
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match="cannot read"):
        read(file)
