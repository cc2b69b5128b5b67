"""Question answering: the part of a context that answers a question.

    question + context ──tokenizer──▶ windows ──graph──▶ a logit for each token to be the
    first of the answer, one to be the last ──softmax──▶ spans ──▶ answers

A context longer than the model can read is cut into windows that overlap, and
the spans of all windows compete. Parameters, scores and answers are those of the
question answering pipeline of transformers 4 (version 5 has none any more), but
for two things: with `top_k` above 1 there is always a list, and where nothing can
be an answer the empty one is given, not a span that ends before it begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from portside.serving.tasks.request import Parameters, read_request
from portside.serving.tasks.score import softmax
from portside.serving.tasks.task import Work, answer_each
from portside.serving.tasks.tokenizer import cut, max_stride

if TYPE_CHECKING:
    import numpy.typing as npt
    from tokenizers import Encoding

    from portside.serving.checkpoint import Checkpoint
    from portside.serving.tasks.field import Field
    from portside.serving.tasks.task import Output
    from portside.serving.tasks.tokenizer import TextTokenizer

_EXPECTED: Final = (
    '`{"inputs": {"question": "Where did Ada live?", "context": "Ada lived in London"}, '
    '"parameters": {}}`'
)

_PARAMETERS: Final = (
    "align_to_words",
    "doc_stride",
    "handle_impossible_answer",
    "max_answer_len",
    "max_seq_len",
    "top_k",
)

_MAX_TOKENS: Final = 384
_STRIDE: Final = 128
_MAX_ANSWER_TOKENS: Final = 15
"""The pipeline's defaults for `max_seq_len`, `doc_stride` and `max_answer_len`."""

_NEVER: Final = -10000.0
"""The logit of a token that cannot be in an answer, as in the pipeline."""

_CONTEXT: Final = 1
"""The context's number in a pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """An answer, and its place in the context in characters; fields as the pipeline names them."""

    score: float
    start: int
    end: int
    answer: str


_NO_ANSWER: Final = Span(score=0.0, start=0, end=0, answer="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    top_k: int
    max_answer_tokens: int
    max_tokens: int
    stride: Field | None
    """None to take the usual one, or less where the question leaves little room."""
    may_be_impossible: bool
    align_to_words: bool


class QuestionAnswering:
    """Bodies to answers."""

    example: Final = {
        "inputs": {"question": "Where did Ada live?", "context": "Ada Lovelace lived in London."}
    }

    def __init__(self, checkpoint: Checkpoint, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = checkpoint.max_tokens

    def open(self, body: Field) -> Work:
        """The best answer to each question, or a list of the `top_k` best."""
        request = read_request(body, expected=_EXPECTED, parameters=_PARAMETERS)
        options = self._read_options(request.parameters)
        return answer_each(request, lambda item: self._answer(item, options))

    def _read_options(self, parameters: Parameters) -> _Options:
        max_tokens = parameters.whole_number("max_seq_len", default=_MAX_TOKENS, least=1)
        return _Options(
            top_k=parameters.whole_number("top_k", default=1, least=1),
            max_answer_tokens=parameters.whole_number(
                "max_answer_len", default=_MAX_ANSWER_TOKENS, least=1
            ),
            max_tokens=min(max_tokens, self._max_tokens),
            stride=parameters.get("doc_stride"),
            may_be_impossible=parameters.flag("handle_impossible_answer", default=False),
            align_to_words=parameters.flag("align_to_words", default=True),
        )

    def _answer(self, item: Field, options: _Options) -> Work:
        members = item.members("question", "context")
        context = _read_text(members["context"])
        windows = self._windows(members["question"], context, options)

        def answer(outputs: Sequence[Output]) -> Span | list[Span]:
            spans = _best(context, windows, outputs, options)
            return spans[0] if options.top_k == 1 else spans

        return Work(inputs=windows, answer=answer)

    def _windows(self, question: Field, context: str, options: _Options) -> list[Encoding]:
        tokens = self._tokenizer.tokenize(_read_text(question))
        room = options.max_tokens - self._tokenizer.special_tokens(is_pair=True) - len(tokens)
        # It is read again with each window: with a longer one little else would be read.
        longest = options.max_tokens // 2
        if len(tokens) > longest or room < 1:
            raise question.refuse(
                f"a question of at most {longest} tokens, half of what is read at a time",
                got=f"one of {len(tokens)}",
            )
        stride = min(_STRIDE, options.max_tokens // 2, max_stride(room))
        if options.stride:
            stride = options.stride.whole_number(least=0, most=max_stride(room))
        pieces = cut(self._tokenizer.tokenize(context), room, stride=stride)
        return [self._tokenizer.wrap(tokens, piece) for piece in pieces]


def _read_text(field: Field) -> str:
    text = field.text()
    if not text:
        raise field.refuse("a string that is not empty")
    return text


# --- From logits to answers -----------------------------------------------------


def _best(
    context: str, windows: Sequence[Encoding], outputs: Sequence[Output], options: _Options
) -> list[Span]:
    """The best spans of all windows; those of the same words are one, with their scores added."""
    found: dict[str, Span] = {}
    no_answer = 1.0
    for window, (start_logits, end_logits) in zip(windows, outputs, strict=True):
        starts = _probabilities(start_logits, window)
        ends = _probabilities(end_logits, window)
        # By pointing at the first token the model says that there is no answer here.
        pointed = float(starts[0] * ends[0])
        if math.isnan(pointed):
            # A broken model shall not look like one that found nothing: codecs refuse NaN.
            return [replace(_NO_ANSWER, score=math.nan)]
        no_answer = min(no_answer, pointed)
        starts[0] = ends[0] = 0
        for first, last, score in _candidates(starts, ends, options):
            start, end = _place(window, first, last, align_to_words=options.align_to_words)
            words = context[start:end]
            known = found.get(words.lower(), Span(score=0.0, start=start, end=end, answer=words))
            found[words.lower()] = replace(known, score=known.score + score)
    spans = list(found.values())
    if options.may_be_impossible:
        spans.append(replace(_NO_ANSWER, score=no_answer))
    spans = spans or [_NO_ANSWER]
    return sorted(spans, key=lambda span: span.score, reverse=True)[: options.top_k]


def _probabilities(padded: npt.NDArray[np.float32], window: Encoding) -> npt.NDArray[np.float32]:
    """For each token of a window; of those outside of the context only the first can have any."""
    may_be = np.array([sequence == _CONTEXT for sequence in window.sequence_ids])
    may_be[0] |= window.special_tokens_mask[0] == 1
    return softmax(np.where(may_be, padded[: len(window)], np.float32(_NEVER)))


def _candidates(
    starts: npt.NDArray[np.float32], ends: npt.NDArray[np.float32], options: _Options
) -> Iterator[tuple[int, int, float]]:
    """The first and last token and the score of the best spans, the best first."""
    longest = min(options.max_answer_tokens, len(starts))
    scores = np.tril(np.triu(np.outer(starts, ends)), longest - 1).ravel()
    # As many as the pipeline takes: of several spans within a word one answer is left.
    count = 2 * options.top_k + 10 if options.align_to_words else options.top_k
    best = np.arange(len(scores))
    if count < len(scores):
        best = np.argpartition(-scores, count)[:count]
    for index in best[np.argsort(-scores[best])].tolist():
        if scores[index] > 0:
            first, last = divmod(index, len(starts))
            yield first, last, float(scores[index])


def _place(window: Encoding, first: int, last: int, *, align_to_words: bool) -> tuple[int, int]:
    """Where a span of tokens begins and ends in the context, in characters."""
    start, end = window.offsets[first][0], window.offsets[last][1]
    if not align_to_words:
        return start, end
    # A token may stand in the middle of a word. Some tokenizers know no words.
    first_word, last_word = window.token_to_word(first), window.token_to_word(last)
    if first_word is None or last_word is None:
        return start, end
    begins, ends = (
        window.word_to_chars(word, sequence_index=_CONTEXT) for word in (first_word, last_word)
    )
    return (begins[0], ends[1]) if begins and ends else (start, end)
