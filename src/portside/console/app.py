"""The routes of the page; blocking calls to AWS run in threads.

    GET  /                      the endpoints                              ?name= ?after=
    GET  /endpoints             their rows alone
    GET  /endpoints/NAME        one of them: state, try, plots, log        ?stream= ?filter=
    GET  /endpoints/NAME/PART   its state, plots or log alone
    POST /endpoints/NAME/try    the same page, with an answer

Each page is whole without JavaScript; with it, `static/console.js` asks for parts.
"""

from __future__ import annotations

import hmac
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from portside import contract
from portside.console import view
from portside.console.form import read_form, read_trial
from portside.console.template import FOLDER, render
from portside.console.trial import AnswerView, view_refusal
from portside.errors import RemoteError, UsageError

LOOPBACK_NAMES: Final = ["127.0.0.1", "localhost"]
"""Any other name in `Host` is another site's that was made to point here (DNS rebinding)."""

LARGEST_FORM_BYTES: Final = 3 * contract.REALTIME_PAYLOAD_BYTES + 64 * 1024
"""A form spells a byte with three characters at most; the rest is for its other fields."""

_HEADERS: Final = {
    # Nothing from elsewhere, nothing that stands in the page: what an instance printed or
    # answered could be a script only if it were a file of ours.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PARTS: Final = ("state", "plots", "log")


class Console:
    """The page of one account; `place` says whose and where; `clock` knows its time zone."""

    def __init__(
        self,
        account: view.Account,
        *,
        place: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._account = account
        self._place = place
        self._clock = clock
        # A page of another site can send our form, but cannot read what stands in it.
        self._token = secrets.token_urlsafe()

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/", self.show_all),
                Route("/endpoints", self.show_rows),
                Route("/endpoints/{name}", self.show_one),
                Route("/endpoints/{name}/try", self.try_request, methods=["POST"]),
                Route("/endpoints/{name}/{part}", self.show_part),
                Mount("/static", StaticFiles(directory=FOLDER / "static")),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_NAMES)],
            exception_handlers={RemoteError: self._unreachable},
        )

    def show_all(self, request: Request) -> Response:
        """All endpoints."""
        return self._list("endpoints.html", request)

    def show_rows(self, request: Request) -> Response:
        """Their rows alone."""
        return self._list("rows.html", request)

    def show_one(self, request: Request) -> Response:
        """One endpoint."""
        return self._one(request, form={}, answer=None)

    def show_part(self, request: Request) -> Response:
        """One part of its page."""
        name, part = request.path_params["name"], request.path_params["part"]
        if part == "log":
            return self._render("log.html", log=self._log(request))
        endpoint = view.view_one(self._account, name) if part in _PARTS else None
        if endpoint is None:
            return self._not_found(name)
        if part == "plots":
            plots = view.view_measured(self._account, endpoint, now=self._clock())
            return self._render("plots.html", plots=plots)
        return self._render("state.html", endpoint=endpoint)

    async def try_request(self, request: Request) -> Response:
        """One endpoint, with the answer to a request."""
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_FORM_BYTES:
                status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                return self._error(status, "This is more than SageMaker takes.")
        return await run_in_threadpool(self._try, request, bytes(body))

    def _list(self, template: str, request: Request) -> Response:
        asked = request.query_params
        shown = view.view_list(
            self._account,
            contains=asked.get("name", "").strip(),
            after=asked.get("after", ""),
            now=self._clock(),
        )
        return self._render(template, shown=shown, query=str(request.url.query))

    def _one(
        self, request: Request, *, form: Mapping[str, str], answer: AnswerView | None
    ) -> Response:
        name = request.path_params["name"]
        endpoint = view.view_one(self._account, name)
        if endpoint is None:
            return self._not_found(name)
        return self._render(
            "endpoint.html",
            endpoint=endpoint,
            plots=view.view_measured(self._account, endpoint, now=self._clock()),
            log=self._log(request),
            form=defaultdict(str, form),
            answer=answer,
        )

    def _try(self, request: Request, body: bytes) -> Response:
        form = read_form(body)
        if not hmac.compare_digest(form.get("token", "").encode(), self._token.encode()):
            return self._error(HTTPStatus.FORBIDDEN, "This form was not sent by this console.")
        try:
            trial = read_trial(form)
        except UsageError as error:
            answer = view_refusal("Not sent", message=error.message, hint=error.hint)
        else:
            answer = view.try_request(self._account, request.path_params["name"], trial)
        if request.query_params.get("part") == "answer":
            return self._render("answer.html", answer=answer)
        return self._one(request, form=form, answer=answer)

    def _log(self, request: Request) -> view.LogView:
        return view.view_log(
            self._account,
            request.path_params["name"],
            stream=request.query_params.get("stream", ""),
            typed=request.query_params.get("filter", ""),
            now=self._clock(),
        )

    def _render(self, template: str, *, status: int = HTTPStatus.OK, **values: object) -> Response:
        shown = render(template, place=self._place, token=self._token, now=self._clock(), **values)
        return HTMLResponse(shown, status_code=status, headers=_HEADERS)

    def _error(self, status: HTTPStatus, message: str, *, hint: str = "") -> Response:
        return self._render("error.html", status=status, message=message, hint=hint)

    def _not_found(self, name: str) -> Response:
        return self._error(HTTPStatus.NOT_FOUND, f"There is no endpoint {name} here.")

    def _unreachable(self, _request: Request, error: Exception) -> Response:
        if not isinstance(error, RemoteError):
            raise error
        return self._error(HTTPStatus.BAD_GATEWAY, error.message, hint=error.hint or "")
