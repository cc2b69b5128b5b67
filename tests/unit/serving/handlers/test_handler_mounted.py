"""Apps that exist already: found by name, started, asked, stopped."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from portside.errors import PortsideError
from portside.serving.handlers.find import load_handler
from portside.serving.handlers.mounted import MountedApp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    Mount = Callable[..., "AppCaller"]
    Write = Callable[..., Path]

TUTORIAL = """
import json
from flask import Flask, jsonify, request
from inference import load_model, predict

app = Flask(__name__)
pipe = load_model("model")

@app.route("/ping", methods=["GET"])
def ping():
    return "pong"

@app.route("/invocations", methods=["POST"])
def invocations():
    body = request.json
    if "strings" not in body:
        return jsonify({"error": "Invalid Request"}), 400
    return json.dumps(predict(body["strings"], pipe=pipe), indent=4)
"""

STARLETTE = """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

events = []

@asynccontextmanager
async def lifespan(app):
    events.append("startup")
    yield {"model": 10}
    events.append("shutdown")

async def invoke(request: Request):
    return JSONResponse(request.state.model * (await request.json()), headers={"X-Seen": "1"})

def make_app():
    return Starlette(routes=[Route("/invocations", invoke, methods=["POST"])], lifespan=lifespan)

app = make_app()
"""


class AppCaller:
    """Asks an app as the listener does."""

    def __init__(self, app: MountedApp) -> None:
        self.app = app

    async def ask(
        self,
        path: str,
        body: bytes = b"",
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "query_string": b"a=1",
            "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        await self.app(scope, receive, send)
        return sent

    async def status(self, path: str, *, method: str = "GET") -> int:
        return int((await self.ask(path, method=method))[0]["status"])


@pytest.fixture
async def mount(
    tmp_path: Path, write: Callable[..., Path]
) -> AsyncIterator[Callable[..., AppCaller]]:
    """`mount(code, name)` is a caller of the app that `app.py` defines, not yet started."""
    apps: list[MountedApp] = []

    def make(code: str, name: str = "app:app", *, threads: int = 1) -> AppCaller:
        write(code, "code/app.py")
        app = load_handler(tmp_path, app=name, threads=threads)
        assert isinstance(app, MountedApp)
        apps.append(app)
        return AppCaller(app)

    yield make
    for app in apps:
        await app.shutdown()


# --- Finding ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("app", "not of the form `module:attribute`"),
        ("no_such_module:app", "no module `no_such_module`"),
        ("app:missing", "`app` has no `missing`"),
        ("app:number", "`int` is no ASGI or WSGI app"),
        ("app:broken()", r"`broken\(\)` of the app `app:broken\(\)` raised ZeroDivisionError"),
        ("raising:app", "importing the app `raising:app` raised ZeroDivisionError"),
        ("needing:app", "raised ModuleNotFoundError: No module named 'no_such_package'"),
    ],
)
def test_a_name_that_leads_nowhere(tmp_path: Path, write: Write, name: str, message: str):
    write("number = 3\ndef broken(): 1 / 0", "code/app.py")
    write("1 / 0", "code/raising.py")
    write("import no_such_package", "code/needing.py")

    with pytest.raises(PortsideError, match=message):
        load_handler(tmp_path, app=name)


async def test_an_app_that_is_named_wins_over_the_users_functions(mount: Mount, write: Write):
    write("def predict(data): return 1")

    assert mount("async def app(scope, receive, send): ...")


async def test_an_app_is_found_in_the_working_directory(
    mount: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write
):
    write(
        "def make():\n  async def app(scope, receive, send): ...\n  return app", "cwd/site_app.py"
    )
    monkeypatch.chdir(tmp_path / "cwd")

    assert mount("", "site_app:make()")


# --- WSGI ------------------------------------------------------------------------


async def test_the_tutorials_flask_app_runs_unchanged(mount: Mount, write: Write):
    write(
        "def load_model(d): return str.upper\ndef predict(data, pipe): return list(map(pipe, data))"
    )
    caller = mount(TUTORIAL)
    await caller.app.startup()

    json_type = {"content-type": "application/json"}
    start, body = await caller.ask("/invocations", b'{"strings": ["a"]}', headers=json_type)
    refused = await caller.ask("/invocations", b"{}", headers=json_type)
    ping = await caller.ask("/ping", method="GET")

    assert (start["status"], body["body"], body["more_body"]) == (200, b'[\n    "A"\n]', False)
    assert refused[0]["status"] == 400
    assert ping[1]["body"] == b"pong"


WSGI = """
import json, threading
def app(environ, start_response):
    kept = {key: environ[key] for key in sorted(environ) if key.isupper()}
    kept["body"] = environ["wsgi.input"].read().decode()
    kept["multithread"] = environ["wsgi.multithread"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(kept).encode()]
"""


async def test_the_environment_is_that_of_pep_3333(mount: Mount):
    import json

    headers = {"content-type": "text/csv", "x-a": "1", "content-length": "9"}
    sent = await mount(WSGI).ask("/é", b"body", headers=headers)
    environ = json.loads(b"".join(message.get("body", b"") for message in sent))

    assert environ == {
        "CONTENT_LENGTH": "4",
        "CONTENT_TYPE": "text/csv",
        "HTTP_X_A": "1",
        "PATH_INFO": "/é".encode().decode("latin-1"),
        "QUERY_STRING": "a=1",
        "REMOTE_ADDR": "",
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "body": "body",
        "multithread": False,
    }


async def test_what_a_wsgi_app_yields_is_streamed_and_closed(mount: Mount):
    caller = mount("""
closed = []
class Chunks(list):
    def close(self): closed.append(True)
def app(environ, start_response):
    write = start_response("200 OK", [])
    write(b"written ")
    return Chunks([b"a", b"", b"b"])
""")

    sent = await caller.ask("/invocations")

    bodies = [(message["body"], message["more_body"]) for message in sent[1:]]
    assert bodies == [(b"written ", True), (b"a", True), (b"b", True), (b"", False)]
    import sys

    assert sys.modules["app"].closed == [True]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def app(environ, start_response): return [b'x']", "did not call `start_response`"),
        ("def app(environ, start_response): raise RuntimeError('theirs')", "theirs"),
    ],
)
async def test_what_a_wsgi_app_raises_is_raised(mount: Mount, code: str, message: str):
    with pytest.raises(RuntimeError, match=message):
        await mount(code).ask("/invocations")


async def test_ping_is_answered_while_every_thread_predicts(mount: Mount):
    caller = mount("""
import threading
released = threading.Event()
def app(environ, start_response):
    if environ["PATH_INFO"] == "/invocations":
        released.wait(10)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
""")
    import sys

    busy = asyncio.create_task(caller.ask("/invocations"))
    await asyncio.sleep(0)

    assert await asyncio.wait_for(caller.status("/ping"), 5) == 200
    assert not busy.done()
    sys.modules["app"].released.set()
    assert (await busy)[1]["body"] == b"ok"


async def test_threads_end_with_the_app(mount: Mount):
    caller = mount(WSGI)
    await caller.ask("/invocations")

    await caller.app.shutdown()
    for thread in threading.enumerate():
        if thread.name.startswith("wsgi"):
            thread.join(5)

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("wsgi")]


# --- ASGI ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["app:app", "app:make_app()"])
async def test_an_asgi_app_is_started_asked_and_stopped(mount: Mount, name: str):
    caller = mount(STARLETTE, name)
    import sys

    await caller.app.startup()
    start, body = await caller.ask("/invocations", b"4")
    await caller.app.shutdown()

    assert body["body"] == b"40"
    assert (b"x-seen", b"1") in start["headers"]
    assert sys.modules["app"].events == ["startup", "shutdown"]


@pytest.mark.parametrize(
    "code",
    [
        "async def app(scope, receive, send):\n  assert scope['type'] == 'http'",
        "async def app(scope, receive, send): ...",
    ],
)
async def test_an_app_without_lifespan_is_served(mount: Mount, code: str):
    caller = mount(code)

    await asyncio.wait_for(caller.app.startup(), 5)
    await asyncio.wait_for(caller.app.shutdown(), 5)


async def test_an_app_that_does_not_start_says_why(mount: Mount):
    caller = mount("""
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no weights"})
""")

    with pytest.raises(PortsideError, match="the app `app:app` did not start: no weights"):
        await caller.app.startup()


@pytest.mark.parametrize(
    ("status", "seen"), [(200, 200), (404, 200), (405, 200), (503, 503), (500, 500)]
)
async def test_an_app_without_ping_is_healthy(mount: Mount, status: int, seen: int):
    caller = mount(f"""
async def app(scope, receive, send):
    await send({{"type": "http.response.start", "status": {status}, "headers": []}})
    await send({{"type": "http.response.body", "body": b"theirs"}})
""")

    start, body = await caller.ask("/ping", method="GET")

    assert start["status"] == seen
    assert body["body"] == (b"theirs" if status == seen else b"")


async def test_other_paths_are_the_apps_own(mount: Mount):
    caller = mount(STARLETTE)
    await caller.app.startup()

    assert await caller.status("/anything") == 404
    assert await caller.status("/invocations") == 405
