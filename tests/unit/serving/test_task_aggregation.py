"""From scores to entities, on scores made by hand.

The tokens are `Ada Love ##lace left New York`; each test says what label each is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from portside.serving.tasks.aggregation import Entity, Token, TokenEntity, aggregate
from portside.serving.tasks.strategy import AggregationStrategy as Strategy

if TYPE_CHECKING:
    import numpy.typing as npt

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TEXT = "Ada Lovelace left New York"
TOKENS = [
    Token(text=text, start=start, end=end, place=index, is_subword=text.startswith("##"))
    for index, (text, start, end) in enumerate(
        [
            ("Ada", 0, 3),
            ("Love", 4, 8),
            ("##lace", 8, 12),
            ("left", 13, 17),
            ("New", 18, 21),
            ("York", 22, 26),
        ],
        start=1,
    )
]


def scores(*rows: dict[str, float]) -> npt.NDArray[np.float32]:
    table = [[row.get(label, 0.0) for label in LABELS] for row in rows]
    return np.array(table, dtype=np.float32)


def join(texts: list[str]) -> str:
    return " ".join(texts).replace(" ##", "")


def run(rows: npt.NDArray[np.float32], strategy: Strategy) -> list[TokenEntity] | list[Entity]:
    return aggregate(
        TOKENS, rows, labels=LABELS, strategy=strategy, ignored_labels={"O"}, join=join
    )


def brief(entities: list[TokenEntity] | list[Entity]) -> list[tuple[str, str, float]]:
    """What is told apart in most tests: kind, word, score."""
    return [
        (entity.entity_group, entity.word, round(entity.score, 4))
        for entity in entities
        if isinstance(entity, Entity)
    ]


CLEAR = scores(
    {"B-PER": 0.9, "O": 0.1},
    {"I-PER": 0.8, "O": 0.2},
    {"I-PER": 0.6, "O": 0.4},
    {"O": 1.0},
    {"B-LOC": 0.7, "O": 0.3},
    {"I-LOC": 0.5, "O": 0.25},
)
TORN = scores(
    {"B-PER": 0.9, "O": 0.1},
    {"I-PER": 0.55, "I-LOC": 0.45},
    {"I-LOC": 0.95, "I-PER": 0.05},
    {"O": 1.0},
    {"O": 1.0},
    {"O": 1.0},
)


def test_none_gives_each_token_that_is_in_an_entity():
    entities = run(CLEAR, Strategy.NONE)

    assert len(entities) == 5
    assert entities[2] == TokenEntity(
        entity="I-PER", score=pytest.approx(0.6), index=3, word="##lace", start=8, end=12
    )


def test_simple_joins_neighbors_of_one_kind():
    assert run(CLEAR, Strategy.SIMPLE) == [
        Entity(
            entity_group="PER",
            score=pytest.approx((0.9 + 0.8 + 0.6) / 3),
            word="Ada Lovelace",
            start=0,
            end=12,
        ),
        Entity(
            entity_group="LOC",
            score=pytest.approx((0.7 + 0.5) / 2),
            word="New York",
            start=18,
            end=26,
        ),
    ]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.SIMPLE, [("PER", "Ada Love", 0.725), ("LOC", "##lace", 0.95)]),
        (Strategy.FIRST, [("PER", "Ada Lovelace", 0.725)]),
        (Strategy.MAX, [("PER", "Ada", 0.9), ("LOC", "Lovelace", 0.95)]),
        (Strategy.AVERAGE, [("PER", "Ada", 0.9), ("LOC", "Lovelace", 0.7)]),
    ],
)
def test_a_torn_word_by_each_strategy(strategy: Strategy, expected: list[object]):
    assert brief(run(TORN, strategy)) == expected


def test_a_word_counts_once_in_its_groups_score():
    """`Ada` 0.9 and `Lovelace` (0.8 + 0.6) / 2, not a mean over three tokens."""
    [person, _] = brief(run(CLEAR, Strategy.AVERAGE))

    assert person == ("PER", "Ada Lovelace", 0.8)


def test_a_beginning_parts_neighbors_of_one_kind():
    rows = scores(*[{"B-PER": 1.0}] * 6)

    assert [word for _, word, _ in brief(run(rows, Strategy.SIMPLE))] == [
        token.text for token in TOKENS
    ]


def test_an_inside_continues_a_beginning_of_its_kind_only():
    rows = scores(
        {"I-PER": 1.0}, {"I-PER": 1.0}, {"I-LOC": 1.0}, {"O": 1.0}, {"I-LOC": 1.0}, {"B-LOC": 1.0}
    )

    kinds = [(kind, word) for kind, word, _ in brief(run(rows, Strategy.SIMPLE))]

    assert kinds == [("PER", "Ada Love"), ("LOC", "##lace"), ("LOC", "New"), ("LOC", "York")]


def test_labels_without_a_prefix_join_and_lose_what_stands_before_a_hyphen():
    rows = np.eye(3, dtype=np.float32)[[1, 1, 2, 0, 2, 2]]

    entities = aggregate(
        TOKENS,
        rows,
        labels=("O", "PER", "E-mail"),
        strategy=Strategy.SIMPLE,
        ignored_labels={"O"},
        join=join,
    )

    assert [(kind, word) for kind, word, _ in brief(entities)] == [
        ("PER", "Ada Love"),
        ("mail", "##lace"),
        ("mail", "New York"),
    ]


def test_a_text_that_begins_with_a_subword_begins_a_word():
    tokens, rows = TOKENS[2:], CLEAR[2:]

    entities = aggregate(
        tokens, rows, labels=LABELS, strategy=Strategy.FIRST, ignored_labels={"O"}, join=join
    )

    assert brief(entities)[0] == ("PER", "##lace", 0.6)


@pytest.mark.parametrize("strategy", Strategy)
def test_no_tokens_no_entities(strategy: Strategy):
    rows = np.zeros((0, len(LABELS)), dtype=np.float32)

    assert (
        aggregate([], rows, labels=LABELS, strategy=strategy, ignored_labels={"O"}, join=join) == []
    )


def test_other_labels_can_be_ignored_tokens_by_label_and_entities_by_kind():
    ignored = {"B-PER", "LOC"}

    entities = aggregate(
        TOKENS,
        CLEAR,
        labels=LABELS,
        strategy=Strategy.SIMPLE,
        ignored_labels=ignored,
        join=join,
    )
    tokens = aggregate(
        TOKENS, CLEAR, labels=LABELS, strategy=Strategy.NONE, ignored_labels=ignored, join=join
    )

    assert [kind for kind, _, _ in brief(entities)] == ["PER", "O"]
    assert [token.word for token in tokens] == ["Love", "##lace", "left", "New", "York"]
