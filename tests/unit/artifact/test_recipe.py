from __future__ import annotations

import pytest

from portside.artifact.graph.recipe import PLAIN, Recipe, last, mixed
from portside.artifact.graph.section import Section

RANKING = tuple(Section(number=number, nodes=(f"node {number}",)) for number in (2, 0, 1, 5, 3, 4))


def kept(recipes: tuple[Recipe, ...]) -> list[tuple[int, ...]]:
    return [tuple(section.number for section in recipe.kept) for recipe in recipes]


def test_the_most_harmful_sections_are_spared_first():
    static, *halves = last(RANKING)

    assert kept(mixed(RANKING)) == [(2,), (2, 0)]
    assert static.static
    assert kept((static,)) == [(2,)]
    assert kept(tuple(halves)) == [(), (2,), (2, 0), (2, 0, 1, 5), (2, 0, 1, 5, 3, 4)]
    assert all(recipe.halves for recipe in halves)


def test_a_graph_of_one_section_has_no_recipe_twice():
    one = RANKING[:1]

    assert mixed(one) == ()
    assert kept(last(one)) == [(2,), (), (2,)]


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (PLAIN[0], "int8"),
        (PLAIN[2], "int8, by row, per channel, 7 bits"),
        (Recipe(static=True, kept=RANKING[1:2]), "int8, static, with the embeddings in fp32"),
        (Recipe(halves=True), "int8, in halves"),
        (
            Recipe(halves=True, kept=RANKING[:2]),
            "int8, in halves, with section 2 and the embeddings in 16 bits",
        ),
        (Recipe(halves=True, kept=RANKING), "int8, in halves, with 6 sections in 16 bits"),
    ],
)
def test_a_name_tells_what_is_done(recipe: Recipe, name: str):
    assert recipe.name == name
