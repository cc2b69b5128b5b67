"""What is in a model folder: a Hugging Face checkpoint in ONNX, read and checked.

    model folder
    ├── config.json             architecture (so the task), labels, longest input
    ├── tokenizer.json          the whole tokenizer
    ├── tokenizer_config.json   optional: longest input, name of the unknown token
    └── *.onnx or onnx/*.onnx   exactly one graph

Whatever else lies there (vocabularies, training arguments) is left alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from portside.errors import PortsideError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Task(StrEnum):
    """What a checkpoint is for, under the name that Hugging Face gives it."""

    TOKEN_CLASSIFICATION = "token-classification"  # noqa: S105 - the name of a task


_TASK_BY_HEAD: Final = {"ForTokenClassification": Task.TOKEN_CLASSIFICATION}
"""The end of the architecture's name, as in `BertForTokenClassification`, tells the task."""

_DEFAULT_MAX_TOKENS: Final = 512
"""Where a checkpoint names no limit: the length that BERT and its offspring are trained on."""

_POSITIONS_AFTER_PADDING: Final = {"camembert", "roberta", "xlm-roberta"}
"""Model types that number positions from `pad_token_id + 1`, and so hold that many tokens less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that can be served: its files, and what its configuration says."""

    task: Task
    onnx_path: Path
    tokenizer_path: Path
    labels: tuple[str, ...]
    max_tokens: int
    """The longest input, special tokens included."""
    pad_token_id: int
    unknown_token: str | None


def read_checkpoint(model_dir: Path) -> Checkpoint:
    """Find and check what `model_dir` holds; weights and tokenizer are not opened."""
    if not model_dir.is_dir():
        raise PortsideError(
            f"cannot read the model folder `{model_dir}`: no such folder",
            hint="set `SM_MODEL_DIR` or `--model-dir` to the unpacked model artifact",
        )
    config = _read_json(model_dir / "config.json")
    tokenizer_config_path = model_dir / "tokenizer_config.json"
    tokenizer_config = _read_json(tokenizer_config_path) if tokenizer_config_path.exists() else {}
    return Checkpoint(
        task=_task(config, model_dir),
        onnx_path=_find_onnx(model_dir),
        tokenizer_path=_require(model_dir / "tokenizer.json"),
        labels=_labels(config, model_dir),
        max_tokens=_max_tokens(config, tokenizer_config),
        pad_token_id=_pad_token_id(config),
        unknown_token=_unknown_token(tokenizer_config),
    )


def _require(path: Path) -> Path:
    if not path.is_file():
        raise PortsideError(
            f"cannot serve `{path.parent}`: it has no `{path.name}`",
            hint="add the file, or an `inference.py` with `load_model` and `predict`",
        )
    return path


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_require(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PortsideError(f"cannot read `{path}`: {error}") from error
    if not isinstance(value, dict):
        raise PortsideError(f"cannot read `{path}`: it is not a JSON object")
    return value


def _task(config: Mapping[str, Any], model_dir: Path) -> Task:
    architectures = config.get("architectures") or []
    for architecture in architectures:
        for head, task in _TASK_BY_HEAD.items():
            if str(architecture).endswith(head):
                return task
    named = ", ".join(f"`{architecture}`" for architecture in architectures) or "no architecture"
    served = ", ".join(f"`…{head}`" for head in _TASK_BY_HEAD)
    raise PortsideError(
        f"cannot serve `{model_dir}`: its `config.json` names {named}, "
        f"and what can be served is {served}",
        hint="add an `inference.py` with `load_model` and `predict`",
    )


def _find_onnx(model_dir: Path) -> Path:
    # Names with a leading dot are what a Mac leaves in archives (`._model.onnx`).
    found = sorted(
        path
        for pattern in ("*.onnx", "onnx/*.onnx")
        for path in model_dir.glob(pattern)
        if not path.name.startswith(".")
    )
    match found:
        case [path]:
            return path
        case []:
            raise PortsideError(
                f"cannot serve `{model_dir}`: no `*.onnx` there, nor in its `onnx` folder",
                hint="add the exported model, or an `inference.py` with `load_model` and `predict`",
            )
        case _:
            names = ", ".join(f"`{path.relative_to(model_dir)}`" for path in found)
            raise PortsideError(
                f"cannot serve `{model_dir}`: {len(found)} ONNX models, {names}",
                hint="keep the one to serve",
            )


def _labels(config: Mapping[str, Any], model_dir: Path) -> tuple[str, ...]:
    labels = config.get("id2label")
    names = [str(index) for index in range(len(labels))] if isinstance(labels, dict) else []
    if not isinstance(labels, dict) or not names or set(names) != set(labels):
        raise PortsideError(
            f"cannot serve `{model_dir}`: `id2label` in its `config.json` "
            "does not name the labels 0, 1, 2 …"
        )
    return tuple(str(labels[name]) for name in names)


def _max_tokens(config: Mapping[str, Any], tokenizer_config: Mapping[str, Any]) -> int:
    limits = []
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        if config.get("model_type") in _POSITIONS_AFTER_PADDING:
            positions -= _pad_token_id(config) + 1
        limits.append(positions)
    length = tokenizer_config.get("model_max_length")
    # A tokenizer without a limit says 10**30.
    if isinstance(length, int | float) and length > 0:
        limits.append(int(length))
    return min(limits, default=_DEFAULT_MAX_TOKENS)


def _pad_token_id(config: Mapping[str, Any]) -> int:
    value = config.get("pad_token_id")
    return value if isinstance(value, int) else 0


def _unknown_token(tokenizer_config: Mapping[str, Any]) -> str | None:
    token = tokenizer_config.get("unk_token")
    # Older checkpoints spell a token out: {"content": "[UNK]", "lstrip": false, …}.
    token = token.get("content") if isinstance(token, dict) else token
    return token if isinstance(token, str) else None
