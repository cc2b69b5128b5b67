"""The routes of a multi-model endpoint, by which the platform loads, invokes and unloads models.

    POST    /models                {"model_name", "url"}       200 once it takes requests
                                                               409 loaded already, 507 no room
    GET     /models                ?next_page_token=           a hundred at a time
    GET     /models/{name}                                     404 not loaded
    DELETE  /models/{name}                                     200 once its memory is free
    POST    /models/{name}/invoke  as /invocations             404 not loaded

Source: DG mms-container-apis. Names and folders are the platform's: a name is a
hash, and the caller's own name for the model (`TargetModel`) is in a header that
goes to the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import orjson

from portside import contract
from portside.serving.error import InvalidBodyError, NotFoundError, RequestError
from portside.serving.response import Response, error_response

if TYPE_CHECKING:
    from portside.serving.batcher import Batcher
    from portside.serving.exchange import Exchange
    from portside.serving.model_table import Model, ModelTable

Route = Callable[["Exchange"], None]
Predict = Callable[["Exchange", Callable[[], "Batcher"]], None]
"""Answers an exchange with the batcher that is asked for."""

_PREFIX: Final = f"{contract.MODELS_PATH}/"
_INVOKE: Final = "/invoke"


class ModelRoutes:
    """Answers what the platform asks of a table of models."""

    def __init__(self, table: ModelTable, *, predict: Predict) -> None:
        self._table = table
        self._predict = predict
        self._of_all: Mapping[str, Route] = {"GET": self._list, "POST": self._load}

    def find(self, path: str) -> Mapping[str, Route] | None:
        """The routes of a path, by method; None for a path that is no model's."""
        if path == contract.MODELS_PATH:
            return self._of_all
        if path == contract.INVOCATIONS_PATH:
            return {"POST": _refuse}
        if not path.startswith(_PREFIX):
            return None
        name = path.removeprefix(_PREFIX)
        if name.endswith(_INVOKE):
            return {"POST": partial(self._invoke, name.removesuffix(_INVOKE))}
        return {"GET": partial(self._describe, name), "DELETE": partial(self._unload, name)}

    def _invoke(self, name: str, exchange: Exchange) -> None:
        self._predict(exchange, lambda: self._table.batcher(name))

    def _load(self, exchange: Exchange) -> None:
        name, url = _read_load(exchange.body)

        def done(error: RequestError | None) -> None:
            if error is None:
                _answer(exchange, {"modelName": name, "modelUrl": url})
            else:
                exchange.respond(error_response(error))

        self._table.load(name, url, done=done)

    def _list(self, exchange: Exchange) -> None:
        token = parse_qs(exchange.query).get("next_page_token", [""])[0]
        models, next_token = self._table.page(after=token)
        page: dict[str, object] = {"models": [_described(model) for model in models]}
        if next_token is not None:
            page["nextPageToken"] = next_token
        _answer(exchange, page)

    def _describe(self, name: str, exchange: Exchange) -> None:
        _answer(exchange, _described(self._table.find(name)))

    def _unload(self, name: str, exchange: Exchange) -> None:
        def done(error: RequestError | None) -> None:
            exchange.respond(Response(status=200) if error is None else error_response(error))

        self._table.unload(name, done=done)


def _refuse(_: Exchange) -> None:
    raise NotFoundError(
        f"`{contract.INVOCATIONS_PATH}` has no model of its own on a multi-model endpoint: "
        f"name one with `TargetModel`, or post to `{_PREFIX}<name>{_INVOKE}`"
    )


def _read_load(body: bytes) -> tuple[str, str]:
    """Name and folder of the model to load."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    match value:
        # A name with a slash could not be told from the rest of a path.
        case {"model_name": str(name), "url": str(url)} if name and url and "/" not in name:
            return name, url
        case _:
            raise InvalidBodyError(
                'expected `{"model_name": …, "url": …}`, two texts, the name without a slash'
            )


def _described(model: Model) -> dict[str, str]:
    return {"modelName": model.name, "modelUrl": model.url}


def _answer(exchange: Exchange, value: object) -> None:
    exchange.respond(
        Response(status=200, body=orjson.dumps(value), content_type="application/json")
    )
