"""The routes of the page; blocking calls to AWS run in threads."""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from portside.aws.session import Session
from portside.console import view

LOOPBACK_NAMES: Final = ["127.0.0.1", "localhost"]
"""Any other name in `Host` is another site's that was made to point here (DNS rebinding)."""

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"
"""The page loads nothing and runs nothing; its styles stand in it."""

_TEMPLATES: Final = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True
)


class Console:
    """The page of one account; `session` reaches it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        # A page of another site can send our form, but cannot read what stands in it.
        self._token = secrets.token_urlsafe()

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[Route("/", self.show), Route("/try", self.try_text, methods=["POST"])],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_NAMES)],
        )

    async def show(self, request: Request) -> HTMLResponse:  # noqa: ARG002  starlette's signature
        """All endpoints as they stand."""
        return await self._page()

    async def try_text(self, request: Request) -> HTMLResponse:
        """The same, with the answer of one of them."""
        form = parse_qs((await request.body()).decode(errors="replace"))
        endpoint, text, token = (form.get(name, [""])[0] for name in ("endpoint", "text", "token"))
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return HTMLResponse("This form was not sent by the console.", status_code=403)
        return await self._page(
            await run_in_threadpool(view.try_text, self._session, endpoint, text)
        )

    async def _page(self, tried: view.TryView | None = None) -> HTMLResponse:
        page = await run_in_threadpool(view.page, self._session)
        shown = _TEMPLATES.get_template("page.html").render(
            page=page, tried=tried, token=self._token
        )
        return HTMLResponse(shown, headers={"Content-Security-Policy": _POLICY})
