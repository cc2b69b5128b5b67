"""Pickled weights are refused, with the reason and the way to convert them.

A pickle is a program: to load one runs whatever is in it, which may be anything in
a file that came from elsewhere. So there is none in an artifact unless the user
says `[model] allow_pickle = true`; and even then, what Portside itself loads it
loads with torch's `weights_only`, which knows tensors and nothing that runs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from portside.artifact.folder.architecture import WRITE_CODE
from portside.artifact.folder.weights import Model, Weights, is_duplicate
from portside.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

_OTHERWISE: Final = (
    "or, if you trust where it comes from, set `[model] allow_pickle = true` in `portside.toml`"
)


def refuse_pickles(
    path: Path, weights: Weights, *, has_handler: bool, architecture: str | None
) -> None:
    """Raise `BuildError` where the model at `path`, or the user's code, would load a pickle.

    Where there is a safe form of the model and no code, nothing will read the pickles.
    """
    safe = (*weights.onnx, *weights.safetensors, *weights.torch_scripts)
    for pickle in weights.pickles:
        is_asked_for = path.resolve() in {file.source.resolve() for file in pickle.files}
        is_read_by_code = has_handler and not is_duplicate(pickle, weights)
        if not safe or is_asked_for or is_read_by_code:
            raise BuildError(
                f"cannot package `{path}`: `{pickle.main.path}` is a pickle, and to load a "
                "pickle runs whatever code is in it",
                hint=f"{_way_to_convert(pickle, architecture)}, {_OTHERWISE}",
            )


def refuse_unreadable(model: Model) -> None:
    """Raise `BuildError` for a pickle that only code could read, where no code comes along."""
    if model.main.path.suffix in _OF_OTHER_LIBRARIES:
        raise BuildError(
            f"cannot package `{model.main.source}`: only code knows what is pickled there, and "
            "how it answers",
            hint=WRITE_CODE,
        )


_OF_OTHER_LIBRARIES: Final = {".joblib", ".pickle", ".pkl"}


def _way_to_convert(pickle: Model, architecture: str | None) -> str:
    """The command that makes safetensors of it, where there is one."""
    file = pickle.main.source
    if file.suffix in _OF_OTHER_LIBRARIES:
        return "convert it where you trust it, a scikit-learn model to ONNX with `skl2onnx`"
    if file.name.startswith("pytorch_model"):
        # By the class's name, because `AutoModel` would drop the head.
        name = architecture or ""
        model = name if re.fullmatch(r"[A-Za-z]\w*", name) else "AutoModel"
        code = (
            f"from transformers import {model}; "
            f'{model}.from_pretrained("{file.parent}").save_pretrained("{file.parent}")'
        )
    else:
        code = (
            "import torch; from safetensors.torch import save_file; "
            f'save_file(torch.load("{file}", map_location="cpu", weights_only=True), '
            f'"{file.with_suffix(".safetensors")}")'
        )
    return f"convert it: `python -c '{code}'`"
