"""Which of the models in a checkpoint folder is served, and what is left out beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portside.artifact.folder.content import EARLIER_CHECKPOINT, Content, LeftOut
from portside.artifact.folder.weights import INDEX, Model, Weights, is_duplicate
from portside.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

    from portside.artifact.folder.content import File

NO_MODEL_HINT: Final = (
    "put `config.json`, `tokenizer.json` and `model.safetensors` or `model.onnx` there, "
    "or set `[model] path` in `portside.toml`"
)

_ADAPTER: Final = "adapter_model"
"""How peft calls what it has trained: weights to add to those of another model."""

_FIRST_TORCH_SCRIPT: Final = "model.pt"
"""Wins where there are several; `portside.serving` has the same rule."""


def named_model(path: Path, weights: Weights) -> Model:
    """The model that the file `path` belongs to; raises `BuildError`."""
    for model in weights.models:
        if path.resolve() in {file.source.resolve() for file in model.files}:
            return model
    raise BuildError(
        f"cannot package `{path}`: it is neither an ONNX model nor a safetensors or "
        "TorchScript file",
        hint="set `[model] path` to a checkpoint folder, or to a file of such a kind",
    )


def only_model(content: Content, weights: Weights) -> Model:
    """The one model of a folder; raises `BuildError` where there is none, or a choice to make.

    ONNX before safetensors, which would have to be exported; TorchScript after
    them, because the task of a checkpoint answers texts and TorchScript tensors.
    """
    kinds = (weights.onnx, weights.safetensors, _served_scripts(weights), weights.pickles)
    match next(filter(None, kinds), ()):
        case (model,):
            return model
        case ():
            raise _no_model(content)
        case models:
            names = ", ".join(f"`{model.main.path}`" for model in models)
            raise BuildError(
                f"cannot package `{content.folder}`: it holds {len(models)} models, {names}",
                hint="set `[model] path` in `portside.toml` to the one to serve, "
                f"as in `{_path_key(content.folder, models[0].main.path)}`",
            )


def _served_scripts(weights: Weights) -> tuple[Model, ...]:
    """TorchScript is served from the root of the artifact alone."""
    scripts = [model for model in weights.torch_scripts if len(model.main.path.parts) == 1]
    first = [model for model in scripts if model.main.path.name == _FIRST_TORCH_SCRIPT]
    return tuple(first or scripts)


def _step(checkpoint: PurePosixPath) -> int:
    """The number at the end of `checkpoint-1000`."""
    return int("".join(filter(str.isdigit, checkpoint.name)) or 0)


def _no_model(content: Content) -> BuildError:
    folder = content.folder
    names = {file.path.name for file in content.files}
    earlier = sorted(
        (left.path for left in content.left_out if left.reason == EARLIER_CHECKPOINT), key=_step
    )
    if earlier:
        listed = ", ".join(f"`{path}`" for path in earlier)
        return BuildError(
            f"cannot package `{folder}`: no model there, only the checkpoints {listed}",
            hint="set `[model] path` in `portside.toml` to one of them, "
            f"as in `{_path_key(folder, earlier[-1])}`",
        )
    if index := next((name for name in sorted(names) if name.endswith(INDEX)), None):
        return BuildError(
            f"cannot package `{folder}`: it has `{index}`, and none of the shards that it names",
            hint="copy the shards beside it from where the model was saved",
        )
    if not content.files and not content.left_out:
        return BuildError(f"cannot package `{folder}`: it is empty", hint=NO_MODEL_HINT)
    return BuildError(f"cannot package `{folder}`: no model there", hint=NO_MODEL_HINT)


def refuse_adapter(model: Model) -> None:
    """Raise `BuildError` for an adapter, which needs a model that is elsewhere."""
    if model.main.path.name.startswith(_ADAPTER):
        raise BuildError(
            f"cannot package `{model.main.source}`: it is an adapter, not the model that it was "
            "trained on",
            hint="merge the two and save the whole: "
            f'`model.merge_and_unload().save_pretrained("{model.main.source.parent}-merged")`',
        )


def _path_key(folder: Path, path: PurePosixPath) -> str:
    return f'path = "{folder.name}/{path}"'


def not_served(weights: Weights, model: Model | None, *, allow_pickle: bool) -> tuple[LeftOut, ...]:
    """The weights that nothing in the endpoint will read.

    `model` is None where the user's code reads what it likes.
    """
    reasons: dict[File, str] = {}
    for pickle in weights.pickles:
        if not allow_pickle or is_duplicate(pickle, weights):
            reasons |= dict.fromkeys(pickle.files, "pickled weights")
    if model is not None:
        reasons |= dict.fromkeys(weights.other_frameworks, "weights of another framework")
        for other in weights.models:
            for file in other.files:
                reasons.setdefault(file, f"`{model.main.path}` is served instead")
        reasons = {file: why for file, why in reasons.items() if file not in model.files}
    return tuple(
        LeftOut(path=file.path, size_bytes=file.size_bytes, reason=reason)
        for file, reason in reasons.items()
    )
