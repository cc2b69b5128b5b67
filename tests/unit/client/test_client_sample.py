"""Requests to try: from files, by task; and what may be sent at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portside.artifact.folder.architecture import Task
from portside.client import sample
from portside.client.payload import content_type_of
from portside.errors import UsageError


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("request.json", "application/json"),
        ("rows.CSV", "text/csv"),
        ("many.jsonl", "application/jsonlines"),
        ("cat.JPG", "image/jpeg"),
        ("array.npy", "application/x-npy"),
    ],
)
def test_a_files_name_tells_its_type(name: str, content_type: str) -> None:
    assert content_type_of(Path(name)) == content_type


@pytest.mark.parametrize("name", ["model.onnx", "request", ".json"])
def test_a_name_that_tells_none(name: str) -> None:
    with pytest.raises(UsageError, match="cannot tell") as told:
        content_type_of(Path(name))

    assert "--content-type" in str(told.value.hint)


def test_a_file_that_is_no_json(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text("{'strings': []}")

    with pytest.raises(UsageError, match=r"`.*request.json` as a sample: it is not JSON"):
        sample.of_file(file)


def test_a_text_and_what_is_none(tmp_path: Path) -> None:
    written = {
        "small.json": b'{"strings": []}\n',
        "large.json": json.dumps("a" * 20_000).encode(),
        "latin.txt": b"\xe4",
        "pixel.png": b"\x89PNG",
    }
    for name, content in written.items():
        (tmp_path / name).write_bytes(content)

    found = {name: sample.of_file(tmp_path / name).text for name in written}

    assert found == {
        "small.json": '{"strings": []}',
        "large.json": None,
        "latin.txt": None,
        "pixel.png": None,
    }


@pytest.mark.parametrize("task", list(Task))
def test_every_task_has_its_bodies(task: Task) -> None:
    found = sample.of_task(task)

    assert len({one.name for one in found}) == len(found) > 0
    for one in found:
        if one.content_type == "application/json":
            assert {"strings", "inputs"} & json.loads(one.body).keys()
