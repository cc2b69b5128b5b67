"""What an instance understands, as an OpenAPI 3.1 document for `/openapi.json`.

A handler that can say what goes in and out has `describe`; of any other it is
said that every body is taken that a codec can read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from portside import __version__, contract
from portside.serving.codecs import JSON

if TYPE_CHECKING:
    from portside.serving.invocation import Handler

Schema = Mapping[str, Any]
"""JSON Schema, draft 2020-12; references point to `#/components/schemas/`."""

ANYTHING: Final[Schema] = {}

OPENAPI_PATH: Final = "/openapi.json"

_SCHEMA_BY_TYPE: Final[Mapping[str, Schema]] = {
    "application/jsonlines": {"type": "string"},
    "text/csv": {"type": "string"},
    "text/plain": {"type": "string"},
    "application/x-npy": ANYTHING,
    "application/x-npz": ANYTHING,
    "application/octet-stream": ANYTHING,
}
"""What codecs read and write besides JSON. OpenAPI 3.1 has no schema for bytes: nothing is said."""

_ERRORS: Final = {
    "400": "The body cannot be read, or is not what the handler takes.",
    "406": "`Accept` leaves out every type that can be written.",
    "408": "The request did not arrive whole in time.",
    "413": "The body is larger than the platform lets through.",
    "415": "`Content-Type` names a type that cannot be read.",
    "431": "The headers are larger than any client's.",
    "429": "No room, or the answer would come too late; `Retry-After` says when to try again.",
    "500": "The handler failed; its traceback is in the log, under the request's id.",
    "503": "The model is still loading, or the instance was told to stop.",
    "504": "The handler did not answer in time.",
}

_OWN_ERRORS: Final = {
    "4XX": "Chosen by the handler's own code.",
    "5XX": "Chosen by the handler's own code.",
}

_ERROR_SCHEMA: Final[Schema] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "For programs, as in `InvalidBody`."},
                "message": {"type": "string", "description": "For people: what to change."},
            },
        }
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a handler takes and gives."""

    request: Schema = field(default_factory=dict)
    """Of the decoded body."""
    response: Schema = field(default_factory=dict)
    """Of the result, before it is encoded."""
    components: Mapping[str, Schema] = field(default_factory=dict)
    """What the two refer to, by name."""
    example: object = None
    """A body that is taken."""
    request_types: Sequence[str] = (JSON, *_SCHEMA_BY_TYPE)
    """Content types whose bodies can be what the handler takes."""
    response_types: Sequence[str] = (JSON, *_SCHEMA_BY_TYPE)
    is_users_own: bool = True
    """Whether the user's code answers, which may choose other statuses and content types."""


@runtime_checkable
class Described(Protocol):
    """A handler that says what goes in and out."""

    def describe(self) -> Description:
        """Asked once, after loading."""
        ...


def make_document(handler: Handler) -> dict[str, Any]:
    """The document of an instance with this handler, ready to be written as JSON."""
    description = handler.describe() if isinstance(handler, Described) else Description()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Portside",
            "version": __version__,
            "description": "An instance of a SageMaker endpoint, as the platform calls it.",
        },
        "paths": {
            contract.PING_PATH: {"get": _ping("get"), "post": _ping("post")},
            contract.INVOCATIONS_PATH: {"post": _invoke(description)},
            contract.EXECUTION_PARAMETERS_PATH: {"get": _execution_parameters()},
            contract.METRICS_PATH: {"get": _metrics()},
            OPENAPI_PATH: {"get": _document()},
        },
        "components": {"schemas": {**description.components, "InstanceError": _ERROR_SCHEMA}},
    }


def _ping(method: str) -> dict[str, Any]:
    return {
        "operationId": f"ping-{method}",
        "summary": "Is the model loaded?",
        "responses": {
            "200": {"description": "It is; also while it predicts."},
            "503": _error(_ERRORS["503"]),
        },
    }


def _invoke(description: Description) -> dict[str, Any]:
    errors = _ERRORS | (_OWN_ERRORS if description.is_users_own else {})
    request = _content(description.request_types, description.request)
    if description.example is not None:
        request[JSON]["example"] = description.example
    response = _content(description.response_types, description.response)
    if description.is_users_own:
        response["*/*"] = {}
    return {
        "operationId": "invoke",
        "summary": "Predict.",
        "requestBody": {"required": True, "content": request},
        "responses": {
            "200": {"description": "The prediction.", "content": response},
            **{status: _error(text) for status, text in errors.items()},
        },
    }


def _execution_parameters() -> dict[str, Any]:
    integer = {"type": "integer", "minimum": 1}
    properties = {
        "MaxConcurrentTransforms": integer,
        "BatchStrategy": {"enum": ["MULTI_RECORD", "SINGLE_RECORD"]},
        "MaxPayloadInMB": {"type": "integer", "minimum": 0},
    }
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {
        "operationId": "execution-parameters",
        "summary": "What batch transform may send.",
        "responses": {"200": {"description": "Limits.", "content": {JSON: {"schema": schema}}}},
    }


def _metrics() -> dict[str, Any]:
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "operationId": "metrics",
        "summary": "Counts and times, for Prometheus.",
        "responses": {"200": {"description": "Metrics.", "content": content}},
    }


def _document() -> dict[str, Any]:
    return {
        "operationId": "openapi",
        "summary": "This document.",
        "responses": {
            "200": {"description": "It.", "content": {JSON: {"schema": {"type": "object"}}}}
        },
    }


def _content(media_types: Sequence[str], schema: Schema) -> dict[str, dict[str, Any]]:
    return {
        media_type: {"schema": schema if media_type == JSON else _SCHEMA_BY_TYPE[media_type]}
        for media_type in media_types
    }


def _error(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/InstanceError"}
    return {"description": description, "content": {JSON: {"schema": schema}}}
