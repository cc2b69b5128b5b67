"""The labels of a classifier: `config.json` and the weights have to agree on them.

A wrong label is worse than none, because nobody sees it: a model that was
fine-tuned on nine labels with the names of seven answers with the wrong names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from portside.artifact.folder.onnx_file import read_output_width
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from portside.artifact.folder.safetensors_file import Tensor

_DEFAULT_LABELS: Final = ("LABEL_0", "LABEL_1")
"""Where `config.json` names none: transformers leaves its default out of the file."""

_CLASSIFIERS: Final = ("classifier.weight", "classifier.out_proj.weight")
"""The last layer of all families that are exported: one row for each label."""

_QUESTION_ANSWERING: Final = "qa_outputs.weight"
"""One row for where an answer starts, one for where it ends."""

_LOGITS: Final = "logits"
"""What a classifier's output is called; `portside.serving` asks the graph for it."""

_SAME_TRAINING: Final = "take `config.json` and the weights from the same training"
_NAME_EACH: Final = "give `id2label` one name for each output of the model, from 0 on"


def read_labels(config: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """`id2label` in order; raises `BuildError` where the label maps disagree."""
    id2label = config.get("id2label")
    if id2label is None:
        return _DEFAULT_LABELS
    labels = _in_order(id2label, folder)
    _check_label2id(labels, config.get("label2id"), folder)
    count = config.get("num_labels")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
        raise _disagree(
            folder,
            f"`num_labels` is `{json.dumps(count, ensure_ascii=False)}`, which is no whole number",
            hint=f'write `"num_labels": {len(labels)}`, or remove it',
        )
    if count is not None and count != len(labels):
        raise _disagree(
            folder,
            f"`num_labels` is {count} and `id2label` names {len(labels)}",
            hint='set `"num_labels"` to the number of outputs of the model, or remove it '
            "and give `id2label` one name for each of them",
        )
    return labels


def _in_order(id2label: object, folder: Path) -> tuple[str, ...]:
    """JSON has made strings of the ids."""
    if not isinstance(id2label, dict) or not id2label:
        raise _disagree(folder, "`id2label` is no object of ids and labels", hint=_NAME_EACH)
    ids = [str(index) for index in range(len(id2label))]
    if missing := [index for index in ids if index not in id2label]:
        others = ", ".join(f"`{key}`" for key in id2label if key not in ids)
        raise _disagree(
            folder,
            f"`id2label` names {len(id2label)} labels, none of them for id {missing[0]}, "
            f"but one for {others}",
            hint=_NAME_EACH,
        )
    names = [id2label[index] for index in ids]
    for index, name in enumerate(names):
        # Numbers are names too, as of ratings; transformers takes them so.
        if isinstance(name, bool) or not isinstance(name, str | int | float) or name == "":
            raise _disagree(
                folder,
                f"`id2label` gives id {index} the name `{json.dumps(name, ensure_ascii=False)}`",
                hint=_NAME_EACH,
            )
    return tuple(map(str, names))


def _check_label2id(labels: Sequence[str], label2id: object, folder: Path) -> None:
    if label2id is None:
        return
    hint = "make `label2id` the reverse of `id2label`, or remove it: `id2label` is what is used"
    if not isinstance(label2id, dict):
        raise _disagree(folder, "`label2id` is no object of labels and ids", hint=hint)
    for label, index in label2id.items():
        if not isinstance(index, int) or not 0 <= index < len(labels):
            says = "has no such id"
        elif labels[index] != label:
            says = f"has `{labels[index]}` there"
        else:
            continue
        raise _disagree(
            folder, f"`label2id` gives `{label}` the id {index}, and `id2label` {says}", hint=hint
        )
    if unnamed := [label for label in labels if label not in label2id]:
        raise _disagree(
            folder, f"`id2label` names `{unnamed[0]}`, which `label2id` does not", hint=hint
        )


def check_classifier(
    labels: Sequence[str], tensors: Mapping[str, Tensor], *, folder: Path, architecture: str
) -> None:
    """Whether the weights have a last layer, and one row in it for each label.

    `labels` is empty for question answering. Raises `BuildError`.
    """
    names = _CLASSIFIERS if labels else (_QUESTION_ANSWERING,)
    found = next((name for name in names if name in tensors), None)
    if found is None:
        raise BuildError(
            f"cannot export `{folder}`: `config.json` names a `{architecture}`, and the weights "
            f"have no `{names[0]}`: they were saved without the head, or before fine-tuning",
            hint="save the fine-tuned model with `save_pretrained`, not the encoder within it",
        )
    rows = tensors[found].shape[0] if tensors[found].shape else 0
    if rows != (len(labels) or 2):
        is_default = labels is _DEFAULT_LABELS
        named = "`id2label` names " + ("none, which means 2" if is_default else str(len(labels)))
        raise _disagree(
            folder,
            f"`{found}` has {rows} rows, and {named if labels else 'question answering takes 2'}",
            hint=_NAME_EACH if is_default else _SAME_TRAINING,
        )


def check_graph(labels: Sequence[str], graph: Path, *, folder: Path) -> None:
    """Whether an ONNX graph scores as many labels as there are names; raises `BuildError`."""
    width = read_output_width(graph, _LOGITS)
    if width is not None and width != len(labels):
        is_default = labels is _DEFAULT_LABELS
        named = "none, which means 2" if is_default else str(len(labels))
        raise _disagree(
            folder,
            f"`{graph.name}` scores {width} labels, and `id2label` names {named}",
            hint=_NAME_EACH if is_default else _SAME_TRAINING,
        )


def _disagree(folder: Path, how: str, *, hint: str) -> BuildError:
    return BuildError(
        f"cannot package `{folder}`: the labels in its `config.json` disagree: {how}", hint=hint
    )
