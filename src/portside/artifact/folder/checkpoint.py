"""What is in this folder? Read and checked, so that a model which cannot be served stops here.

    folder ──content──▶ files ──weights──▶ models ──choice──▶ the one that is served
                                                                  │ safetensors_file
    config.json ──architecture──▶ task ──label_map──▶ labels ◀────┤ do they agree?
    tokenizer.json ───────────────────────────────tokenizer ◀─────┘

Two cases. Where the user's own code answers, only that code knows what it reads,
so every file is kept and nothing is asked of the folder but whole and safe weights.
Without such code there has to be one model: TorchScript, which says nothing of
itself, or one with a task that Portside knows, its labels and its tokenizer. An
ONNX model is preferred, and other weights are exported to ONNX (see `export`).

Nothing heavy is started for any of it: of weights, only headers are read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from portside import contract
from portside.artifact.folder.architecture import (
    MULTI_LABEL,
    Task,
    check_family,
    check_settings,
    read_architecture,
    read_task,
)
from portside.artifact.folder.choice import (
    NO_MODEL_HINT,
    named_model,
    not_served,
    only_model,
    refuse_adapter,
)
from portside.artifact.folder.content import Content, File, LeftOut, read_content
from portside.artifact.folder.json_file import read_object
from portside.artifact.folder.label_map import check_classifier, check_graph, read_labels
from portside.artifact.folder.pickle_check import refuse_pickles, refuse_unreadable
from portside.artifact.folder.safetensors_file import read_shards
from portside.artifact.folder.summary import summarize, summarize_for_code
from portside.artifact.folder.tokenizer import check_tokenizer
from portside.artifact.folder.weights import Kind, Model, Weights, read_weights
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from portside.artifact.folder.safetensors_file import Tensor

CONFIG: Final = "config.json"
MODULES: Final = "modules.json"
"""Of a sentence-transformers model, which is for feature extraction whatever its architecture."""

LABELED_TASKS: Final = {Task.TOKEN_CLASSIFICATION, Task.TEXT_CLASSIFICATION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A folder that can become an artifact: what it is, what to take, what to leave.

    Where the user's code answers, `model`, `architecture` and `task` are None and
    `labels` is empty, unless a single model file was asked for: then `model` is that.
    `labels` is empty too for a task that has none. TorchScript has no task.
    """

    folder: Path
    kind: Kind
    model: Model | None
    architecture: str | None = None
    task: Task | None = None
    labels: tuple[str, ...] = ()
    exclusive_labels: bool = True
    """Whether a text has one of the labels, not some of them."""
    files: tuple[File, ...]
    left_out: tuple[LeftOut, ...]
    summary: str
    """What was found, in a line for people."""

    @property
    def needs_export(self) -> bool:
        """Whether there is a task to answer and no graph yet; code reads weights as they are."""
        return self.task is not None and self.kind in {Kind.SAFETENSORS, Kind.PICKLE}


def read_checkpoint(path: Path, *, has_handler: bool, allow_pickle: bool = False) -> Checkpoint:
    """Read the checkpoint in the folder `path`, or around the model file `path`.

    `has_handler` says that the user's own code comes along; code that lies in
    the folder counts too. `allow_pickle` says that the user trusts its pickled
    weights. Raises `BuildError`.
    """
    if not path.exists():
        raise BuildError(
            f"cannot package `{path}`: there is no such folder or file", hint=NO_MODEL_HINT
        )
    content = read_content(_folder(path))
    weights = _read_weights(content)
    tensors = {model: _read_tensors(model) for model in weights.safetensors}
    has_handler = has_handler or _has_code(content)
    if not allow_pickle:
        named = _named_architecture(content.folder)
        refuse_pickles(path, weights, has_handler=has_handler, architecture=named)
    model: Model | None = None
    if path.is_file():
        model = named_model(path, weights)
    elif not has_handler:
        model = only_model(content, weights)
    left_out = not_served(weights, model, allow_pickle=allow_pickle)
    unwanted = {left.path for left in left_out}
    files = tuple(file for file in content.files if file.path not in unwanted)
    found = Checkpoint(
        folder=content.folder,
        kind=next((each.kind for each in (model, *weights.models) if each), Kind.CODE),
        model=model,
        files=files,
        left_out=(*content.left_out, *left_out),
        summary=summarize_for_code(
            [each.kind for each in weights.models if each.main in files], files
        ),
    )
    if model is None or has_handler:
        return found
    return _described(found, model, content=content, tensors=tensors.get(model, {}))


def _folder(path: Path) -> Path:
    """The checkpoint's folder; a graph may lie one deeper, in `onnx/`."""
    if path.is_dir():
        return path
    parent = path.parent
    deeper = parent.name == "onnx" and not (parent / CONFIG).is_file()
    return parent.parent if deeper else parent


def _has_code(content: Content) -> bool:
    program = contract.DEFAULT_PROGRAM
    names = {program, f"{contract.CODE_DIR_NAME}/{program}"}
    return any(str(file.path) in names for file in content.files)


def _read_weights(content: Content) -> Weights:
    try:
        return read_weights(content.files)
    except OSError as error:
        raise BuildError(
            f"cannot read `{error.filename}`: {error.strerror}",
            hint="check that every file there can be read",
        ) from error


def _read_tensors(model: Model) -> dict[str, Tensor]:
    indexes = [file.source for file in model.files if file not in model.weights]
    return read_shards([file.source for file in model.weights], next(iter(indexes), None))


def _named_architecture(folder: Path) -> str | None:
    """For a hint that is the better for it; what is wrong with the file is said elsewhere."""
    try:
        return read_architecture(read_object(folder / CONFIG))
    except BuildError:
        return None


# --- What its configuration says ------------------------------------------------


def _described(
    found: Checkpoint, model: Model, *, content: Content, tensors: Mapping[str, Tensor]
) -> Checkpoint:
    """The checkpoint with its task and labels, which agree with its weights and its tokenizer."""
    if model.kind is Kind.TORCH_SCRIPT:
        return replace(found, summary=summarize(model))
    refuse_unreadable(model)
    refuse_adapter(model)
    folder = content.folder
    config = _read_config(folder)
    architecture = read_architecture(config)
    is_sentence_model = any(str(file.path) == MODULES for file in content.files)
    task = Task.FEATURE_EXTRACTION if is_sentence_model else read_task(config, folder)
    labels = read_labels(config, folder) if task in LABELED_TASKS else ()
    needs_export = model.kind is not Kind.ONNX
    if needs_export:
        check_family(config, folder)
        check_settings(config, folder)
    if tensors and task is not Task.FEATURE_EXTRACTION:
        check_classifier(labels, tensors, folder=folder, architecture=str(architecture))
    elif labels and model.kind is Kind.ONNX:
        check_graph(labels, model.main.source, folder=folder)
    check_tokenizer(content, config, can_make=needs_export)
    return replace(
        found,
        architecture=architecture,
        task=task,
        labels=labels,
        exclusive_labels=config.get("problem_type") != MULTI_LABEL,
        summary=summarize(model, architecture=architecture, labels=labels, tensors=tensors),
    )


def _read_config(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        raise BuildError(
            f"cannot package `{folder}`: it has no `{CONFIG}`, which names the task and the labels",
            hint=f"add the `{CONFIG}` of the model's training, "
            "or an `inference.py` with `load_model` and `predict`",
        )
    return read_object(folder / CONFIG)
