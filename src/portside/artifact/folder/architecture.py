"""What kind of model `config.json` names: its task, and whether Portside can export it.

    DistilBertForTokenClassification
    └─family─┘└────────head────────┘

The head tells the task. The family has to be one whose graph was compared with the
original.
"""

from __future__ import annotations

from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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

MODEL_TYPE_BY_FAMILY: Final = {
    "Albert": "albert",
    "Bert": "bert",
    "Camembert": "camembert",
    "Deberta": "deberta",
    "DebertaV2": "deberta-v2",
    "DistilBert": "distilbert",
    "Electra": "electra",
    "MPNet": "mpnet",
    "ModernBert": "modernbert",
    "Roberta": "roberta",
    "XLMRoberta": "xlm-roberta",
}
"""The encoders that are exported, each compared with torch in `test_artifact_families.py`.

MiniLM is a small BERT, DeBERTa-v3 a DeBERTa-v2 that was trained in another way: both come under
the other's name.
"""

MULTI_LABEL: Final = "multi_label_classification"
"""The `problem_type` of a text classifier whose labels do not exclude each other."""

_GENERATIVE_HEADS: Final = (
    "ForCausalLM",
    "LMHeadModel",
    "ForConditionalGeneration",
    "ForSeq2SeqLM",
    "ForSpeechSeq2Seq",
)

_ATTENTIONS: Final = (None, "eager", "sdpa")

WRITE_CODE: Final = (
    "write an `inference.py` with `load_model` and `predict`: `portside init` begins one"
)


def read_architecture(config: Mapping[str, Any]) -> str | None:
    """The first that `config.json` names: transformers writes one."""
    match config.get("architectures"):
        case [str(first), *_]:
            return first
        case _:
            return None


def read_task(config: Mapping[str, Any], folder: Path) -> Task:
    """The task by the architecture's head; raises `BuildError` where no code of ours answers it."""
    architecture = read_architecture(config)
    for head, task in TASK_BY_HEAD.items():
        if architecture is not None and architecture.endswith(head) and not _generates(config):
            return task
    if _generates(config):
        raise BuildError(
            f"cannot package `{folder}`: the model is a `{architecture}`, which generates text, "
            "and Portside exports encoders only",
            hint=WRITE_CODE,
        )
    named = f"is a `{architecture}`" if architecture else "does not name its architecture"
    known = ", ".join(f"`…{head}` ({task})" for head, task in TASK_BY_HEAD.items())
    raise BuildError(
        f"cannot package `{folder}`: the model {named}{_near(architecture)}, and the tasks that "
        f"need no code are those of {known}",
        hint=WRITE_CODE,
    )


def check_family(config: Mapping[str, Any], folder: Path) -> None:
    """Whether transformers will make the model that Portside knows how to export.

    Raises `BuildError` for another family, and where `model_type` names another one than
    the architecture.
    """
    architecture = read_architecture(config)
    model_type = config.get("model_type")
    family = _family(architecture)
    # A sentence model may have a head that is no task's; its type tells the family then.
    expected = model_type if family is None else MODEL_TYPE_BY_FAMILY.get(family)
    if expected not in MODEL_TYPE_BY_FAMILY.values():
        raise BuildError(
            f"cannot export `{folder}`: the model is a `{architecture or model_type}`"
            f"{_near(architecture)}, and the families that Portside exports are "
            + ", ".join(f"`{known}`" for known in MODEL_TYPE_BY_FAMILY),
            hint="export it to ONNX yourself and put the `model.onnx` into the folder, "
            "or write an `inference.py` with `load_model` and `predict`",
        )
    if model_type is None:
        raise BuildError(
            f"cannot export `{folder}`: its `config.json` has no `model_type`",
            hint=f'add `"model_type": "{expected}"` to it',
        )
    if model_type != expected:
        raise BuildError(
            f"cannot export `{folder}`: its `config.json` names the architecture "
            f"`{architecture}` and the `model_type` `{model_type}`, which is another family",
            hint=f'set `"model_type"` to `"{expected}"`, or mend `"architectures"`',
        )


def check_settings(config: Mapping[str, Any], folder: Path) -> None:
    """Raise `BuildError` at settings by which transformers would load code from elsewhere."""
    attention = config.get("_attn_implementation", config.get("attn_implementation"))
    if "quantization_config" in config:
        key, why = "quantization_config", "the weights are quantized already"
    elif attention not in _ATTENTIONS:
        key, why = "attn_implementation", "it names code that is not transformers' own"
    else:
        return
    raise BuildError(
        f"cannot export `{folder}`: its `config.json` has `{key}`: {why}",
        hint=f"remove `{key}`, and save the weights in 32 or 16 bits",
    )


def _family(architecture: str | None) -> str | None:
    """What stands before a head that is known; None for any other."""
    for head in TASK_BY_HEAD:
        if architecture is not None and architecture.endswith(head):
            return architecture.removesuffix(head)
    return None


def _generates(config: Mapping[str, Any]) -> bool:
    architecture = read_architecture(config)
    return architecture is not None and architecture.endswith(_GENERATIVE_HEADS)


def _near(architecture: str | None) -> str:
    """A known name that differs by a slip of the pen, in the family or in the whole of it."""
    family = _family(architecture)
    if architecture is None or family in MODEL_TYPE_BY_FAMILY:
        return ""
    if family is None:
        known = {each + head: each + head for each in MODEL_TYPE_BY_FAMILY for head in TASK_BY_HEAD}
        near = get_close_matches(architecture, known, n=1, cutoff=0.95)
    else:
        head = architecture.removeprefix(family)
        known = {each.lower(): each + head for each in MODEL_TYPE_BY_FAMILY}
        near = get_close_matches(family.lower(), known, n=1, cutoff=0.85)
    return f" (is `{known[near[0]]}` meant?)" if near else ""
