"""Type hints on `predict`: what is enforced, what is said of a body that does not fit."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portside.serving.error import InvalidBodyError

if TYPE_CHECKING:
    from collections.abc import Callable

    Load = Callable[..., Any]

STRUCT = """
import msgspec
class Item(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    top_k: int = 1
class Request(msgspec.Struct):
    inputs: list[Item]
def predict(data: Request): return [item.text for item in data.inputs]
"""

PYDANTIC = """
from pydantic import BaseModel, Field
class Item(BaseModel):
    text: str
    top_k: int = Field(1, ge=1)
class Request(BaseModel):
    inputs: list[Item]
def predict(data: Request): return [item.text for item in data.inputs]
"""

DATACLASS = """
from __future__ import annotations
from dataclasses import dataclass
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from somewhere import Model
@dataclass
class Item:
    text: str
    top_k: int = 1
@dataclass
class Request:
    inputs: list[Item]
def predict(data: Request, model: Model) -> list[str]: return [item.text for item in data.inputs]
"""

TYPED_DICT = """
from typing import TypedDict
class Item(TypedDict):
    text: str
class Request(TypedDict):
    inputs: list[Item]
def predict(data: Request): return [item["text"] for item in data["inputs"]]
"""


@pytest.mark.parametrize("code", [STRUCT, PYDANTIC, DATACLASS, TYPED_DICT])
class TestAnObject:
    def test_that_fits_is_handed_over(self, load: Load, code: str):
        assert load(code).ask('{"inputs": [{"text": "a"}, {"text": "b"}]}').json == ["a", "b"]

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ('{"inputs": [{"text": 1}]}', "$.inputs[0].text"),
            ('{"inputs": [{"text": "a"}, {}]}', "$.inputs[1].text"),
            ('{"inputs": "a"}', "$.inputs"),
            ("{}", "$.inputs"),
            ("[]", "$"),
            ('{"strings": ["a"]}', "$.inputs"),
        ],
    )
    def test_that_does_not_fit_is_refused_with_its_path(
        self, load: Load, code: str, body: str, path: str
    ):
        with pytest.raises(InvalidBodyError, match="the body does not fit") as caught:
            load(code).ask(body)

        assert f"at `{path}`: " in caught.value.message


def test_unknown_fields_are_named_where_they_are_forbidden(load: Load):
    with pytest.raises(InvalidBodyError) as caught:
        load(STRUCT).ask('{"inputs": [{"text": "a", "topk": 1}]}')

    assert caught.value.message == (
        "the body does not fit at `$.inputs[0].topk`: object contains unknown field `topk`"
    )


def test_pydantic_names_several_misfits_but_not_all(load: Load):
    with pytest.raises(InvalidBodyError) as caught:
        load(PYDANTIC).ask('{"inputs": [{}, {}, {}, {"text": "a", "top_k": 0}]}')

    assert caught.value.message == (
        "the body does not fit at `$.inputs[0].text`: field required; "
        "at `$.inputs[1].text`: field required; at `$.inputs[2].text`: field required; and 1 more"
    )


# --- Lists -------------------------------------------------------------------------

LIST = "def predict(data: list[str]): return data"


@pytest.mark.parametrize("body", ['["a", "b"]', '{"strings": ["a", "b"]}'])
def test_a_list_comes_bare_or_as_strings(load: Load, body: str):
    assert load(LIST).ask(body).json == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('["a", 1]', "$[1]"),
        ('{"strings": ["a", 1]}', "$.strings[1]"),
        ('{"strings": "a"}', "$.strings"),
        ('{"inputs": ["a"]}', "$"),
    ],
)
def test_a_list_that_does_not_fit(load: Load, body: str, path: str):
    with pytest.raises(InvalidBodyError) as caught:
        load(LIST).ask(body)

    assert f"at `{path}`: expected" in caught.value.message


@pytest.mark.parametrize(("body", "data"), [("[1.0]", [1]), ("[1e3]", [1000]), ("[2]", [2])])
def test_a_whole_number_is_an_integer(load: Load, body: str, data: list[int]):
    assert load("def predict(data: list[int]): return data").ask(body).json == data


@pytest.mark.parametrize("body", ["[1.5]", '["1"]', "[true]", "[null]"])
def test_anything_else_is_none(load: Load, body: str):
    with pytest.raises(InvalidBodyError):
        load("def predict(data: list[int]): return data").ask(body)


def test_a_list_may_come_as_csv(load: Load):
    caller = load("def predict(data: list[list[float]]): return data")

    assert caller.ask("1,2\n", content_type="text/csv").json == [[1, 2]]


def test_the_items_of_batches_are_checked(load: Load):
    caller = load("def predict_batch(batch: list[list[str]], model): return batch")

    assert caller.ask('["a"]').json == ["a"]
    with pytest.raises(InvalidBodyError):
        caller.ask("[1]")


# --- Hints that are not enforced -----------------------------------------------------


@pytest.mark.parametrize(
    "hint", ["list", "dict", "str", "typing.List", "typing.Any", "object", "T", "None"]
)
def test_hints_that_say_little_are_for_readers(
    load: Load, caplog: pytest.LogCaptureFixture, hint: str
):
    code = f"import typing\nT = typing.TypeVar('T')\ndef predict(data: {hint}): return data"

    assert load(code).ask("1.5").json == 1.5
    assert caplog.text == ""


@pytest.mark.parametrize("hint", ["numpy.ndarray", "'Missing'", "'1 +'", "list['Missing']"])
def test_hints_that_nobody_understands_are_told(
    load: Load, caplog: pytest.LogCaptureFixture, hint: str
):
    code = f"import numpy\ndef predict(data: {hint}): return data"

    with caplog.at_level(logging.INFO):
        caller = load(code)

    assert caller.ask("1.5").json == 1.5
    assert "is not enforced" in caplog.text


def test_without_a_library_hints_are_told(
    load: Load, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    # What `import` does for a package that is not there.
    monkeypatch.setitem(sys.modules, "msgspec", None)
    monkeypatch.setitem(sys.modules, "pydantic", None)

    caller = load(DATACLASS.replace("item.text for item in data.inputs", "data"))

    assert caller.ask("[]").json == [[]]
    assert "neither `msgspec` nor `pydantic` is installed" in caplog.text


def test_pydantic_alone_does(load: Load, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "msgspec", None)

    with pytest.raises(InvalidBodyError, match=r"at `\$\.inputs`: field required"):
        load(DATACLASS).ask("{}")


WRAPPED = """
import functools
def wrap(function): return functools.wraps(function)(lambda *arguments: function(*arguments))
@wrap
def predict(data: list[str]): return data
"""


@pytest.mark.parametrize(
    "code",
    [
        "class P:\n  def __call__(self, data: list[str], model): return data\npredict = P()",
        "class Predict:\n  def do(self, data: list[str]): return data\npredict = Predict().do",
        WRAPPED,
        "async def predict(data: list[str]): return data",
    ],
)
def test_hints_are_found_on_whatever_can_be_called(load: Load, code: str):
    caller = load(code)

    assert caller.ask('["a"]').json == ["a"]
    with pytest.raises(InvalidBodyError):
        caller.ask("[1]")


def test_models_are_written_too(load: Load):
    code = "import msgspec\nclass A(msgspec.Struct): x: int\ndef predict(data) -> A: return A(1)"

    assert load(code).ask("1").json == {"x": 1}
