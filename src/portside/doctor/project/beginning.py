"""A folder that is no project yet: the next step, by what lies in it all the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from portside import contract
from portside.artifact.handler import CODE
from portside.doctor.project.fact import Refusal, parse
from portside.doctor.project.file import python_files, text
from portside.doctor.project.handler import HANDLES
from portside.doctor.project.tree import Tree

_CHECKPOINT: Final = re.compile(r"checkpoint-(\d+)")
"""How the trainer of transformers calls them, by the steps that it had done."""

_WEIGHTS: Final = frozenset({".safetensors", ".onnx", ".bin", ".pt", ".pth"})


def nothing_to_deploy(root: Path, folder: Path) -> Refusal:
    """That there is neither a model nor a handler in `root`, which the user calls `folder`."""
    what = f"there is neither a model nor an `{contract.DEFAULT_PROGRAM}`"
    mend = "put your checkpoint there as `model/`, or run `portside init`"
    weights = sorted(path.name for path in root.iterdir() if path.suffix in _WEIGHTS)
    if last := last_checkpoint(root, root):
        what, mend = "there is no model, only the checkpoints of its training", last
    elif handler := _handler(root):
        what = f"{what}; `{handler}` defines what one would"
        mend = f'set `[handler]` and `file = "{handler}"` in `portside.toml`'
    elif weights:
        what = f"there is `{weights[0]}`, and no `config.json` that names its task"
        mend = (
            "put the `config.json` and the tokenizer of its training beside it, or an "
            f"`{contract.DEFAULT_PROGRAM}` with `load_model` and `predict`"
        )
    return Refusal(where=str(folder), what=what, mend=mend)


def last_checkpoint(model: Path, root: Path) -> str | None:
    """How to name the last checkpoint of a training, where a folder holds nothing else to serve."""
    if not model.is_dir() or any(path.suffix in _WEIGHTS for path in model.iterdir()):
        return None
    steps = {
        int(found[1]): path
        for path in model.iterdir()
        if path.is_dir() and (found := _CHECKPOINT.fullmatch(path.name))
    }
    if not steps:
        return None
    last = steps[max(steps)]
    key = last.relative_to(root) if last.is_relative_to(root) else last
    return f'set `[model]` and `path = "{key}"`, its last checkpoint, in `portside.toml`'


def _handler(root: Path) -> Path | None:
    """A file that defines what a handler does, and is not called as one."""
    for path in (*python_files(root), *python_files(root / CODE)):
        tree = parse(str(path), text(path)).tree
        if tree and not HANDLES.isdisjoint(Tree(tree).functions):
            return path.relative_to(root)
    return None
