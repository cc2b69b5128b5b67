"""The local AWS as a process on this machine: found, started, stopped.

It runs detached from the terminal, keeps everything in one data folder, and says in
`running.json` there where it listens.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from portside.cli import output
from portside.errors import MissingToolError, PortsideError, UsageError
from portside.local import DEFAULT_PORT
from portside.local.data_folder import DataFolder, Keys, Running, find_running, read_keys

if TYPE_CHECKING:
    from portside.aws.session import Address

ENV_DATA = "PORTSIDE_LOCAL_DATA"
ENV_PORT = "PORTSIDE_LOCAL_PORT"

HIGHEST_PORT = 65535

START_TIMEOUT_S = 60.0
"""Far above the second or two that it takes; a disk that is busy may take longer."""

STOP_TIMEOUT_S = 40.0
"""Instances get 30 s to finish what is in flight, and the store some seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a user may choose at the start; None leaves it to the default."""

    host: str | None = None
    port: int | None = None
    account: str | None = None
    region: str | None = None
    s3: str | None = None
    engine: str | None = None
    iam: str | None = None
    idle_timeout_s: float | None = None
    invocation_timeout_s: float | None = None
    pace: float | None = None
    strict_payload: bool | None = None
    allow_remote: bool = False

    def differs_from(self, running: Running) -> str | None:
        """What was chosen and is otherwise in one that runs; None where nothing is."""
        names = ("host", "port", "account", "region", "s3", "engine", "iam", "idle_timeout_s")
        for name in (*names, "invocation_timeout_s", "pace", "strict_payload"):
            chosen = getattr(self, name)
            if chosen not in {None, getattr(running, name)}:
                return name
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A local AWS that is running, and how to speak to it."""

    running: Running
    keys: Keys

    @property
    def address(self) -> Address:
        """Where to send requests, and as whom."""
        # Here, because it brings boto3, which takes longer than the rest of a start.
        from portside.aws.session import Address  # noqa: PLC0415  see above

        return Address(
            endpoint_url=self.running.url,
            region=self.running.region,
            access_key_id=self.keys.access_key_id,
            secret_access_key=self.keys.secret_access_key,
            account=self.running.account,
        )


def default_folder() -> Path:
    """The data folder where none is named: `$PORTSIDE_LOCAL_DATA`, else the user's data home."""
    if named := os.environ.get(ENV_DATA):
        return Path(named)
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "portside" / "local"


def find(folder: Path | None = None) -> Found | None:
    """The local AWS of a data folder, if it is running."""
    data = _data(folder)
    running = find_running(data)
    if running is None:
        return None
    return Found(running=running, keys=read_keys(data))


def _data(folder: Path | None) -> DataFolder:
    # Absolute, because the process that is started stands in another folder.
    return DataFolder((folder or default_folder()).absolute())


def ensure_running() -> Found:
    """The local AWS of the default folder, started where it is not running.

    Where the usual port is taken by another program and nobody chose a port, a free one
    is used: a deployment needs a local AWS, not this very port.
    """
    found = find()
    if found is not None:
        return found
    port = _named_port()
    if port is None and _is_taken(DEFAULT_PORT):
        output.note(f"port {DEFAULT_PORT} is in use by another program; choosing a free one")
        port = 0
    return start(Choice(port=port))


def start(choice: Choice, folder: Path | None = None) -> Found:
    """Start the local AWS detached from this terminal, and wait until it answers."""
    data = _data(folder)
    if importlib.util.find_spec("aiohttp") is None:
        raise MissingToolError(
            "cannot start the local AWS: it is not installed",
            hint="run `pip install 'portside[local]'`, or in a clone `pip install -e '.[local]'`",
        )
    with output.activity("starting the local AWS"):
        found = _start(choice, data)
    output.note(f"  {found.running.url}, data in {data.path}")
    return found


def stop(folder: Path | None = None) -> bool:
    """Stop the local AWS and wait until it is gone; false where it was not running."""
    data = _data(folder)
    running = find_running(data)
    if running is None:
        return False
    with output.activity("stopping the local AWS"):
        os.kill(running.pid, signal.SIGTERM)
        until = time.monotonic() + STOP_TIMEOUT_S
        while find_running(data) is not None:
            if time.monotonic() > until:
                raise PortsideError(
                    f"the local AWS (process {running.pid}) did not stop in {STOP_TIMEOUT_S:.0f} s",
                    hint=f"run `kill -9 {running.pid}`; nothing that was answered is lost",
                )
            time.sleep(0.05)
    return True


def _start(choice: Choice, data: DataFolder) -> Found:
    data.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "portside.local", "--data", str(data.path)]
    for name, value in (
        ("--host", choice.host),
        ("--port", choice.port),
        ("--account", choice.account),
        ("--region", choice.region),
        ("--s3", choice.s3),
        ("--engine", choice.engine),
        ("--iam", choice.iam),
        ("--idle-timeout-s", choice.idle_timeout_s),
        ("--invocation-timeout-s", choice.invocation_timeout_s),
        ("--pace", choice.pace),
    ):
        argv += [name, str(value)] if value is not None else []
    argv += ["--allow-remote"] if choice.allow_remote else []
    argv += ["--strict-payload"] if choice.strict_payload else []
    errors = data.path / "start.log"
    with os.fdopen(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if (found := find(data.path)) is not None:
            return found
        if process.poll() is not None:
            said = errors.read_text(encoding="utf-8", errors="replace")
            raise _reason(said, code=process.returncode)
        time.sleep(0.01)
    process.terminate()
    raise PortsideError(
        f"the local AWS did not answer in {START_TIMEOUT_S:.0f} s",
        hint=f"read why in `{data.gateway_log}`",
    )


def _reason(said: str, *, code: int) -> PortsideError:
    """What the process printed before it ended: its own message and hint."""
    lines = [line for line in said.splitlines() if line]
    message = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    hint = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
    if message:
        kind = UsageError if code == UsageError.exit_code else PortsideError
        return kind(message[-1], hint=hint[-1] if hint else None)
    last = lines[-1] if lines else "it printed nothing"
    return PortsideError(
        f"the local AWS ended at its start: {last}",
        hint="look into `gateway.log` in its data folder",
    )


def _named_port() -> int | None:
    named = os.environ.get(ENV_PORT)
    if not named:
        return None
    if not named.isdecimal() or int(named) > HIGHEST_PORT:
        raise UsageError(
            f"cannot start the local AWS: `{named}` in `{ENV_PORT}` is not a port",
            hint=f"run `export {ENV_PORT}={DEFAULT_PORT}`, or unset it",
        )
    return int(named)


def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
