"""What tests of images share: a real registry, real tools, a base, a registry that misbehaves.

Programs are installed with apt where they are missing; a base is made of Debian's packages once for
each checkout, so that no public registry is asked.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from tests import debian as system

IMAGES = Path(__file__).parents[2] / ".portside" / "images"
USER, PASSWORD = "ada", "pass word"
PASSWORD_LINE = "ada:$2b$04$abcdefghijklmnopqrstuuFcV8WPKEefLKdOWfX8pW1yTVya21P7a\n"
"""The same, as `docker-registry` wants it: bcrypt of four rounds."""


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[:3]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def need(*programs: str) -> None:
    """Install what is missing, each in the package of its name, or skip with the reason."""
    system.need(*programs, packages=programs)


def debian(architecture: str) -> Path:
    """A root file system with Python and what wheels count on."""
    tar = IMAGES / f"bookworm-python3-cxx-{architecture}.tar"
    if not tar.exists():
        need("mmdebstrap")
        IMAGES.mkdir(parents=True, exist_ok=True)
        draft = tar.with_name(f"draft-{os.getpid()}.tar")
        options = (f"--architectures={architecture}", "--variant=extract")
        packages = "--include=python3,libstdc++6"
        try:
            run("mmdebstrap", *options, packages, "bookworm", draft)
        except RuntimeError as error:
            draft.unlink(missing_ok=True)
            pytest.skip(f"the base image cannot be made: {error}")
        draft.replace(tar)
    return tar


# --- A real registry --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RealRegistry:
    """Debian's `docker-registry` with a user and a password."""

    host: str
    log: Path
    auth_file: Path

    def requests(self, method: str) -> list[str]:
        """The paths that were asked for with a method, so far."""
        words = [
            line.split('"')[1].split()
            for line in self.log.read_text().splitlines()[1:]
            if '"' in line
        ]
        return [found[1] for found in words if len(found) == 3 and found[0] == method]


@contextmanager
def real_registry(folder: Path) -> Iterator[RealRegistry]:
    need("docker-registry")
    host = f"127.0.0.1:{free_port()}"
    (folder / "htpasswd").write_text(PASSWORD_LINE)
    settings = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": host},
        "auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}},
    }
    (folder / "registry.json").write_text(json.dumps(settings))  # JSON is YAML
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": token}}}))
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["docker-registry", "serve", folder / "registry.json"],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: listens(host))
        yield RealRegistry(host=host, log=log, auth_file=folder / "config.json")
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(host: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def wait_for(is_so: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- `portside build` -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Built:
    result: str
    said: str


def portside_build(*arguments: str | Path, exit_code: int = 0, **environment: str) -> Built:
    """Run the command; skips where the package index is out of reach."""
    done = subprocess.run(
        [sys.executable, "-m", "portside", "build", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if "could not fetch the dependencies" in done.stderr:
        pytest.skip(f"the package index is out of reach: {done.stderr}")
    assert done.returncode == exit_code, done.stderr
    return Built(result=done.stdout.strip(), said=done.stderr)


def fetch(url: str, data: bytes | None = None) -> Any:
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


# --- A registry that does as it is told ---------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Says:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hangs_up: bool = False
    """After half of the body; before the answer if it is empty."""


@dataclass
class ScriptedRegistry:
    """Answers by a function; remembers what it was asked."""

    answer: Callable[[Asked], Says]
    asked: list[Asked] = field(default_factory=list)
    host: str = ""

    def __enter__(self) -> Self:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(
                    method=self.command,
                    path=self.path,
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=self.rfile.read(length),
                )
                owner.asked.append(asked)
                self.say(owner.answer(asked))

            def say(self, says: Says) -> None:
                if says.hangs_up and not says.body:
                    self.close_connection = True
                    return
                self.send_response(says.status)
                headers = {"Content-Length": str(len(says.body)), **says.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(
                        says.body[: len(says.body) // 2] if says.hangs_up else says.body
                    )
                self.close_connection = self.close_connection or says.hangs_up

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815 - http.server's

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
