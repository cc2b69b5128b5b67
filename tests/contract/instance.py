"""Portside's own server as a process, on a model folder and a port that the system chose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.contract.wire import PATIENCE_S, Target, request_bytes

SENTENCE: Final = "My name is Ada Lovelace and I live at 10 Downing Street"

GOOD_BODY: Final = json.dumps({"strings": [SENTENCE]}).encode()

MODULE: Final = (sys.executable, "-m", "portside.serving")

ON_A_FREE_PORT: Final = ("serve", "--host", "127.0.0.1", "--port", "0")


def eventually(condition: Callable[[], Any], *, within_s: float = PATIENCE_S) -> Any:
    """What `condition` returns, once that is true."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.01)
    return value


class Instance:
    """A running `python -m portside.serving serve`; its log goes to a file."""

    def __init__(
        self,
        model_dir: Path,
        log: Path,
        *,
        arguments: Sequence[str] = ON_A_FREE_PORT,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self._log = log
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                [*prefix, *MODULE, *arguments],
                env=inherited | {"SM_MODEL_DIR": str(model_dir)} | dict(environment or {}),
                stdout=sink,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        """Everything that it has printed."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its log, line by line; the last line may be half written."""
        lines = self.text.split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def record(self, message: str) -> dict[str, Any] | None:
        """The first line of the log with that message."""
        return next((line for line in self.records if line["message"] == message), None)

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self.process.poll() is None

    @property
    def listening(self) -> dict[str, Any]:
        """The line of the log that says where it listens; waits for it."""

        def said() -> dict[str, Any] | None:
            if not self.is_running:
                raise AssertionError(f"the instance ended: {self.text}")
            return self.record("listening")

        line: dict[str, Any] = eventually(said)
        return line

    @property
    def target(self) -> Target:
        """Where it answers."""
        url = f"http://127.0.0.1:{self.listening['port']}"
        return Target(url=url, body=GOOD_BODY, content_type="application/json")

    def until_ready(self) -> Target:
        """Where it answers, once it calls itself healthy."""
        target = self.target
        eventually(lambda: self.is_running and target.ping().status == 200)
        return target

    def stop(self) -> int:
        """Send SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait(PATIENCE_S)


def write_program(model_dir: Path, code: str) -> Path:
    """A model folder whose `inference.py` holds `code`."""
    folder = model_dir / "code"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "inference.py").write_text(code, encoding="utf-8")
    return model_dir


def json_request(value: object, **headers: str) -> bytes:
    """The bytes of a request for a prediction of a JSON value."""
    sent = {"Content-Type": "application/json"} | {
        name.replace("_", "-"): text for name, text in headers.items()
    }
    return request_bytes("POST", "/invocations", headers=sent, body=json.dumps(value).encode())
