from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from portside.artifact.folder.content import read_content
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
    ".cache/huggingface/download/model.safetensors.metadata",
    ".ipynb_checkpoints/config-checkpoint.json",
    "__MACOSX/._config.json",
    "Thumbs.db",
    "desktop.ini",
    "random_states_0.pkl",
    "zero_to_fp32.py",
    "TensorrtExecutionProvider_TRTKernel_graph_0_0_fp16.engine",
    "model.safetensors.partial",
    "model.safetensors.incomplete",
    "model.onnx.part",
    "tokenizer.json.tmp",
    "__pycache__/x.pyc",
    "code/Thumbs.db",
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
    "model.safetensors",
    "model-00001-of-00002.safetensors",
    "model.safetensors.index.json",
    "model.onnx",
    "model.onnx.data",
    "model.onnx_data_1",
    "onnx/model.onnx",
    "generation_config.json",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "vocab.txt",
    "spiece.model",
    "modules.json",
    "README.md",
    "logs/readme.txt",
    "code/inference.py",
    "code/runs/table.csv",
    "code/optimizer.py",
    "code/lookup.zip",
    "code/app.log",
    "code/part.tmp",
)


def test_training_leftovers_are_told_from_the_model(make_folder: Callable[..., Path]):
    folder = make_folder(dict.fromkeys((*LEFTOVERS, *KEPT), "12345"))

    content = read_content(folder)

    assert {str(file.path) for file in content.files} == set(KEPT)
    left_out = {str(left.path) for left in content.left_out}
    assert left_out == {
        *(name for name in LEFTOVERS if "/" not in name),
        *("code/.DS_Store", "code/Thumbs.db"),
        *("optimizer_0", "runs", "checkpoint-500", "global_step100", ".git", "__pycache__"),
        *(".cache", ".ipynb_checkpoints", "__MACOSX"),
        "code/__pycache__",
    }
    assert all(left.reason for left in content.left_out)


def test_bytes_of_a_left_out_folder_are_those_of_all_in_it(make_folder: Callable[..., Path]):
    folder = make_folder({"checkpoint-1/a": "12345", "checkpoint-1/deep/b": "123"})

    (left,) = read_content(folder).left_out

    assert (str(left.path), left.size_bytes) == ("checkpoint-1", 8)


def taken(folder: Path) -> dict[str, tuple[str, int]]:
    """Path to content and size of each file that is taken; none of the sources is a link."""
    files = read_content(folder).files
    assert not any(file.source.is_symlink() for file in files)
    return {str(file.path): (file.source.read_text(), file.size_bytes) for file in files}


def test_links_in_the_folder_are_followed(make_folder: Callable[..., Path]):
    folder = make_folder({".cache/blobs/0123": "weights", "shared/vocab.txt": "words"})
    (folder / "model.safetensors").symlink_to("model.lnk")
    (folder / "model.lnk").symlink_to(folder / ".cache/blobs/0123")
    (folder / "en").symlink_to("shared")
    (folder / "en2").symlink_to("en")

    files = taken(folder)

    assert files["model.safetensors"] == files["model.lnk"] == ("weights", 7)
    assert files["en/vocab.txt"] == files["en2/vocab.txt"] == ("words", 5)


def test_the_folder_itself_may_be_reached_through_a_link(
    make_folder: Callable[..., Path], tmp_path: Path
):
    folder = make_folder({"blobs/0123": "weights"})
    (folder / "model.onnx").symlink_to("blobs/0123")
    (tmp_path / "link").symlink_to(folder)

    assert taken(tmp_path / "link") == taken(folder)


def test_what_a_link_is_called_tells_a_leftover(make_folder: Callable[..., Path]):
    folder = make_folder({"blobs/0123": "state"})
    (folder / "optimizer.pt").symlink_to("blobs/0123")
    (folder / "checkpoint-1").symlink_to("blobs")
    (folder / "old.zip").symlink_to("nowhere")

    left_out = {str(left.path) for left in read_content(folder).left_out}

    assert left_out == {"optimizer.pt", "checkpoint-1", "old.zip"}


def test_a_hugging_face_snapshot_is_refused_with_the_way_on(
    make_folder: Callable[..., Path], tmp_path: Path
):
    """Its files are links to a folder beside it."""
    folder = make_folder({})
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / "0123").write_text("weights")
    (folder / "model.safetensors").symlink_to("../blobs/0123")

    with pytest.raises(BuildError) as caught:
        read_content(folder)

    assert caught.value.message == (
        f"cannot package `{folder}`: `model.safetensors` is a link out of the folder, "
        f"to `{blobs / '0123'}`"
    )
    assert f"`cp -rL {folder} COPY`" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("links", "reason"),
    [
        pytest.param({"l": "/etc"}, "`l` is a link out of the folder, to `/etc`", id="out"),
        pytest.param({"l": ".."}, "`l` is a link out of the folder", id="to the folder around"),
        pytest.param({"l": "m", "m": "/etc/hosts"}, "`l` is a link out of", id="out by another"),
        pytest.param({"l": "../model2/x"}, "`l` is a link out of", id="out, to a like name"),
        pytest.param({"l": "nowhere"}, "`l` is a link to `nowhere`, which is not there", id="lost"),
        pytest.param({"l": "l"}, "`l` is a link that leads in a circle", id="to itself"),
        pytest.param({"l": "m", "m": "l"}, "`l` is a link that leads in a circle", id="round"),
        pytest.param({"deep/l": "."}, "`deep/l` is a link that leads in a circle, to a", id="dot"),
        pytest.param({"deep/l": ".."}, "`deep/l` is a link that leads in a circle", id="up"),
        pytest.param(
            {"deep/l": "../other", "other/m": "../deep"},
            "`deep/l/m` is a link that leads in a circle, to a folder around it",
            id="two folders",
        ),
    ],
)
def test_links_that_are_not_followed(
    links: dict[str, str], reason: str, make_folder: Callable[..., Path], tmp_path: Path
):
    folder = make_folder({"deep/a": "x", "other/b": "y"})
    (tmp_path / "model2").mkdir()
    (tmp_path / "model2/x").touch()
    for link, target in links.items():
        (folder / link).symlink_to(target)

    with pytest.raises(BuildError) as caught:
        read_content(folder)

    assert caught.value.message.startswith(f"cannot package `{folder}`: {reason}")
    assert caught.value.hint


def test_links_among_the_leftovers_do_no_harm(make_folder: Callable[..., Path]):
    folder = make_folder({".git/HEAD": "x"})
    (folder / ".git/link").symlink_to("/etc")

    assert [str(left.path) for left in read_content(folder).left_out] == [".git"]


def test_pipes_are_refused(make_folder: Callable[..., Path]):
    folder = make_folder({})
    os.mkfifo(folder / "pipe")

    with pytest.raises(BuildError, match="`pipe` is neither a file nor a folder"):
        read_content(folder)
