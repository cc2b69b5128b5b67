"""What is in this folder? Read and checked, so that a model which cannot be served stops here.

Two cases. Where the user's own code answers, only that code knows what it reads,
so every file is kept and nothing is asked of the folder but safe weights. Where
the checkpoint's own task is served, there has to be one model, a task that
Portside knows, its labels and its tokenizer; an ONNX model is preferred, and
safetensors are exported to ONNX (see `export`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from portside import contract
from portside.artifact.content import EARLIER_CHECKPOINT, Content, File, LeftOut, read_content
from portside.artifact.weights import ONNX, Model, Weights, read_weights
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath


class Kind(StrEnum):
    """What a checkpoint's model is."""

    ONNX = "onnx"
    SAFETENSORS = "safetensors"
    CODE = "code"
    """No weights: the user's code is all there is, or knows where to find them."""


class Task(StrEnum):
    """What a checkpoint is for, under the name that Hugging Face gives it."""

    TOKEN_CLASSIFICATION = "token-classification"  # noqa: S105 - the name of a task
    TEXT_CLASSIFICATION = "text-classification"
    QUESTION_ANSWERING = "question-answering"
    FEATURE_EXTRACTION = "feature-extraction"


TASK_BY_HEAD: Final = {
    "ForTokenClassification": Task.TOKEN_CLASSIFICATION,
    "ForSequenceClassification": Task.TEXT_CLASSIFICATION,
    "ForQuestionAnswering": Task.QUESTION_ANSWERING,
    "Model": Task.FEATURE_EXTRACTION,
}
"""The end of an architecture's name tells the task; `portside.serving` knows the same ones.

There a text classifier that tells entailment does zero-shot classification too; its graph is
the same.
"""

LABELED_TASKS: Final = {Task.TOKEN_CLASSIFICATION, Task.TEXT_CLASSIFICATION}

_DEFAULT_LABELS: Final = ("LABEL_0", "LABEL_1")
"""Where `config.json` names none: transformers leaves its default out of the file."""

CONFIG: Final = "config.json"
MODULES: Final = "modules.json"
"""Of a sentence-transformers model, which is for feature extraction whatever its architecture."""
TOKENIZER: Final = "tokenizer.json"

_OWN_CODE: Final = "or an `inference.py` with `load_model` and `predict`"
_NO_MODEL_HINT: Final = (
    "put `config.json`, `tokenizer.json` and `model.safetensors` or `model.onnx` there, "
    "or set `[model] path` in `portside.toml`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A folder that can become an artifact: what it is, what to take, what to leave.

    Where the user's code answers, `model`, `architecture` and `task` are None and
    `labels` is empty, unless a single model file was asked for: then `model` is that.
    `labels` is empty too for a task that has none.
    """

    folder: Path
    kind: Kind
    model: Model | None
    architecture: str | None
    task: Task | None
    labels: tuple[str, ...]
    files: tuple[File, ...]
    left_out: tuple[LeftOut, ...]


def read_checkpoint(path: Path, *, has_handler: bool) -> Checkpoint:
    """Read the checkpoint in the folder `path`, or around the model file `path`.

    `has_handler` says that the user's own code comes along; code that lies in
    the folder counts too. Raises `BuildError`.
    """
    if not path.exists():
        raise BuildError(
            f"cannot package `{path}`: there is no such folder or file", hint=_NO_MODEL_HINT
        )
    content = read_content(_folder(path))
    weights = read_weights(content.files)
    if weights.pickles and not (weights.onnx or weights.safetensors):
        raise _only_pickles(content.folder, weights)
    has_handler = has_handler or _has_code(content)
    model: Model | None = None
    if path.is_file():
        model = _named(path, weights)
    elif not has_handler:
        model = _only_model(content, weights)
    said = _NOTHING_SAID if has_handler else _read_description(content)
    unwanted = _unwanted(weights, model)
    return Checkpoint(
        folder=content.folder,
        kind=_kind(weights, model),
        model=model,
        architecture=said.architecture,
        task=said.task,
        labels=said.labels,
        files=tuple(file for file in content.files if file.path not in unwanted),
        left_out=(*content.left_out, *unwanted.values()),
    )


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


# --- Which model ----------------------------------------------------------------


def _named(path: Path, weights: Weights) -> Model:
    for model in (*weights.onnx, *weights.safetensors):
        if path in {file.source for file in model.files}:
            return model
    raise BuildError(
        f"cannot package `{path}`: neither an ONNX model nor a safetensors file",
        hint="set `[model] path` to a checkpoint folder, a `*.onnx` or a `*.safetensors` file",
    )


def _only_model(content: Content, weights: Weights) -> Model:
    match weights.onnx or weights.safetensors:
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


def _no_model(content: Content) -> BuildError:
    earlier = [left.path for left in content.left_out if left.reason == EARLIER_CHECKPOINT]
    if not earlier:
        return BuildError(f"cannot package `{content.folder}`: no model there", hint=_NO_MODEL_HINT)
    names = ", ".join(f"`{path}`" for path in earlier)
    return BuildError(
        f"cannot package `{content.folder}`: no model there, only the checkpoints {names}",
        hint="set `[model] path` in `portside.toml` to one of them, "
        f"as in `{_path_key(content.folder, earlier[-1])}`",
    )


def _path_key(folder: Path, path: PurePosixPath) -> str:
    return f'path = "{folder.name}/{path}"'


def _only_pickles(folder: Path, weights: Weights) -> BuildError:
    return BuildError(
        f"cannot package `{folder}`: its weights are pickled (`{weights.pickles[0].path}`), "
        "and to load a pickle is to run whatever code is in it",
        hint="load the model where you trust it and save it as safetensors, in transformers "
        f'with `model.save_pretrained("{folder}")`',
    )


def _kind(weights: Weights, model: Model | None) -> Kind:
    if model is not None:
        return Kind.ONNX if model.main.path.suffix == ONNX else Kind.SAFETENSORS
    if weights.onnx:
        return Kind.ONNX
    return Kind.SAFETENSORS if weights.safetensors else Kind.CODE


def _unwanted(weights: Weights, model: Model | None) -> dict[PurePosixPath, LeftOut]:
    """The weights that are not served; pickled ones never are."""
    reasons = dict.fromkeys(weights.pickles, "pickled weights")
    if model is not None:
        reasons |= dict.fromkeys(weights.other_frameworks, "weights of another framework")
        for other in (*weights.onnx, *weights.safetensors):
            if other != model:
                reasons |= dict.fromkeys(other.files, f"`{model.main.path}` is served instead")
    return {
        file.path: LeftOut(path=file.path, size_bytes=file.size_bytes, reason=reason)
        for file, reason in reasons.items()
    }


# --- What its configuration says ------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    architecture: str | None = None
    task: Task | None = None
    labels: tuple[str, ...] = ()


_NOTHING_SAID: Final = _Description()


def _read_description(content: Content) -> _Description:
    config = _read_config(content)
    is_sentence_model = any(str(file.path) == MODULES for file in content.files)
    task = Task.FEATURE_EXTRACTION if is_sentence_model else _task(config, content.folder)
    _check_tokenizer(content)
    return _Description(
        architecture=_architecture(config),
        task=task,
        labels=_labels(config, content.folder) if task in LABELED_TASKS else (),
    )


def _read_config(content: Content) -> Mapping[str, Any]:
    path = content.folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BuildError(
            f"cannot package `{content.folder}`: it has no `{CONFIG}`, which names the task "
            "and the labels",
            hint=f"add the `{CONFIG}` of the model's training, {_OWN_CODE}",
        ) from error
    except (OSError, ValueError) as error:
        raise BuildError(f"cannot read `{path}`: {error}") from error
    if not isinstance(config, dict):
        raise BuildError(f"cannot read `{path}`: it is not a JSON object")
    return config


def _architecture(config: Mapping[str, Any]) -> str | None:
    match config.get("architectures"):
        case [str(first), *_]:
            return first
        case _:
            return None


def _task(config: Mapping[str, Any], folder: Path) -> Task:
    architecture = _architecture(config)
    for head, task in TASK_BY_HEAD.items():
        if architecture is not None and architecture.endswith(head):
            return task
    named = f"is a `{architecture}`" if architecture else "does not name its architecture"
    known = ", ".join(f"`…{head}` ({task})" for head, task in TASK_BY_HEAD.items())
    raise BuildError(
        f"cannot package `{folder}`: the model {named}, and the tasks that need no code are "
        f"those of {known}",
        hint="write an `inference.py` with `load_model` and `predict`: `portside init` begins one",
    )


def _labels(config: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """`id2label` in order; JSON has made strings of its keys."""
    labels = config.get("id2label")
    if labels is None:
        return _DEFAULT_LABELS
    if isinstance(labels, dict) and labels.keys() == {str(n) for n in range(len(labels))}:
        return tuple(str(labels[str(n)]) for n in range(len(labels)))
    raise BuildError(
        f"cannot package `{folder}`: `id2label` in its `{CONFIG}` does not name "
        "the labels 0, 1, 2 and so on",
        hint="give `id2label` one name for each output of the model",
    )


def _check_tokenizer(content: Content) -> None:
    if any(str(file.path) == TOKENIZER for file in content.files):
        return
    raise BuildError(
        f"cannot package `{content.folder}`: it has no `{TOKENIZER}`",
        hint="save the fast tokenizer beside the model: "
        f'`AutoTokenizer.from_pretrained("{content.folder}").save_pretrained("{content.folder}")` '
        "in transformers",
    )
