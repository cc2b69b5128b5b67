"""The changes that were asked of moto, in the order in which they were made, in a file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from portside.local.state.database import writing

_READING: Final = {
    "iam": ("Get", "List", "Simulate", "Generate"),
    "sts": ("",),  # whom it names is kept by nobody
    "sns": ("Get", "List", "Check", "Publish"),
    # What PutMetricData says is kept in a file of its own, see `metric_store`.
    "cloudwatch": ("Get", "List", "Describe", "PutMetricData"),
    "application-autoscaling": ("Describe", "Get", "List"),
}
"""How the names of operations begin that change nothing which is to be kept, by service."""

_COLUMNS: Final = "time_ms, seed, service, method, path, query, content_type, target, body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A request to moto with all that its outcome depends on.

    `target` is the header `X-Amz-Target` of the JSON protocol, empty in the query protocol.
    """

    time_ms: int
    seed: int
    service: str
    method: str
    path: str
    query: str
    content_type: str
    body: bytes
    target: str = ""

    @property
    def action(self) -> str:
        """The operation's name."""
        if self.target:
            return self.target.rpartition(".")[2]
        return str(self.params.get("Action", ""))

    @property
    def params(self) -> dict[str, Any]:
        """What was asked: JSON's members, or the query protocol's flat names; {} where damaged."""
        text = self.body.decode(errors="replace") if self.method == "POST" else self.query
        if not self.target:
            return {name: values[0] for name, values in parse_qs(text).items()}
        with suppress(ValueError):
            if isinstance(found := json.loads(text), dict):
                return found
        return {}

    @property
    def changes(self) -> bool:
        """Whether it is to be played back."""
        return not self.action.startswith(_READING[self.service])


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
        columns = [row[1] for row in self._connection.execute("PRAGMA table_info(journal)")]
        if "target" not in columns:  # the first form knew IAM only, which has none
            self._connection.execute(
                "ALTER TABLE journal ADD COLUMN target TEXT NOT NULL DEFAULT ''"
            )

    def append(self, entry: Entry) -> int:
        """Keep a change; its number. Raises `StateFileError`."""
        with writing():
            done = self._connection.execute(
                f"INSERT INTO journal ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  no input
                [getattr(entry, column) for column in _COLUMNS.split(", ")],
            )
        return done.lastrowid or 0

    def has(self, service: str) -> bool:
        """Whether there is any change of a service."""
        found = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM journal WHERE service = ?)", (service,)
        )
        return bool(found.fetchone()[0])

    def entries(self, service: str) -> dict[int, Entry]:
        """All changes of a service by their numbers, oldest first."""
        rows = self._connection.execute(
            f"SELECT number, {_COLUMNS} FROM journal WHERE service = ? ORDER BY number",  # noqa: S608  no input
            (service,),
        )
        return {
            number: Entry(**dict(zip(_COLUMNS.split(", "), row, strict=True)))
            for number, *row in rows
        }

    def drop(self, numbers: Iterable[int]) -> None:
        """Forget changes."""
        self._connection.execute("BEGIN")
        with self._connection:
            self._connection.executemany(
                "DELETE FROM journal WHERE number = ?", [(number,) for number in numbers]
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
