"""Token classification: texts to entities.

    texts ──tokenizer──▶ windows ──backend──▶ logits ──softmax──▶ scores ──aggregation──▶ entities

A text longer than the model can read is cut into consecutive windows. Each is
read alone, and their tokens are put together again before they become entities.
So nothing is left out (the pipeline of transformers drops what is too long) and
an entity across a cut stays whole; only the model's sight ends at a cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from portside.errors import PortsideError
from portside.serving.error import InvalidBodyError
from portside.serving.tasks.aggregation import Entity, TokenEntity, aggregate
from portside.serving.tasks.request import text_request
from portside.serving.tasks.strategy import AggregationStrategy
from portside.serving.tasks.tokenizer import TextTokenizer

if TYPE_CHECKING:
    import numpy.typing as npt
    from tokenizers import Encoding

    from portside.serving.checkpoint import Checkpoint

_BATCH_SIZE: Final = 8
"""Windows in one call of the backend, which also bounds its memory. Sorted batches of eight gave
6 to 25 % more texts a second than single ones (DistilBERT on two cores, int8 and fp32)."""

_WARM_UP_TEXT: Final = "Ada Lovelace lived in London."

_KNOWN_INPUTS: Final = {"input_ids", "attention_mask", "token_type_ids"}


class Backend(Protocol):
    """Runs the weights."""

    @property
    def input_names(self) -> Sequence[str]:
        """What the graph has to be fed."""
        ...

    def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> npt.NDArray[np.float32]:
        """Logits of shape (windows, tokens, labels) for inputs of shape (windows, tokens)."""
        ...


class TokenClassification:
    """A checkpoint around a backend, warmed and ready to answer bodies."""

    def __init__(
        self, checkpoint: Checkpoint, backend: Backend, *, strategy: AggregationStrategy
    ) -> None:
        self._tokenizer = TextTokenizer(checkpoint)
        self._backend = backend
        self._strategy = strategy
        self._labels = checkpoint.labels
        self._pad_token_id = checkpoint.pad_token_id
        self._warm_up(checkpoint)

    def predict(self, body: object) -> object:
        """The answer to a decoded body: a list of entities a text; of a bare text just its list."""
        request = text_request(body)
        strategy = self._requested_strategy(request.parameters)
        answers = self.classify(request.texts, strategy=strategy)
        return answers[0] if request.is_single else answers

    def classify(
        self, texts: Sequence[str], *, strategy: AggregationStrategy
    ) -> list[list[TokenEntity] | list[Entity]]:
        """The entities of each text, in the order of the texts."""
        windows_by_text = self._tokenizer.windows(texts)
        scores = iter(self._scores([window for windows in windows_by_text for window in windows]))
        return [
            self._entities(text, windows, list(islice(scores, len(windows))), strategy=strategy)
            for text, windows in zip(texts, windows_by_text, strict=True)
        ]

    def _entities(
        self,
        text: str,
        windows: Sequence[Encoding],
        scores: Sequence[npt.NDArray[np.float32]],
        *,
        strategy: AggregationStrategy,
    ) -> list[TokenEntity] | list[Entity]:
        """The entities of one text, out of the scores of its windows."""
        if not windows:
            return []
        is_special = np.concatenate([window.special_tokens_mask for window in windows])
        return aggregate(
            self._tokenizer.tokens(text, windows),
            np.concatenate(scores)[is_special == 0],
            labels=self._labels,
            strategy=strategy,
            join=self._tokenizer.join,
        )

    def _scores(self, windows: Sequence[Encoding]) -> list[npt.NDArray[np.float32]]:
        """Probabilities of each window, of shape (tokens, labels), in the order of the windows."""
        scores: dict[int, npt.NDArray[np.float32]] = {}
        by_length = sorted(range(len(windows)), key=lambda index: len(windows[index]))
        for start in range(0, len(by_length), _BATCH_SIZE):
            batch = by_length[start : start + _BATCH_SIZE]
            logits = self._backend.run(self._feed([windows[index] for index in batch]))
            for index, rows in zip(batch, _softmax(logits), strict=True):
                scores[index] = rows[: len(windows[index])]
        return [scores[index] for index in range(len(windows))]

    def _feed(self, batch: Sequence[Encoding]) -> dict[str, npt.NDArray[np.int64]]:
        shape = (len(batch), max(len(window) for window in batch))
        feed = {name: np.zeros(shape, dtype=np.int64) for name in self._backend.input_names}
        if "input_ids" in feed:
            feed["input_ids"].fill(self._pad_token_id)
        for row, window in enumerate(batch):
            columns = {
                "input_ids": window.ids,
                "attention_mask": window.attention_mask,
                "token_type_ids": window.type_ids,
            }
            for name, array in feed.items():
                array[row, : len(window)] = columns[name]
        return feed

    def _requested_strategy(self, parameters: Mapping[str, Any]) -> AggregationStrategy:
        if unknown := parameters.keys() - {"aggregation_strategy"}:
            names = ", ".join(f"`{name}`" for name in sorted(unknown))
            raise InvalidBodyError(f"`parameters` takes `aggregation_strategy` only, got {names}")
        strategy = parameters.get("aggregation_strategy", self._strategy)
        if strategy not in list(AggregationStrategy):
            names = ", ".join(f"`{name}`" for name in AggregationStrategy)
            raise InvalidBodyError(
                f"`parameters.aggregation_strategy` is `{strategy}`, not one of {names}"
            )
        return AggregationStrategy(strategy)

    def _warm_up(self, checkpoint: Checkpoint) -> None:
        """Predict once, so that the first caller does not pay for it; see that the parts fit."""
        path = checkpoint.onnx_path
        if unknown := set(self._backend.input_names) - _KNOWN_INPUTS:
            names = ", ".join(f"`{name}`" for name in sorted(unknown))
            raise PortsideError(f"cannot feed `{path}`: it wants {names}, which no tokenizer makes")
        windows = self._tokenizer.windows([_WARM_UP_TEXT])[0]
        width = self._scores(windows)[0].shape[-1]
        if width != len(self._labels):
            raise PortsideError(
                f"`{path}` scores {width} labels, and its `config.json` names {len(self._labels)}",
                hint="put the `config.json` there that the model was exported with",
            )


def _softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    exponentials: npt.NDArray[np.float32] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    sums: npt.NDArray[np.float32] = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / sums
