"""Zero-shot classification: texts to labels that the request brings along.

    text + "This example is LABEL." ──tokenizer──▶ a pair each label ──graph──▶ logits ──▶ ranking

The model was trained to tell whether the second text of a pair follows from the
first, and one of its labels says so: `entailment`. A request without
`candidate_labels` is answered with the model's own labels, as text classification.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from tokenizers import Encoding

from portside.serving.error import InvalidBodyError
from portside.serving.tasks.field import Field
from portside.serving.tasks.request import Parameters, read_request
from portside.serving.tasks.score import softmax
from portside.serving.tasks.task import Work, answer_each
from portside.serving.tasks.tokenizer import cut

if TYPE_CHECKING:
    import numpy.typing as npt

    from portside.serving.checkpoint import Checkpoint
    from portside.serving.tasks.task import Output, Task
    from portside.serving.tasks.tokenizer import TextTokenizer

_EXPECTED: Final = (
    '`{"inputs": "I like the song", "parameters": {"candidate_labels": ["music", "sports"]}}`'
)

_MOST_PAIRS: Final = 2048
"""In a request: their number grows with its square, and so many fill any time limit."""

_TEMPLATE: Final = "This example is {}."
"""The pipeline's default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The candidate labels, the best first; fields as the pipeline names them."""

    sequence: str
    labels: list[str]
    scores: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    labels: Sequence[Field]
    template: str
    """A sentence with `{}` in the place of the label."""
    multi_label: bool


class ZeroShotClassification:
    """Bodies to rankings; `plain` answers those without candidate labels."""

    example: Final = {
        "inputs": "Ada Lovelace lived in London.",
        "parameters": {"candidate_labels": ["places", "sports"]},
    }

    def __init__(self, checkpoint: Checkpoint, tokenizer: TextTokenizer, *, plain: Task) -> None:
        self._tokenizer = tokenizer
        self._plain = plain
        self._max_tokens = checkpoint.max_tokens
        # Without such a label the last one stands in, and the label of contradiction is not
        # looked for by its name: both as in the pipeline.
        self._entailment = -1 if checkpoint.entailment is None else checkpoint.entailment
        self._contradiction = -1 if checkpoint.entailment == 0 else 0

    def open(self, body: Field) -> Work:
        """A ranking of the candidate labels for each text."""
        match body.value:
            case {"parameters": {"candidate_labels": _}}:
                pass
            case _:
                return self._plain.open(body)
        names = ("candidate_labels", "hypothesis_template", "multi_label")
        request = read_request(body, expected=_EXPECTED, parameters=names)
        options = self._read_options(request.parameters)
        pairs = len(request.items) * len(options.labels)
        if pairs > _MOST_PAIRS:
            raise body.refuse(f"at most {_MOST_PAIRS} pairs of a text and a label", got=f"{pairs}")
        return answer_each(request, lambda item: self._rank(item.text(), options))

    def _read_options(self, parameters: Parameters) -> _Options:
        return _Options(
            labels=_read_labels(parameters),
            template=_read_template(parameters),
            multi_label=parameters.flag("multi_label", default=False),
        )

    def _rank(self, text: str, options: _Options) -> Work:
        [premise, *_] = cut(self._tokenizer.tokenize(text), self._max_tokens)
        labels = [label.text() for label in options.labels]
        inputs = [self._pair(premise, label, options.template) for label in options.labels]

        def answer(outputs: Sequence[Output]) -> Ranking:
            logits = np.stack([output[0] for output in outputs])
            scores = self._scores(logits, multi_label=options.multi_label)
            order = scores.argsort()[::-1]
            return Ranking(
                sequence=text,
                labels=[labels[index] for index in order],
                scores=scores[order].tolist(),
            )

        return Work(inputs=inputs, answer=answer)

    def _pair(self, premise: Encoding, label: Field, template: str) -> Encoding:
        """Text and hypothesis as an input; where the two are too long, the text is cut short."""
        # Not `str.format`: what else may stand in braces reads attributes or fills the memory.
        second = self._tokenizer.tokenize(template.replace("{}", label.text(), 1))
        room = self._max_tokens - self._tokenizer.special_tokens(is_pair=True) - len(second)
        if room < 1:
            raise label.refuse(
                "a label that leaves room for the text", got=f"one of {len(second)} tokens"
            )
        if len(premise) > room:
            # A copy is cut: other labels may leave more room.
            [premise, *_] = cut(Encoding.merge([premise], growing_offsets=False), room)
        return self._tokenizer.wrap(premise, second)

    def _scores(
        self, logits: npt.NDArray[np.float32], *, multi_label: bool
    ) -> npt.NDArray[np.float32]:
        """A score for each label, out of a row of logits for each."""
        if multi_label or len(logits) == 1:
            return softmax(logits[:, [self._contradiction, self._entailment]])[:, 1]
        return softmax(logits[:, self._entailment])


def _read_labels(parameters: Parameters) -> list[Field]:
    """The candidate labels; a string has them between commas."""
    given = parameters.get("candidate_labels")
    labels: list[Field] = []
    if given is not None and isinstance(given.value, str):
        names = (name.strip() for name in given.value.split(","))
        labels = [Field(value=name, path=given.path) for name in names if name]
    elif given is not None:
        labels = given.items()
    if given is None or not labels:
        raise InvalidBodyError(
            f"expected at least one label in `candidate_labels`, as in {_EXPECTED}"
        )
    return labels


def _read_template(parameters: Parameters) -> str:
    given = parameters.get("hypothesis_template")
    if given is None:
        return _TEMPLATE
    if "{}" not in given.text():
        raise given.refuse("a sentence with `{}` in the place of the label")
    return given.text()
