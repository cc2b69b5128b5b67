"""The bodies of all tasks, and what is said of any other."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from portside.serving.error import InvalidBodyError
from portside.serving.tasks.field import Field
from portside.serving.tasks.request import Request, read_request


def read(body: object) -> Request:
    return read_request(Field(value=body), expected="EXAMPLE", parameters=("top_k", "stride"))


@pytest.mark.parametrize(
    ("body", "items", "is_single"),
    [
        ({"strings": ["a", "b"]}, ["a", "b"], False),
        ({"strings": []}, [], False),
        ({"inputs": "a"}, ["a"], True),
        ({"inputs": ["a"]}, ["a"], False),
        ({"inputs": {"text": "a"}}, [{"text": "a"}], True),
        ({"inputs": ["a", "b"], "parameters": None}, ["a", "b"], False),
        ("a bare text", ["a bare text"], True),
    ],
)
def test_the_bodies_that_are_understood(body: object, items: list[Any], *, is_single: bool):
    request = read(body)

    assert [item.value for item in request.items] == items
    assert request.is_single is is_single
    assert request.parameters.get("top_k") is None


def test_items_know_their_path():
    assert [item.path for item in read({"strings": ["a", "b"]}).items] == [
        "strings[0]",
        "strings[1]",
    ]
    assert read({"inputs": "a"}).items[0].path == "inputs"


def test_a_parameter_that_is_null_is_as_good_as_none_but_can_be_told():
    parameters = read({"inputs": "a", "parameters": {"top_k": None, "stride": 2}}).parameters

    assert parameters.get("top_k") is None
    assert "top_k" in parameters
    stride = parameters.get("stride")
    assert stride is not None
    assert (stride.value, stride.path) == (2, "parameters.stride")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "expected EXAMPLE, got `null`"),
        (True, "expected EXAMPLE, got a boolean"),
        (1.5, "expected EXAMPLE, got `1.5`"),
        ([], "expected EXAMPLE, got a list"),
        ({}, "expected EXAMPLE, got an empty object"),
        ({"string": ["a"]}, "expected EXAMPLE, got an object with `string`"),
        (
            {"inputs": "a", "strings": []},
            "expected EXAMPLE, got an object with `inputs`, `strings`",
        ),
        ({"strings": "a"}, "expected a list as `strings`, got `a`"),
        (
            {"inputs": "a", "parameters": [1]},
            "expected an object with nothing but `top_k`, `stride` as `parameters`, got a list",
        ),
        (
            {"inputs": "a", "parameters": {"stride": 1, "k": 1}},
            (
                "expected an object with nothing but `top_k`, `stride` as `parameters`, "
                "got an object with `stride`, `k`"
            ),
        ),
    ],
)
def test_any_other_body_is_refused_with_what_was_expected(body: object, message: str):
    with pytest.raises(InvalidBodyError) as caught:
        read(body)

    assert caught.value.message == message


# --- Fields ---------------------------------------------------------------------


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


def test_a_field_of_the_right_kind_is_its_value():
    assert Field(value="a").text() == "a"
    assert Field(value=True).flag() is True
    assert Field(value=3).whole_number(least=3, most=3) == 3
    assert Field(value=10**30).whole_number(least=0) == 10**30
    assert Field(value="red").choice(Color) is Color.RED
    [first, second] = Field(value=[1, 2], path="x").items()
    assert (first.path, second.path) == ("x[0]", "x[1]")
    members = Field(value={"a": 1, "b": 2}, path="x").members("a", optional=("b", "c"))
    assert {name: member.path for name, member in members.items()} == {"a": "x.a", "b": "x.b"}


@pytest.mark.parametrize(
    ("read_field", "message"),
    [
        (lambda: Field(value=3, path="x").text(), "expected a string as `x`, got `3`"),
        (
            lambda: Field(value="yes", path="x").flag(),
            "expected `true` or `false` as `x`, got `yes`",
        ),
        (
            lambda: Field(value=True, path="x").whole_number(least=0),
            "expected a whole number of at least 0 as `x`, got a boolean",
        ),
        (
            lambda: Field(value=1.0, path="x").whole_number(least=0, most=9),
            "expected a whole number from 0 to 9 as `x`, got `1.0`",
        ),
        (
            lambda: Field(value=1, path="x").whole_number(least=0, most=0),
            "expected a whole number from 0 to 0 as `x`, got `1`",
        ),
        (
            lambda: Field(value=["red"], path="x").choice(Color),
            "expected one of `red`, `blue` as `x`, got a list",
        ),
        (
            lambda: Field(value={"b": 1}, path="x").members("a", optional=("b",)),
            "expected an object with `a` and, if wanted, `b` as `x`, got an object with `b`",
        ),
        (
            lambda: Field(value="x" * 50).members("a", "b"),
            f"expected an object with `a` and `b`, got `{'x' * 40}…`",
        ),
        (
            lambda: Field(value=dict.fromkeys("abcdefghij")).members("a"),
            (
                "expected an object with `a`, got an object with "
                "`a`, `b`, `c`, `d`, `e`, `f`, `g`, `h`, …"
            ),
        ),
    ],
)
def test_a_field_of_another_kind_names_its_place(read_field: Any, message: str):
    with pytest.raises(InvalidBodyError) as caught:
        read_field()

    assert caught.value.message == message
