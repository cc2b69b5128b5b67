"""What is in a model folder: a Hugging Face checkpoint in ONNX, read and checked.

    model folder
    ├── config.json                 architecture (so the task), labels, longest input
    ├── tokenizer.json              the whole tokenizer
    ├── tokenizer_config.json       optional: longest input, name of the unknown token
    ├── *.onnx or onnx/*.onnx       exactly one graph
    ├── modules.json                optional: a sentence-transformers model, so feature extraction
    ├── 1_Pooling/config.json       … how its token vectors become one
    └── sentence_bert_config.json   … its longest input

Whatever else lies there (vocabularies, training arguments) is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from portside.errors import PortsideError
from portside.serving.model_file import find_onnx, read_object, read_optional, require
from portside.serving.sentence_model import Pooling, SentenceModel, read_sentence_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Task(StrEnum):
    """What a checkpoint is for, under the name that Hugging Face gives it."""

    TOKEN_CLASSIFICATION = "token-classification"  # noqa: S105 - the name of a task
    TEXT_CLASSIFICATION = "text-classification"
    ZERO_SHOT_CLASSIFICATION = "zero-shot-classification"
    QUESTION_ANSWERING = "question-answering"
    FEATURE_EXTRACTION = "feature-extraction"


_TASK_BY_HEAD: Final = {
    "ForTokenClassification": Task.TOKEN_CLASSIFICATION,
    "ForSequenceClassification": Task.TEXT_CLASSIFICATION,
    "ForQuestionAnswering": Task.QUESTION_ANSWERING,
    "Model": Task.FEATURE_EXTRACTION,
}
"""The end of the architecture's name, as in `BertForTokenClassification`, tells the task."""

_LABELED_TASKS: Final = {Task.TOKEN_CLASSIFICATION, Task.TEXT_CLASSIFICATION}

_DEFAULT_LABELS: Final = ("LABEL_0", "LABEL_1")
"""Where `config.json` names none: transformers leaves its default out of the file."""

_DEFAULT_MAX_TOKENS: Final = 512
"""Where a checkpoint names no limit: the length that BERT and its offspring are trained on."""

_POSITIONS_AFTER_PADDING: Final = {
    "camembert",
    "data2vec-text",
    "ibert",
    "longformer",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}
"""Model types that number positions from `pad_token_id + 1`, and so hold that many tokens less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A checkpoint that can be served: its files, and what its configuration says."""

    task: Task
    onnx_path: Path
    tokenizer_path: Path
    labels: tuple[str, ...] = ()
    """What a classifier tells apart, in the order of its scores."""
    entailment: int | None = None
    """Which label says that one text follows from another; what has one can take any labels."""
    problem_type: str | None = None
    """What a text classifier was trained on; None where its number of labels tells."""
    pooling: Pooling = Pooling.NONE
    normalize: bool = False
    """Whether pooled vectors are brought to length 1."""
    max_tokens: int
    """The longest input, special tokens included."""
    pad_token_id: int = 0
    unknown_token: str | None = None


def read_checkpoint(model_dir: Path) -> Checkpoint:
    """Find and check what `model_dir` holds; weights and tokenizer are not opened."""
    if not model_dir.is_dir():
        raise PortsideError(
            f"cannot read the model folder `{model_dir}`: no such folder",
            hint="set `SM_MODEL_DIR` or `--model-dir` to the unpacked model artifact",
        )
    config = read_object(model_dir / "config.json")
    tokenizer_config = read_optional(model_dir / "tokenizer_config.json")
    sentence = read_sentence_model(model_dir)
    task = Task.FEATURE_EXTRACTION if sentence else _task(config, model_dir)
    labels = _labels(config, model_dir) if task in _LABELED_TASKS else ()
    entailment = _entailment(labels) if task is Task.TEXT_CLASSIFICATION else None
    if entailment is not None:
        task = Task.ZERO_SHOT_CLASSIFICATION
    sentence = sentence or SentenceModel()
    return Checkpoint(
        task=task,
        onnx_path=find_onnx(model_dir),
        tokenizer_path=require(model_dir / "tokenizer.json"),
        labels=labels,
        entailment=entailment,
        problem_type=config.get("problem_type"),
        pooling=sentence.pooling,
        normalize=sentence.normalize,
        max_tokens=_max_tokens(config, tokenizer_config, sentence),
        pad_token_id=_pad_token_id(config),
        unknown_token=_unknown_token(tokenizer_config),
    )


# --- What its configuration says ------------------------------------------------


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


def _labels(config: Mapping[str, Any], model_dir: Path) -> tuple[str, ...]:
    labels = config.get("id2label")
    if labels is None:
        return _DEFAULT_LABELS
    names = [str(index) for index in range(len(labels))] if isinstance(labels, dict) else []
    if not isinstance(labels, dict) or not names or set(names) != set(labels):
        raise PortsideError(
            f"cannot serve `{model_dir}`: `id2label` in its `config.json` "
            "does not name the labels 0, 1, 2 …"
        )
    return tuple(str(labels[name]) for name in names)


def _entailment(labels: Sequence[str]) -> int | None:
    """As transformers' zero-shot pipeline finds it."""
    matches = (n for n, label in enumerate(labels) if label.lower().startswith("entail"))
    return next(matches, None)


def _max_tokens(
    config: Mapping[str, Any], tokenizer_config: Mapping[str, Any], sentence: SentenceModel
) -> int:
    # A tokenizer without a limit says 10**30.
    lengths = (tokenizer_config.get("model_max_length"), sentence.max_tokens)
    limits = [int(length) for length in lengths if isinstance(length, int | float) and length > 0]
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and positions > 0:
        if config.get("model_type") in _POSITIONS_AFTER_PADDING:
            positions -= _pad_token_id(config) + 1
        limits.append(positions)
    return min(limits, default=_DEFAULT_MAX_TOKENS)


def _pad_token_id(config: Mapping[str, Any]) -> int:
    value = config.get("pad_token_id")
    return value if isinstance(value, int) else 0


def _unknown_token(tokenizer_config: Mapping[str, Any]) -> str | None:
    token = tokenizer_config.get("unk_token")
    # Older checkpoints spell a token out: {"content": "[UNK]", "lstrip": false, …}.
    token = token.get("content") if isinstance(token, dict) else token
    return token if isinstance(token, str) else None
