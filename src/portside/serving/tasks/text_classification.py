"""Text classification: texts, or pairs of them, to labels.

    text ──tokenizer──▶ input ──graph──▶ logits ──softmax or sigmoid──▶ scores ──▶ labels

Answers are those of transformers' pipeline. It fails at a text longer than the
model can read, unless told to cut it short; here that is what happens anyway,
and `"truncation": false` asks for an error instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, assert_never

from portside.serving.tasks.fitting import fit
from portside.serving.tasks.request import Parameters, read_request
from portside.serving.tasks.score import sigmoid, softmax
from portside.serving.tasks.task import Work, answer_each

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from portside.serving.checkpoint import Checkpoint
    from portside.serving.tasks.field import Field
    from portside.serving.tasks.task import Output
    from portside.serving.tasks.tokenizer import TextTokenizer

_EXPECTED: Final = (
    '`{"strings": ["I like it"]}`, `{"inputs": "I like it", "parameters": {}}` or '
    '`{"inputs": {"text": "I like it", "text_pair": "I do not"}}`'
)


class Function(StrEnum):
    """What makes scores of logits; names as in the pipeline's `function_to_apply`."""

    SOFTMAX = "softmax"
    """The labels exclude each other."""
    SIGMOID = "sigmoid"
    """Each label holds or does not."""
    NONE = "none"
    """The logits are the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """A label of the checkpoint and how sure the model is of it."""

    label: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    function: Function
    top_k: int | None
    """How many labels, in a list; None for the best one alone."""
    truncation: bool


class TextClassification:
    """Bodies to labels."""

    example: Final = {"strings": ["Ada Lovelace lived in London."]}

    def __init__(self, checkpoint: Checkpoint, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self._labels = checkpoint.labels
        self._max_tokens = checkpoint.max_tokens
        self._function = _default_function(checkpoint)

    def open(self, body: Field) -> Work:
        """The best label of each text, or a list of the `top_k` best."""
        names = ("function_to_apply", "top_k", "truncation")
        request = read_request(body, expected=_EXPECTED, parameters=names)
        options = self._read_options(request.parameters)
        is_bare_text = request.is_single and isinstance(request.items[0].value, str)
        if is_bare_text and options.top_k is None:
            # The pipeline puts it into a list, and only in this case.
            options = replace(options, top_k=1)
        return answer_each(request, lambda item: self._classify(item, options))

    def _read_options(self, parameters: Parameters) -> _Options:
        top_k = None
        if "top_k" in parameters:
            # As in the pipeline `null` is none of the usual, but asks for all.
            top_k = parameters.whole_number("top_k", default=len(self._labels), least=1)
        return _Options(
            function=parameters.choice("function_to_apply", default=self._function),
            top_k=top_k,
            truncation=parameters.flag("truncation", default=True),
        )

    def _classify(self, item: Field, options: _Options) -> Work:
        text, pair = _read_item(item)
        encoding = fit(
            self._tokenizer,
            text,
            pair,
            max_tokens=self._max_tokens,
            truncation=options.truncation,
        )

        def answer(outputs: Sequence[Output]) -> LabelScore | list[LabelScore]:
            [[logits]] = outputs
            labels = self._ranked(_scores(logits, options.function))
            return labels[0] if options.top_k is None else labels[: options.top_k]

        return Work(inputs=[encoding], answer=answer)

    def _ranked(self, scores: npt.NDArray[np.float32]) -> list[LabelScore]:
        labels = [
            LabelScore(label=label, score=score)
            for label, score in zip(self._labels, scores.tolist(), strict=True)
        ]
        return sorted(labels, key=lambda label: label.score, reverse=True)


def _default_function(checkpoint: Checkpoint) -> Function:
    """By what the model was trained on, and where that is not said by its number of labels."""
    match checkpoint.problem_type:
        case "regression":
            return Function.NONE
        case "multi_label_classification":
            return Function.SIGMOID
        case _:
            return Function.SIGMOID if len(checkpoint.labels) == 1 else Function.SOFTMAX


def _read_item(item: Field) -> tuple[Field, Field | None]:
    """A text, and the other one of a pair."""
    if not isinstance(item.value, dict):
        return item, None
    members = item.members("text", optional=("text_pair",))
    pair = members.get("text_pair")
    return members["text"], pair if pair is not None and pair.value is not None else None


def _scores(logits: npt.NDArray[np.float32], function: Function) -> npt.NDArray[np.float32]:
    match function:
        case Function.SOFTMAX:
            return softmax(logits)
        case Function.SIGMOID:
            return sigmoid(logits)
        case Function.NONE:
            return logits
        case _:
            assert_never(function)
