"""A SQLite file of ours: opened, brought up to date, written to in one piece or not at all.

The file is in WAL mode with synchronous=NORMAL: a commit has then reached the kernel, which is
all that `kill -9` asks for (only a power cut may take the last commits, never the file's
consistency), and it costs no fsync.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from portside.errors import PortsideError
from portside.local.state.migration import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class StateFileError(PortsideError):
    """The file cannot be written now, as a rule because its disk is full; nothing was changed."""


@contextmanager
def writing() -> Iterator[None]:
    """Around what writes to SQLite: raises `StateFileError` where it cannot."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StateFileError(
            f"could not write to the state file: {error}",
            hint="Make room on the disk of the data folder.",
        ) from error


def open_database(path: Path, *, migrations: tuple[tuple[int, str], ...]) -> sqlite3.Connection:
    """Open a file of ours, made or brought up to date as needed; raises PortsideError."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection, path, migrations=migrations)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise PortsideError(
            f"could not open the state file `{path}`: {error}",
            hint="Move the file away to start empty, or restore it from a copy.",
        ) from error
    except PortsideError:
        connection.close()
        raise
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; raises `StateFileError`."""
    with writing():
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:  # SQLite ends one itself on a full disk
                connection.execute("ROLLBACK")


def column(connection: sqlite3.Connection, sql: str, *values: str | int) -> list[str]:
    """The first column of what a query finds, where it is text."""
    return [row[0] for row in connection.execute(sql, values)]
