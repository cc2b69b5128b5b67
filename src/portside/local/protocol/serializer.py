"""Outputs and faults as responses, in the protocol of the service that answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Final, assert_never
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, Shape, StructureShape

from portside.local.protocol import event_stream
from portside.local.protocol.call import Value
from portside.local.protocol.fault import Fault
from portside.local.protocol.message import Pieces, Response
from portside.local.protocol.service import Operation, Service, Wire, service_model

JSON_TYPE: Final = "application/x-amz-json-1.1"
_XML_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def serialize(operation: Operation, output: dict[str, Value]) -> Response:
    """The answer that carries an operation's output.

    A member that the model does not have is a mistake of ours, and raises KeyError.
    """
    shape = operation.model.output_shape
    if operation.service.wire is Wire.REST_JSON and shape is not None:
        return _serialize_rest(operation, output, shape)
    # An operation without an output answers nothing at all: DeleteEndpoint's 200 has no body.
    body = b"" if shape is None else _dump(to_json(output, shape))
    return Response(status=200, headers=(("Content-Type", JSON_TYPE),), body=body)


def serialize_fault(service: Service, fault: Fault, *, request_id: str) -> Response:
    """The answer that carries a fault."""
    headers: tuple[tuple[str, str], ...]
    match service.wire:
        case Wire.JSON:
            headers = (("Content-Type", JSON_TYPE),)
            members = {"__type": fault.code, **_message(service, fault), **fault.fields}
            body = _dump(members)
        case Wire.REST_JSON:
            headers = (("Content-Type", "application/json"), ("x-amzn-ErrorType", fault.code))
            body = _dump({**_message(service, fault), **fault.fields})
        case Wire.REST_XML:
            headers = (("Content-Type", "application/xml"), ("x-amz-request-id", request_id))
            body = _xml("<Error>{error}<RequestId>{id}</RequestId></Error>", fault, request_id)
        case Wire.QUERY:
            headers = (("Content-Type", "text/xml"),)
            side = "Sender" if fault.status < 500 else "Receiver"
            template = (
                f"<ErrorResponse><Error><Type>{side}</Type>{{error}}</Error>"
                "<RequestId>{id}</RequestId></ErrorResponse>"
            )
            body = _xml(template, fault, request_id)
        case _:
            assert_never(service.wire)
    return Response(status=fault.status, headers=headers, body=body)


def _serialize_rest(
    operation: Operation, output: dict[str, Value], shape: StructureShape
) -> Response:
    payload = shape.serialization.get("payload")
    headers: list[tuple[str, str]] = []
    members: dict[str, Value] = {}
    for name, value in output.items():
        member = shape.members[name]
        if value is None or name == payload:
            continue
        if member.serialization.get("location") == "header":
            headers.append((member.serialization["name"], str(to_json(value, member))))
        else:
            members[member.serialization.get("name", name)] = to_json(value, member)
    body: bytes | Pieces
    if not payload:
        headers.append(("Content-Type", "application/json"))
        body = _dump(members)
    elif operation.model.has_event_stream_output:
        headers.append(("Content-Type", event_stream.CONTENT_TYPE))
        body = event_stream.EventStream(output[payload], event=_event(shape.members[payload]))
    else:
        body = output.get(payload) or b""
    status = operation.model.http.get("responseCode", 200)
    return Response(status=status, headers=tuple(headers), body=body)


def _event(stream: Shape) -> str:
    """The one member of a stream that is no exception; its payload is bytes."""
    members = stream.members if isinstance(stream, StructureShape) else {}
    [event] = (name for name, member in members.items() if not member.metadata.get("exception"))
    return event


def _message(service: Service, fault: Fault) -> dict[str, str | None]:
    """The message under the member that the error's shape has for it."""
    for shape in service_model(service.name).error_shapes:
        if shape.name == fault.code and isinstance(shape, StructureShape):
            return {"Message" if "Message" in shape.members else "message": fault.message}
    return {"message": fault.message}


def _xml(template: str, fault: Fault, request_id: str) -> bytes:
    error = f"<Code>{escape(fault.code)}</Code><Message>{escape(fault.message or '')}</Message>"
    return (_XML_DECLARATION + template.format(error=error, id=request_id)).encode()


def _dump(value: Value) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


# --- By shape ----------------------------------------------------------------


def to_json(value: Value, shape: Shape) -> Value:
    """One value as JSON has it: timestamps are epoch seconds, blobs base64, Nones left out."""
    return _WRITERS.get(shape.type_name, _plain)(value, shape)


def _structure(value: dict[str, Value], shape: Shape) -> dict[str, Value]:
    members = shape.members if isinstance(shape, StructureShape) else {}
    return {
        members[name].serialization.get("name", name): to_json(item, members[name])
        for name, item in value.items()
        if item is not None
    }


def _list(value: list[Value], shape: Shape) -> list[Value]:
    return [to_json(item, shape.member) for item in value] if isinstance(shape, ListShape) else []


def _map(value: dict[str, Value], shape: Shape) -> dict[str, Value]:
    if not isinstance(shape, MapShape):
        return {}
    return {key: to_json(item, shape.value) for key, item in value.items()}


def _timestamp(value: datetime, _: Shape) -> float:
    return round(value.timestamp(), 3)  # AWS gives milliseconds


def _blob(value: bytes, _: Shape) -> str:
    return base64.b64encode(value).decode()


def _plain(value: Value, _: Shape) -> Value:
    return value


_WRITERS: Final[dict[str, Callable[[Value, Shape], Value]]] = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "timestamp": _timestamp,
    "blob": _blob,
}
