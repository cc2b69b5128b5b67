from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from portside.artifact.content import read_content
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEFTOVERS = (
    "optimizer.pt",
    "optimizer_0/shard.distcp",
    "scheduler.pt",
    "scaler.pt",
    "rng_state.pth",
    "rng_state_1.pth",
    "trainer_state.json",
    "training_args.bin",
    "runs/Nov22/events.out.tfevents.1",
    "events.out.tfevents.2",
    "checkpoint-500/model.safetensors",
    "global_step100/mp_rank_00.pt",
    "model.tar.gz",
    "old.tgz",
    "old.zip",
    "old.tar",
    ".git/HEAD",
    ".DS_Store",
    "._config.json",
    "__pycache__/x.pyc",
    "code/__pycache__/inference.pyc",
    "code/.DS_Store",
    "train.log",
)

KEPT = (
    "config.json",
    "tokenizer.json",
    "LICENSE",
    "1_Pooling/config.json",
    "scheduler/scheduler_config.json",
    "code/inference.py",
    "code/runs/table.csv",
    "code/optimizer.py",
    "code/lookup.zip",
)


def test_training_leftovers_are_told_from_the_model(make_folder: Callable[..., Path]):
    folder = make_folder(dict.fromkeys((*LEFTOVERS, *KEPT), "12345"))

    content = read_content(folder)

    assert {str(file.path) for file in content.files} == set(KEPT)
    left_out = {str(left.path) for left in content.left_out}
    assert left_out == {
        *(name for name in LEFTOVERS if "/" not in name or name == "code/.DS_Store"),
        *("optimizer_0", "runs", "checkpoint-500", "global_step100", ".git", "__pycache__"),
        "code/__pycache__",
    }
    assert all(left.reason for left in content.left_out)


def test_bytes_of_a_left_out_folder_are_those_of_all_in_it(make_folder: Callable[..., Path]):
    folder = make_folder({"checkpoint-1/a": "12345", "checkpoint-1/deep/b": "123"})

    (left,) = read_content(folder).left_out

    assert (str(left.path), left.size_bytes) == ("checkpoint-1", 8)


def test_links_are_refused_by_name(make_folder: Callable[..., Path]):
    folder = make_folder({"deep/a": "x"})
    (folder / "deep/link").symlink_to(folder / "deep/a")

    with pytest.raises(BuildError, match="`deep/link` is a link") as caught:
        read_content(folder)

    assert "cp -rL" in (caught.value.hint or "")


def test_a_link_to_a_folder_is_refused_too(make_folder: Callable[..., Path], tmp_path: Path):
    folder = make_folder({})
    (folder / "elsewhere").symlink_to(tmp_path)

    with pytest.raises(BuildError, match="`elsewhere` is a link"):
        read_content(folder)


def test_links_among_the_leftovers_do_no_harm(make_folder: Callable[..., Path]):
    folder = make_folder({".git/HEAD": "x"})
    (folder / ".git/link").symlink_to("/etc")

    assert [str(left.path) for left in read_content(folder).left_out] == [".git"]


def test_pipes_are_refused(make_folder: Callable[..., Path]):
    folder = make_folder({})
    os.mkfifo(folder / "pipe")

    with pytest.raises(BuildError, match="`pipe` is neither a file nor a folder"):
        read_content(folder)
