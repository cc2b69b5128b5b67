"""Token classification: texts to entities.

    text ──tokenizer──▶ windows ──graph──▶ logits ──softmax──▶ scores ──aggregation──▶ entities

A text longer than the model can read is cut into windows that overlap, and each
token is judged in the window where it has the most context: an overlap is parted
in its middle, the left half belongs to the window before, the right half to the
one after.

    window 1   [CLS] ───────────────────┊─────── [SEP]
    window 2                  [CLS] ────┊────────────────────────── [SEP]
                                        cut

Tokens of all windows are put together again before they become entities, so each
counts exactly once: none is lost (transformers' pipeline drops what is too long,
unless told otherwise) and an entity across a cut stays whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from portside.serving.tasks.aggregation import Entity, Token, TokenEntity, aggregate
from portside.serving.tasks.request import TEXT_BODIES, Parameters, read_request
from portside.serving.tasks.score import softmax
from portside.serving.tasks.strategy import AggregationStrategy
from portside.serving.tasks.task import Work, answer_each
from portside.serving.tasks.tokenizer import TextTokenizer, cut, max_stride

if TYPE_CHECKING:
    from tokenizers import Encoding

    from portside.serving.checkpoint import Checkpoint
    from portside.serving.tasks.field import Field
    from portside.serving.tasks.task import Output

_IGNORED_LABELS: Final = ("O",)
"""Outside of any entity; the pipeline's default `ignore_labels`."""

_OVERLAP: Final = 4
"""The part of a window that it shares with the next, as a divisor. A quarter leaves a token of a
512-token window at least 63 tokens of context on either side, for a third more work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    strategy: AggregationStrategy
    ignored_labels: frozenset[str]
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """A piece of a text as the model reads it, and the tokens of it that are judged here."""

    encoding: Encoding
    judged: slice


class TokenClassification:
    """Bodies to entities, by the labels of a checkpoint."""

    example: Final = {"strings": ["Ada Lovelace lived in London."]}

    def __init__(
        self, checkpoint: Checkpoint, tokenizer: TextTokenizer, *, strategy: AggregationStrategy
    ) -> None:
        self._tokenizer = tokenizer
        self._strategy = strategy
        self._labels = checkpoint.labels
        self._room = checkpoint.max_tokens - tokenizer.special_tokens()
        self.most_stride = max_stride(self._room)
        """The largest `stride` that a request may ask for, in tokens."""
        unknown = checkpoint.unknown_token or tokenizer.unknown_token
        self._unknown_id = tokenizer.token_id(unknown) if unknown else None

    def open(self, body: Field) -> Work:
        """A list of entities for each text."""
        names = ("aggregation_strategy", "ignore_labels", "stride")
        request = read_request(body, expected=TEXT_BODIES, parameters=names)
        options = self._read_options(request.parameters)
        return answer_each(request, lambda item: self._classify(item.text(), options))

    def _read_options(self, parameters: Parameters) -> _Options:
        ignored = parameters.get("ignore_labels")
        labels = (label.text() for label in ignored.items()) if ignored else _IGNORED_LABELS
        return _Options(
            strategy=parameters.choice("aggregation_strategy", default=self._strategy),
            ignored_labels=frozenset(labels),
            stride=parameters.whole_number(
                "stride", default=self._room // _OVERLAP, least=0, most=self.most_stride
            ),
        )

    def _classify(self, text: str, options: _Options) -> Work:
        windows = self._windows(text, stride=options.stride)

        def answer(outputs: Sequence[Output]) -> list[TokenEntity] | list[Entity]:
            if not windows:
                return []
            logits = [
                output[0][window.judged] for window, output in zip(windows, outputs, strict=True)
            ]
            return aggregate(
                list(self._tokens(text, windows)),
                softmax(np.concatenate(logits)),
                labels=self._labels,
                strategy=options.strategy,
                ignored_labels=options.ignored_labels,
                join=self._tokenizer.join,
            )

        return Work(inputs=[window.encoding for window in windows], answer=answer)

    def _windows(self, text: str, *, stride: int) -> list[_Window]:
        """The windows of a text; none for one without tokens."""
        pieces = cut(self._tokenizer.tokenize(text), self._room, stride=stride)
        windows = []
        for number, piece in enumerate(pieces):
            if not len(piece):
                continue
            encoding = self._tokenizer.wrap(piece)
            leading = encoding.special_tokens_mask.index(0)
            begin = stride - stride // 2 if number > 0 else 0
            end = len(piece) - (stride // 2 if number < len(pieces) - 1 else 0)
            judged = slice(leading + begin, leading + end)
            windows.append(_Window(encoding=encoding, judged=judged))
        return windows

    def _tokens(self, text: str, windows: Sequence[_Window]) -> Iterator[Token]:
        """The tokens of a text, each from the window where it is judged.

        They are numbered as if the model had read the text in one piece.
        """
        index = windows[0].judged.start
        for window in windows:
            encoding, judged = window.encoding, window.judged
            columns = (encoding.ids[judged], encoding.tokens[judged], encoding.offsets[judged])
            for token_id, token, span in zip(*columns, strict=True):
                yield self._token(text, token, token_id=token_id, span=span, index=index)
                index += 1

    def _token(
        self, text: str, token: str, *, token_id: int, span: tuple[int, int], index: int
    ) -> Token:
        """How a token is written and whether it continues a word, by the rules of the pipeline.

        With a prefix such as `##` a continuing token is longer than its place in the text
        (and so, falsely, is one that normalization made longer). Without one a token
        continues a word if no space stands before it or is part of it.
        """
        start, end = span
        if token_id == self._unknown_id:
            token, is_subword = text[start:end], False
        elif self._tokenizer.continuing_prefix:
            is_subword = len(token) != end - start
        else:
            is_subword = start > 0 and " " not in text[start - 1 : start + 1]
        return Token(token, start, end, index, is_subword)
