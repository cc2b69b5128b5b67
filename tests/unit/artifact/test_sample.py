"""Samples: read from what users have, and bundled."""

from __future__ import annotations

from pathlib import Path

import pytest

from portside.artifact.folder.architecture import Task
from portside.artifact.proof.sample import Sample, bundled_samples, read_samples
from portside.errors import ConfigError


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_text_a_line(tmp_path: Path):
    read = read_samples(write(tmp_path, "texts.txt", "One.\n\n  Zwei, größer.\n"))

    assert [sample.inputs for sample in read.items] == ["One.", "  Zwei, größer."]
    assert read.source == "texts.txt"


def test_words_with_their_labels(tmp_path: Path):
    text = "Ada\tB-PER\nslept\tO\n\n\nIn O\nOslo NN B-LOC\n"
    read = read_samples(write(tmp_path, "dev.conll", text))

    assert read.items == (
        Sample(inputs="Ada slept", word_labels=("B-PER", "O")),
        Sample(inputs="In Oslo", word_labels=("O", "B-LOC")),
    )


def test_json_lines_are_what_stands_under_inputs(tmp_path: Path):
    lines = '"Text."\n{"question": "Who?", "context": "Ada."}\n'
    read = read_samples(write(tmp_path, "bodies.jsonl", lines))

    assert [sample.inputs for sample in read.items] == [
        "Text.",
        {"question": "Who?", "context": "Ada."},
    ]


def test_a_mark_at_the_begin_and_odd_line_ends_are_no_part_of_a_text(tmp_path: Path):
    conll = tmp_path / "dev.conll"
    conll.write_bytes("\ufeffAda\tB-PER\r\n\r\nBo\tB-PER\r\n".encode())
    bodies = write(tmp_path, "bodies.jsonl", '"one\u2028line"\n')

    labels = [sample.word_labels for sample in read_samples(conll).items]
    assert labels == [("B-PER",), ("B-PER",)]
    assert read_samples(conll).items[0].inputs == "Ada"
    assert read_samples(bodies).items[0].inputs == "one\u2028line"


def test_what_stands_beside_a_label_is_asked_too(tmp_path: Path):
    line = '{"text": "It rains.", "text_pair": "It is wet.", "label": "ENTAILMENT"}\n'
    [sample] = read_samples(write(tmp_path, "pairs.jsonl", line)).items

    assert sample.inputs == {"text": "It rains.", "text_pair": "It is wet."}
    assert sample.label == "ENTAILMENT"


def test_labeled_texts(tmp_path: Path):
    read = read_samples(write(tmp_path, "reviews.jsonl", '{"text": "Fine.", "label": "GOOD"}\n'))

    assert read.items == (Sample(inputs="Fine.", label="GOOD"),)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("empty.txt", "\n \n", "holds no samples"),
        ("a.conll", "Ada B-PER\nslept\n", "line 2 .* without a label: `slept`"),
        ("b.conll", "Ada PER\n", "line 1 .* the label `PER`"),
        ("c.conll", "Ada B-\n", "line 1 .* the label `B-`"),
        ("d.jsonl", '"one"\n{"open"\n', "line 2 .* is not JSON"),
        ("f.jsonl", '{"text": "Fine.", "label": 1}\n', "line 1 .* the label `1`"),
        ("e.jsonl", "17\n", "line 1 .* neither a text nor an object"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    tmp_path: Path, name: str, text: str, said: str
):
    with pytest.raises(ConfigError, match=said) as raised:
        read_samples(write(tmp_path, name, text))

    assert raised.value.hint


def test_a_file_that_is_not_text(tmp_path: Path):
    file = tmp_path / "texts.txt"
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match="cannot read"):
        read_samples(file)


@pytest.mark.parametrize("task", Task)
def test_bundled_samples_suit_each_task(task: Task):
    samples = bundled_samples(task)

    assert len(samples.items) >= 50
    kinds = {type(sample.inputs) for sample in samples.items}
    assert kinds == ({dict} if task is Task.QUESTION_ANSWERING else {str})
