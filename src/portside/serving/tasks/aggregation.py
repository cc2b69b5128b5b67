"""From token scores to entities, as transformers' token classification pipeline does it.

    tokens + scores ──▶ words (a token each for `simple`) ──▶ neighbors of one kind ──▶ entities

The rules, and a few of their quirks, are those of `TokenClassificationPipeline`
in transformers 5: callers move between the two and must not see a difference.
`tests/integration/test_serving_parity.py` holds both side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

import numpy as np

from portside.serving.tasks.strategy import AggregationStrategy

if TYPE_CHECKING:
    import numpy.typing as npt

_REMEMBERED_LABELS: Final = 1024
"""Looked at for each token of each text, and always the same few."""

Join = Callable[[list[str]], str]
"""Token texts to the text that they stand for: the tokenizer's decoder."""


class Token(NamedTuple):
    """A token: how it is written, where in the text (characters), and its place in the input."""

    text: str
    start: int
    end: int
    place: int
    is_subword: bool
    """Whether it continues the word of the token before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEntity:
    """The answer for one token, under the strategy `none`; fields as the pipeline names them."""

    entity: str
    score: float
    index: int
    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """The answer for a run of tokens; fields as the pipeline names them."""

    entity_group: str
    score: float
    word: str
    start: int
    end: int


class _Word(NamedTuple):
    """Tokens that share one label: one token, or the tokens of a word."""

    label: str
    score: float
    tokens: Sequence[Token]


def aggregate(
    tokens: Sequence[Token],
    scores: npt.NDArray[np.float32],
    *,
    labels: Sequence[str],
    strategy: AggregationStrategy,
    ignored_labels: Collection[str],
    join: Join,
) -> list[TokenEntity] | list[Entity]:
    """The entities of one text, in its order.

    `scores` holds a row of probabilities for each token, a column for each label. Left out is
    what bears one of `ignored_labels`: as a token under `none`, else as a whole.
    """
    if not tokens:
        return []
    words = _words(tokens, scores, labels=labels, strategy=strategy)
    match strategy:
        case AggregationStrategy.NONE:
            return [_token_entity(word) for word in words if word.label not in ignored_labels]
        case AggregationStrategy.SIMPLE:
            spell: Callable[[_Word], str] = _token_text
        case AggregationStrategy.FIRST | AggregationStrategy.AVERAGE | AggregationStrategy.MAX:
            spell = _word_text(join)
        case _:
            assert_never(strategy)
    groups = ((_kind(group[0].label), group) for group in _groups(words))
    return [
        Entity(
            entity_group=kind,
            score=sum(word.score for word in group) / len(group),
            word=join([spell(word) for word in group]),
            start=group[0].tokens[0].start,
            end=group[-1].tokens[-1].end,
        )
        for kind, group in groups
        if kind not in ignored_labels
    ]


def _words(
    tokens: Sequence[Token],
    scores: npt.NDArray[np.float32],
    *,
    labels: Sequence[str],
    strategy: AggregationStrategy,
) -> list[_Word]:
    """Each word with its best label and that label's score."""
    starts = _starts(tokens, strategy)
    rows = _word_scores(scores, starts, strategy)
    slices = (tokens[start:end] for start, end in pairwise([*starts, len(tokens)]))
    best, best_scores = rows.argmax(axis=1).tolist(), rows.max(axis=1).tolist()
    return [
        _Word(labels[index], score, piece)
        for index, score, piece in zip(best, best_scores, slices, strict=True)
    ]


def _starts(tokens: Sequence[Token], strategy: AggregationStrategy) -> list[int]:
    """Where words begin; for the strategies that know no words, at every token."""
    if strategy in {AggregationStrategy.NONE, AggregationStrategy.SIMPLE}:
        return list(range(len(tokens)))
    return [i for i, token in enumerate(tokens) if i == 0 or not token.is_subword]


def _word_scores(
    scores: npt.NDArray[np.float32], starts: list[int], strategy: AggregationStrategy
) -> npt.NDArray[np.float32]:
    """A row for each word, out of the rows of its tokens."""
    match strategy:
        case AggregationStrategy.NONE | AggregationStrategy.SIMPLE:
            return scores
        case AggregationStrategy.FIRST:
            return scores[starts]
        case AggregationStrategy.AVERAGE:
            lengths = np.diff([*starts, len(scores)]).astype(np.float32)
            sums: npt.NDArray[np.float32] = np.add.reduceat(scores, starts, axis=0)
            return sums / lengths[:, np.newaxis]
        case AggregationStrategy.MAX:
            surest = scores.max(axis=1)
            bounds = pairwise([*starts, len(scores)])
            return scores[[start + int(surest[start:end].argmax()) for start, end in bounds]]
        case _:
            assert_never(strategy)


def _groups(words: list[_Word]) -> list[list[_Word]]:
    """Neighbors of one kind; a `B-` label always begins anew."""
    groups = [[words[0]]]
    for previous, word in pairwise(words):
        if word.label.startswith("B-") or _bare(word.label) != _bare(previous.label):
            groups.append([word])
        else:
            groups[-1].append(word)
    return groups


@lru_cache(_REMEMBERED_LABELS)
def _bare(label: str) -> str:
    """`PER` for `B-PER` and `I-PER`; any other label as it is."""
    return label[2:] if label.startswith(("B-", "I-")) else label


def _kind(label: str) -> str:
    """The name of the entity: what follows the first hyphen, whatever stands before it."""
    return label.split("-", 1)[-1]


def _token_entity(word: _Word) -> TokenEntity:
    [token] = word.tokens
    return TokenEntity(
        entity=word.label,
        score=word.score,
        index=token.place,
        word=token.text,
        start=token.start,
        end=token.end,
    )


def _token_text(word: _Word) -> str:
    return word.tokens[0].text


def _word_text(join: Join) -> Callable[[_Word], str]:
    return lambda word: join([token.text for token in word.tokens])
