"""The OpenAPI document: valid, and as exact as the handler is typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from portside.serving import codecs
from portside.serving.codecs.media_type import parse_accept
from portside.serving.handlers.openapi import Description, make_document

if TYPE_CHECKING:
    from collections.abc import Callable

    Load = Callable[..., Any]

TYPED = """
import msgspec
class Item(msgspec.Struct):
    text: str
class Entity(msgspec.Struct):
    word: str
def predict(data: {hint}, model) -> list[Entity]: return []
"""

PYDANTIC = """
from pydantic import BaseModel
class Item(BaseModel):
    text: str
def predict(data: Item, model) -> list[Item]: return []
"""

UNTYPED = "def predict(data, model): return data"
TOOLKIT = "def model_fn(d): ...\ndef predict_fn(d, m): return d"
CODES = [UNTYPED, TOOLKIT, PYDANTIC, TYPED.format(hint="Item"), TYPED.format(hint="list[str]")]


def body_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["paths"]["/invocations"]["post"]["requestBody"]["content"]


def result_of(document: dict[str, Any]) -> dict[str, Any]:
    return document["paths"]["/invocations"]["post"]["responses"]["200"]["content"]


@pytest.mark.parametrize("code", CODES)
def test_it_is_valid(load: Load, code: str):
    validator = pytest.importorskip("openapi_spec_validator")

    document = json.loads(json.dumps(make_document(load(code).handler)))

    validator.validate(document, cls=validator.OpenAPIV31SpecValidator)


@pytest.mark.parametrize("code", CODES)
def test_every_reference_leads_somewhere(load: Load, code: str):
    document = make_document(load(code).handler)

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [found for item in value.values() for found in references(item)]
        return (
            [found for item in value for found in references(item)]
            if isinstance(value, list)
            else []
        )

    found = references(document)
    assert found
    for reference in found:
        node: Any = document
        for key in reference.removeprefix("#/").split("/"):
            node = node[key]


def test_an_untyped_handler_takes_all_that_codecs_read(load: Load):
    document = make_document(load(UNTYPED).handler)

    assert set(body_of(document)) >= {"application/json", "text/csv", "application/x-npy"}
    assert body_of(document)["application/json"] == {"schema": {}}
    assert "*/*" in result_of(document)


def test_the_content_types_are_the_codecs(load: Load):
    document = make_document(load(UNTYPED).handler)

    for name in body_of(document):
        assert codecs.choose(name) == name
    assert all(parse_accept(name)[0].quality == 1 for name in result_of(document))


def test_a_typed_object_is_described_and_nothing_else_taken(load: Load):
    document = make_document(load(TYPED.format(hint="Item")).handler)

    assert body_of(document) == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Item"}}
    }
    assert document["components"]["schemas"]["Item"]["required"] == ["text"]
    assert result_of(document)["application/json"]["schema"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Entity"},
    }


def test_a_typed_list_is_taken_bare_or_as_strings(load: Load):
    document = make_document(load(TYPED.format(hint="list[str]")).handler)

    bare, wrapped = body_of(document)["application/json"]["schema"]["anyOf"]
    assert bare == {"type": "array", "items": {"type": "string"}}
    assert wrapped["properties"] == {"strings": bare}


def test_pydantic_describes_its_models(load: Load):
    document = make_document(load(PYDANTIC).handler)

    assert document["components"]["schemas"]["Item"]["required"] == ["text"]


@pytest.mark.parametrize("code", [UNTYPED, TOOLKIT])
def test_the_users_code_may_answer_with_other_statuses(load: Load, code: str):
    responses = make_document(load(code).handler)["paths"]["/invocations"]["post"]["responses"]

    assert {"200", "400", "406", "413", "415", "429", "500", "503", "504", "4XX"} <= set(responses)


def test_a_handler_of_ours_may_not():
    class Ours:
        def describe(self) -> Description:
            return Description(is_users_own=False, example=[1], request_types=["application/json"])

    document = make_document(Ours())  # type: ignore[arg-type]  # all that is asked for here

    assert "4XX" not in document["paths"]["/invocations"]["post"]["responses"]
    assert body_of(document)["application/json"]["example"] == [1]
