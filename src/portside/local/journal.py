"""The changes of IAM, in the order in which they were made, in a file that outlives the process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

_READING: Final = ("Get", "List", "Simulate", "Generate")
"""How the names of IAM's operations begin that change nothing. STS's change nothing we keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request to moto with all that its outcome depends on."""

    time_ms: int
    seed: int
    service: str
    method: str
    path: str
    query: str
    content_type: str
    body: bytes

    @property
    def action(self) -> str:
        """The operation's name, which the query protocol has in the body or in the query."""
        text = self.body.decode(errors="replace") if self.method == "POST" else self.query
        return parse_qs(text).get("Action", [""])[0]

    @property
    def changes(self) -> bool:
        """Whether it is to be played back."""
        return self.service == "iam" and not self.action.startswith(_READING)


class Journal:
    """Changes in the order in which they were made. Used by one thread at a time."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")  # `kill -9` loses nothing of WAL
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS journal (number INTEGER PRIMARY KEY, time_ms INTEGER,"
            " seed INTEGER, service TEXT, method TEXT, path TEXT, query TEXT, content_type TEXT,"
            " body BLOB)"
        )

    def append(self, entry: Entry) -> None:
        """Keep a change."""
        self._connection.execute(
            "INSERT INTO journal VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(entry)
        )

    def entries(self) -> Iterator[Entry]:
        """All changes, oldest first."""
        rows = self._connection.execute(
            "SELECT time_ms, seed, service, method, path, query, content_type, body"
            " FROM journal ORDER BY number"
        )
        for time_ms, seed, service, method, path, query, content_type, body in rows:
            yield Entry(
                time_ms=time_ms,
                seed=seed,
                service=service,
                method=method,
                path=path,
                query=query,
                content_type=content_type,
                body=body,
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
