"""A checkpoint's model on torch: the original, which a graph is made of and compared with.

Import this module only in a process of its own: it loads torch and transformers.

transformers fills what the weights lack with random numbers and says so in a
warning. Here that is an error, because the answers would be random too.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
import transformers
from safetensors.torch import load_file
from transformers import PreTrainedModel

from portside.errors import BuildError

AUTO_CLASS_BY_TASK: Final = {
    "token-classification": transformers.AutoModelForTokenClassification,
    "text-classification": transformers.AutoModelForSequenceClassification,
    "question-answering": transformers.AutoModelForQuestionAnswering,
    "feature-extraction": transformers.AutoModel,
}

_POOLER: Final = "pooler."
"""A layer behind the vectors of the tokens, which are what feature extraction takes."""


def load_model(checkpoint: Path, task: str, weights: Sequence[Path]) -> PreTrainedModel:
    """The model of `task` with its weights in float32, ready to answer.

    `checkpoint` is the folder of its configuration, `weights` are safetensors or
    what `torch.save` wrote, of which nothing is run. Raises `BuildError` where the
    two do not fit.
    """
    config = transformers.AutoConfig.from_pretrained(checkpoint, local_files_only=True)
    # The class alone: on this device weights take neither memory nor time.
    with torch.device("meta"):
        model_class = type(AUTO_CLASS_BY_TASK[task].from_config(config))  # type: ignore[no-untyped-call]  # has no types
    model, info = model_class.from_pretrained(
        None,
        config=config,
        state_dict=read_state(weights),
        dtype=torch.float32,
        ignore_mismatched_sizes=True,  # told below, in one line
        output_loading_info=True,
    )
    missing = {
        name for name in info["missing_keys"] if task != "feature-extraction" or _POOLER not in name
    }
    _check(info, missing, model_class.__name__)
    loaded: PreTrainedModel = model.eval()
    return loaded


def read_state(weights: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The tensors of all files, mapped into memory rather than read."""
    state: dict[str, torch.Tensor] = {}
    for path in weights:
        state |= load_file(path) if path.suffix == ".safetensors" else _read_pickle(path)
    return state


def _read_pickle(path: Path) -> Mapping[str, torch.Tensor]:
    # Torch's files of before 2020 are no archives, and cannot be mapped.
    mapped = zipfile.is_zipfile(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except UnpicklingError as error:
        raise BuildError(
            f"`{path.name}` holds more than tensors, and to load that would run code"
        ) from error
    # Trainers wrap it with what else they keep.
    match state:
        case {"state_dict": dict(inner)}:
            return inner
        case dict():
            return state
    raise BuildError(f"`{path.name}` holds a `{type(state).__name__}`, not tensors by name")


def _check(info: Mapping[str, Any], missing: set[str], name: str) -> None:
    if missing:
        raise BuildError(f"a `{name}` has {_some(missing)}, which the weights do not have")
    if info["mismatched_keys"]:
        key, found, expected = min(info["mismatched_keys"])
        raise BuildError(
            f"`{key}` is of shape {list(found)} in the weights, and the configuration makes it "
            f"{list(expected)}"
        )


def _some(names: set[str]) -> str:
    first, *others = sorted(names)
    return f"`{first}` and {len(others)} more" if others else f"`{first}`"
