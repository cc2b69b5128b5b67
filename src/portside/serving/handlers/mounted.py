"""An ASGI or WSGI app that exists already (FastAPI, Starlette, Flask, …), taken in as it is.

    PORTSIDE_APP=app:app            the attribute `app` of the module `app`
    PORTSIDE_APP=app:make_app()     what the function `make_app` returns

Requests reach the app unchanged, `/ping` and `/invocations` and whatever other
routes it has. One thing is added: where the app has no `/ping`, it is answered
for it with 200.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from portside import contract
from portside.errors import PortsideError
from portside.serving.handlers.program import name_error
from portside.serving.handlers.wsgi import Message, Receive, Send, WsgiAdapter

if TYPE_CHECKING:
    from types import ModuleType

AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]

_NO_SUCH_ROUTE: Final = (404, 405)

_logger: Final = logging.getLogger(__name__)


def load_app(name: str, model_dir: Path, *, threads: int) -> MountedApp:
    """Import the app that `name` points to.

    On `sys.path` come first the model's code folder, the model folder and the working directory.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise PortsideError(
            f"cannot find the app `{name}`: not of the form `module:attribute`",
            hint=f"set `{contract.ENV_APP}` to, for example, `app:app`",
        )
    sys.dont_write_bytecode = True  # not into the model folder
    sys.path[:0] = [str(model_dir / contract.CODE_DIR_NAME), str(model_dir), str(Path.cwd())]
    app = _resolve(_import(module_name, name), attribute, name=name)
    if not callable(app):
        raise PortsideError(f"cannot serve `{name}`: `{type(app).__name__}` is no ASGI or WSGI app")
    return MountedApp(app, name=name, threads=threads)


class MountedApp:
    """An ASGI app, or a WSGI app behind an adapter."""

    def __init__(self, app: Callable[..., Any], *, name: str, threads: int) -> None:
        self._name = name
        self._adapter = None if _is_asgi(app) else WsgiAdapter(app, threads=threads)
        self._app: AsgiApp = self._adapter or app
        self._lifespan = None if self._adapter else _Lifespan(self._app)

    async def startup(self) -> None:
        """Tell the app to start, in the event loop that will call it; it is ready afterwards."""
        if self._lifespan is not None and (reason := await self._lifespan.startup()) is not None:
            raise PortsideError(f"the app `{self._name}` did not start: {reason}")

    async def shutdown(self) -> None:
        """Tell the app to stop, once no request is in flight any more."""
        if self._lifespan is not None:
            await self._lifespan.shutdown()
        if self._adapter is not None:
            self._adapter.close()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Hand a request over; an error that the app raises is raised."""
        if self._lifespan is not None:
            # The ASGI specification: every request gets a copy of what startup left there.
            scope["state"] = self._lifespan.state.copy()
        if scope["type"] == "http" and scope["path"] == contract.PING_PATH:
            send = _PingSend(send)
        await self._app(scope, receive, send)


class _PingSend:
    """Makes 200 of the answer of an app that has no `/ping`."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] in _NO_SUCH_ROUTE:
            self._is_replaced = True
            message = {**message, "status": 200, "headers": [(b"content-length", b"0")]}
        elif self._is_replaced:
            message = {**message, "body": b""}
        await self._send(message)


# --- Startup and shutdown -------------------------------------------------------


class _Lifespan:
    """The lifespan protocol, spoken by a task that lives as long as the app.

    https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """

    def __init__(self, app: AsgiApp) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> str | None:
        """Why the app could not start; None if it did, or does not speak the protocol."""
        self._task = asyncio.create_task(self._speak())
        answer = await self._ask("lifespan.startup")
        failed = answer["type"] == "lifespan.startup.failed"
        return answer.get("message") or "it gave no reason" if failed else None

    async def shutdown(self) -> None:
        """Wait until the app has cleaned up."""
        if self._task is not None and not self._task.done():
            await self._ask("lifespan.shutdown")
            await self._task

    async def _ask(self, message_type: str) -> Message:
        await self._to_app.put({"type": message_type})
        return await self._from_app.get()

    async def _speak(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._to_app.get, self._from_app.put)
        # An app that knows no lifespan raises whatever it likes, and is served all the same.
        except Exception as error:  # noqa: BLE001 - see above
            _logger.info("the app takes no part in startup and shutdown: %s", name_error(error))
        finally:
            await self._from_app.put({"type": "lifespan.unsupported"})


# --- Finding it -----------------------------------------------------------------


def _import(module_name: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if f"{module_name}.".startswith(f"{error.name}."):
            raise PortsideError(
                f"cannot find the app `{name}`: no module `{module_name}`",
                hint=f"put `{module_name}.py` into the model's `code` folder or the image's "
                "working directory",
            ) from error
        raise PortsideError(f"importing the app `{name}` raised {name_error(error)}") from error
    except (Exception, SystemExit) as error:
        raise PortsideError(f"importing the app `{name}` raised {name_error(error)}") from error


def _resolve(module: ModuleType, attribute: str, *, name: str) -> object:
    attribute, called, _ = attribute.partition("()")
    if not hasattr(module, attribute):
        raise PortsideError(
            f"cannot find the app `{name}`: `{module.__name__}` has no `{attribute}`"
        )
    found = getattr(module, attribute)
    if not called:
        return found
    try:
        return found()
    except (Exception, SystemExit) as error:
        raise PortsideError(
            f"`{attribute}()` of the app `{name}` raised {name_error(error)}"
        ) from error


def _is_asgi(app: Callable[..., Any]) -> bool:
    """ASGI apps are coroutine functions, or objects that are called like one."""
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(
        getattr(app, "__call__", None)  # noqa: B004 - not whether it can be called, but how
    )
