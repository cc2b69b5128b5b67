"""What each task takes and gives, for the OpenAPI document.

Bodies have the forms that `tasks.request` tells; what an item is, which
parameters there are and what an answer looks like is told here once more, as
JSON Schema: `test_handler_task_schema` holds both sides together.

What a schema cannot say: in question answering the question has to leave room
for the context, and in zero-shot classification a label for the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, assert_never

from portside.serving.checkpoint import Task
from portside.serving.codecs import JSON
from portside.serving.handlers.openapi import Description, Schema
from portside.serving.sentence_model import Pooling
from portside.serving.tasks.strategy import AggregationStrategy
from portside.serving.tasks.text_classification import Function

_LINES: Final = (JSON, "application/jsonlines")
"""Content types of bodies and answers of every task; a line of JSON lines is a body."""

_STRING: Final = {"type": "string"}
_NUMBER: Final = {"type": "number"}
_FLAG: Final = {"type": "boolean"}

_MOST: Final = 2**63 - 1
"""The parser of JSON makes a float of a larger integer."""


def describe_task(task: Task, *, example: object, most_stride: int) -> Description:
    """The bodies and answers of a task; `most_stride` is how far its windows may overlap."""
    takes_text, is_array = task is not Task.QUESTION_ANSWERING, task is Task.FEATURE_EXTRACTION
    return Description(
        request=_one_or_list(_ref("Body")),
        # One answer, a list of them for a list of items, and a list of either for one of bodies.
        response={"anyOf": [_ref("Answer"), _list(_one_or_list(_ref("Answer")))]},
        components={
            "Body": {"anyOf": _bodies(task, most_stride=most_stride)},
            "Answer": _answer(task),
            **_components(task),
        },
        example=example,
        request_types=(*_LINES, "text/plain") if takes_text else _LINES,
        response_types=(*_LINES, "application/x-npy") if is_array else _LINES,
        is_users_own=False,
    )


# --- What goes in ---------------------------------------------------------------


def _bodies(task: Task, *, most_stride: int) -> list[Schema]:
    match task:
        case Task.TOKEN_CLASSIFICATION:
            parameters: Mapping[str, Schema] = {
                "aggregation_strategy": _enum(AggregationStrategy),
                "ignore_labels": _list(_STRING),
                "stride": _integer(0, most_stride),
            }
            return [_STRING, *_forms(_STRING, parameters)]
        case Task.TEXT_CLASSIFICATION:
            return _plain_bodies()
        case Task.ZERO_SHOT_CLASSIFICATION:
            return [_zero_shot_body(), *_plain_bodies()]
        case Task.QUESTION_ANSWERING:
            text = {"type": "string", "minLength": 1}
            item = _object({"question": text, "context": text})
            return _forms(item, _QUESTION_PARAMETERS)
        case Task.FEATURE_EXTRACTION:
            parameters = {"pooling": _enum(Pooling), "normalize": _FLAG, "truncation": _FLAG}
            return [_STRING, *_forms(_STRING, parameters)]
        case _:
            assert_never(task)


def _forms(item: Schema, parameters: Mapping[str, Schema]) -> list[Schema]:
    """The bodies of any item: with parameters, and in short."""
    nullable = {name: _or_null(schema) for name, schema in parameters.items()}
    return [
        _object(
            {"inputs": _one_or_list(item)},
            optional={"parameters": _or_null(_object({}, optional=nullable))},
        ),
        _object({"strings": _list(item)}),
    ]


def _plain_bodies() -> list[Schema]:
    pair = _object({"text": _STRING}, optional={"text_pair": _or_null(_STRING)})
    parameters = {
        "function_to_apply": _enum(Function),
        "top_k": _integer(1),
        "truncation": _FLAG,
    }
    return [_STRING, *_forms({"anyOf": [_STRING, pair]}, parameters)]


def _zero_shot_body() -> Schema:
    parameters = _object(
        {
            "candidate_labels": {
                "anyOf": [
                    {"type": "array", "items": _STRING, "minItems": 1},
                    # Names between commas, of which one at least is not blank.
                    {"type": "string", "pattern": r"[^\s,]"},
                ]
            }
        },
        optional={
            "hypothesis_template": _or_null({"type": "string", "pattern": r"\{\}"}),
            "multi_label": _or_null(_FLAG),
        },
    )
    return _object({"inputs": _one_or_list(_STRING), "parameters": parameters})


# --- What comes out -------------------------------------------------------------


def _answer(task: Task) -> Schema:
    match task:
        case Task.TOKEN_CLASSIFICATION:
            return {"anyOf": [_list(_ref("Entity")), _list(_ref("TokenEntity"))]}
        case Task.TEXT_CLASSIFICATION:
            return _one_or_list(_ref("LabelScore"))
        case Task.ZERO_SHOT_CLASSIFICATION:
            return {"anyOf": [_ref("Ranking"), _one_or_list(_ref("LabelScore"))]}
        case Task.QUESTION_ANSWERING:
            return _one_or_list(_ref("Span"))
        case Task.FEATURE_EXTRACTION:
            return _ref("Vectors")
        case _:
            assert_never(task)


def _components(task: Task) -> Mapping[str, Schema]:
    place = {"start": _integer(0), "end": _integer(0)}
    match task:
        case Task.TOKEN_CLASSIFICATION:
            token = {"score": _NUMBER, "word": _STRING, **place}
            return {
                "Entity": _object({"entity_group": _STRING, **token}),
                "TokenEntity": _object({"entity": _STRING, "index": _integer(0), **token}),
            }
        case Task.TEXT_CLASSIFICATION:
            return {"LabelScore": _object({"label": _STRING, "score": _NUMBER})}
        case Task.ZERO_SHOT_CLASSIFICATION:
            ranking = {"sequence": _STRING, "labels": _list(_STRING), "scores": _list(_NUMBER)}
            return {"Ranking": _object(ranking), **_components(Task.TEXT_CLASSIFICATION)}
        case Task.QUESTION_ANSWERING:
            return {"Span": _object({"score": _NUMBER, "answer": _STRING, **place})}
        case Task.FEATURE_EXTRACTION:
            return {"Vectors": _list({"anyOf": [_NUMBER, _ref("Vectors")]})}
        case _:
            assert_never(task)


# --- JSON Schema ----------------------------------------------------------------


def _object(required: Mapping[str, Schema], *, optional: Mapping[str, Schema] = {}) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _one_or_list(items: Schema) -> Schema:
    return {"anyOf": [items, _list(items)]}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _integer(least: int, most: int = _MOST) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _enum(words: type[Any]) -> Schema:
    return {"enum": [str(word) for word in words]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_QUESTION_PARAMETERS: Final = {
    "align_to_words": _FLAG,
    "doc_stride": _integer(0),
    "handle_impossible_answer": _FLAG,
    "max_answer_len": _integer(1),
    "max_seq_len": _integer(1),
    "top_k": _integer(1),
}
