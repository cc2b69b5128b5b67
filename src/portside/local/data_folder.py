"""The data folder: everything that the local SageMaker keeps, under one path.

    keys.json        the access keys, made once or the user's own (mode 0600)
    lock             held while a process uses the folder; holds its pid
    running.json     where to reach it; written when it answers, removed when it stops
    state.sqlite3    Models, EndpointConfigs, Endpoints, tags
    iam.sqlite3      the journal of IAM and of what else moto answers, and metric data
    objects/         the object store's files
    images/          the registry's blobs, uploads and index
    logs/ models/ trees/ instances/
    gateway.log

`portside local status` and its siblings read `keys.json` and `running.json` through
`read_keys` and `find_running`; only the process that holds the lock writes.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import string
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

from portside.contract import INVOCATION_TIMEOUT_S
from portside.errors import PortsideError
from portside.local import DEFAULT_IDLE_TIMEOUT_S
from portside.local.instance import leftover

_KEY_PREFIX: Final = "PSIDLOCAL"
"""What no key of AWS begins with, so that a key of the one is never taken for the other's."""
_KEY_LENGTH: Final = 20
_SECRET_LENGTH: Final = 40
"""Both lengths are those of AWS's long-lived keys."""
OWN_STORE: Final = "own"
"""In place of a URL where the object store is one of our own, in the folder."""
_START_LOG: Final = "start.log"
"""What `portside local start` makes before the folder is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A pair of access keys; the folder's is what all others that the gateway takes come from."""

    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where a running local SageMaker is reached."""

    pid: int
    process_start_time: str
    """In the system's spelling; tells the process from another that got its pid later."""
    url: str
    host: str
    """Where it listens; `url` is how to reach it from this machine."""
    port: int
    s3: str
    """The URL of the store that it passes S3 on to, or `own`."""
    account: str
    region: str
    engine: str
    """What instances run in, as chosen."""
    started_at: str
    """ISO 8601, UTC."""
    idle_timeout_s: float = DEFAULT_IDLE_TIMEOUT_S
    """After so long a serverless instance that nobody calls is stopped."""
    iam: str = "on"
    """`on` or `off`: whether it is looked at what execution roles may do."""
    invocation_timeout_s: float = INVOCATION_TIMEOUT_S
    pace: float = 1.0
    strict_payload: bool = False
    """Whether real-time bodies may have 6 MB only."""


_Kept = TypeVar("_Kept", Keys, Running)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The paths within; nothing is made by looking."""

    path: Path

    @property
    def keys_file(self) -> Path:
        """The access keys."""
        return self.path / "keys.json"

    @property
    def lock_file(self) -> Path:
        """Locked as long as a process uses the folder."""
        return self.path / "lock"

    @property
    def running_file(self) -> Path:
        """Where to reach that process."""
        return self.path / "running.json"

    @property
    def store_file(self) -> Path:
        """SageMaker's resources."""
        return self.path / "state.sqlite3"

    @property
    def journal_file(self) -> Path:
        """IAM's changes."""
        return self.path / "iam.sqlite3"

    @property
    def objects(self) -> Path:
        """The object store."""
        return self.path / "objects"

    @property
    def images(self) -> Path:
        """The registry."""
        return self.path / "images"

    @property
    def logs(self) -> Path:
        """What instances printed."""
        return self.path / "logs"

    @property
    def models(self) -> Path:
        """Unpacked artifacts."""
        return self.path / "models"

    @property
    def trees(self) -> Path:
        """Unpacked images."""
        return self.path / "trees"

    @property
    def instances(self) -> Path:
        """Folders of running instances."""
        return self.path / "instances"

    @property
    def containers(self) -> Path:
        """Folders of running instances that are containers."""
        return self.path / "containers"

    @property
    def gateway_log(self) -> Path:
        """One line per request, and what went wrong."""
        return self.path / "gateway.log"

    def clear(self) -> None:
        """Remove all resources and objects; keys, lock and the gateway's log stay."""
        emptied = (self.objects, self.images, self.logs, self.models, self.trees, self.instances)
        for folder in emptied:
            shutil.rmtree(folder, ignore_errors=True)
        for database in (self.store_file, self.journal_file):
            for file in self.path.glob(f"{database.name}*"):  # with its -wal and -shm
                file.unlink(missing_ok=True)


@contextmanager
def hold(path: Path) -> Iterator[DataFolder]:
    """Make the folder where it is missing, and keep other processes out until the end."""
    with ExitStack() as held:
        try:
            folder = DataFolder(path.resolve())
            folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _tighten(folder.path)
            lock = held.enter_context(folder.lock_file.open("a+"))
            _take(lock, folder.path)
        except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle
            message = f"could not use `{path}` as the data folder: {_reason(error)}"
            raise PortsideError(message, hint="name another with `--data DIR`") from error
        yield folder


def _tighten(path: Path) -> None:
    """For its owner's eyes only, where it is new; a folder with other things in it stays."""
    is_new = {entry.name for entry in path.iterdir()} <= {_START_LOG}
    if is_new and path.stat().st_uid == os.getuid():
        path.chmod(0o700)


def _take(lock: TextIO, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        raise PortsideError(
            f"could not use `{path}` as the data folder: process {holder} uses it",
            hint=f"stop it with `portside local stop --data {path}`",
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


# --- Keys --------------------------------------------------------------------


def keep_keys(folder: DataFolder, chosen: Keys | None = None) -> Keys:
    """The folder's keys: those that were chosen, else those it has, else new ones."""
    if chosen is not None or not folder.keys_file.exists():
        try:
            _write(folder.keys_file, asdict(chosen or _new_keys()))
        except OSError as error:
            raise PortsideError(
                f"could not write the access keys to `{folder.keys_file}`: {_reason(error)}",
                hint="make room there, or name another folder with `--data DIR`",
            ) from error
    return read_keys(folder)


def read_keys(folder: DataFolder) -> Keys:
    """The folder's keys, which must be there."""
    try:
        return _read(folder.keys_file, Keys)
    except (OSError, ValueError) as error:
        raise PortsideError(
            f"could not read the access keys in `{folder.keys_file}`: {_reason(error)}",
            hint=f"remove `{folder.keys_file}` and start again: new keys are made",
        ) from error


def _new_keys() -> Keys:
    rest = _draw(string.ascii_uppercase + string.digits, _KEY_LENGTH - len(_KEY_PREFIX))
    # No other characters: a secret that begins with `-` would be an option to a command line.
    secret = _draw(string.ascii_letters + string.digits, _SECRET_LENGTH)
    return Keys(access_key_id=_KEY_PREFIX + rest, secret_access_key=secret)


def _draw(characters: str, length: int) -> str:
    return "".join(secrets.choice(characters) for _ in range(length))


# --- Who runs ----------------------------------------------------------------


def announce(folder: DataFolder, running: Running) -> None:
    """Say where this process is reached."""
    _write(folder.running_file, asdict(running))


def withdraw(folder: DataFolder) -> None:
    """Take the announcement back."""
    folder.running_file.unlink(missing_ok=True)


def find_running(folder: DataFolder) -> Running | None:
    """The process that serves the folder; None where it has stopped, or was killed."""
    try:
        running = _read(folder.running_file, Running)
    except (OSError, ValueError):
        return None
    return running if leftover.start_time(running.pid) == running.process_start_time else None


# --- Small JSON files --------------------------------------------------------


def _write(file: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all, for the owner's eyes only."""
    draft = file.with_name(f".{file.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        json.dump(content, out, indent=2)
        out.write("\n")
    draft.replace(file)


def _read(file: Path, kind: type[_Kept]) -> _Kept:
    try:
        content = json.loads(file.read_text())
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    names = [field.name for field in fields(kind)]
    held = content if isinstance(content, dict) else {}
    missing = [name for name in names if held.get(name) in {None, ""}]
    if missing:
        raise ValueError(f"`{missing[0]}` is missing")
    return kind(**{name: held[name] for name in names})


def _reason(error: Exception) -> str:
    return error.strerror or "" if isinstance(error, OSError) else str(error)
