"""Repositories: their settings, their policies, their own tags."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from portside.local.state.database import column, transaction, writing

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository; `settings` are members of botocore's `Repository`, told as they were given."""

    name: str
    created_ms: int
    settings: dict[str, Any] = field(default_factory=dict)
    lifecycle_policy: str | None = None
    policy: str | None = None


class RepositoryTable:
    """Repositories, by name. What writes raises `StateFileError`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, repository: Repository, *, tags: Mapping[str, str]) -> bool:
        """Keep a new repository; False where its name is taken."""
        if self.find(repository.name) is not None:
            return False
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO repository VALUES (?, ?, ?, NULL, NULL)",
                (repository.name, repository.created_ms, json.dumps(repository.settings)),
            )
            self._write_tags(repository.name, tags)
        return True

    def find(self, name: str) -> Repository | None:
        """The repository of this name."""
        row = self._connection.execute(
            "SELECT * FROM repository WHERE name = ?", (name,)
        ).fetchone()
        return None if row is None else _repository(row)

    def page(self, *, after: str, limit: int) -> list[Repository]:
        """Those whose names come after one, in order."""
        rows = self._connection.execute(
            "SELECT * FROM repository WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
        )
        return [_repository(row) for row in rows]

    def save(self, repository: Repository) -> None:
        """Overwrite what is kept of a repository."""
        with writing():
            self._connection.execute(
                "UPDATE repository SET settings = ?, lifecycle_policy = ?, policy = ?"
                " WHERE name = ?",
                (
                    json.dumps(repository.settings),
                    repository.lifecycle_policy,
                    repository.policy,
                    repository.name,
                ),
            )

    def remove(self, name: str) -> tuple[list[str], list[str]]:
        """Forget a repository with all in it; the digests that it had, and its uploads."""
        digests = column(self._connection, "SELECT digest FROM layer WHERE repository = ?", name)
        uploads = column(self._connection, "SELECT id FROM upload WHERE repository = ?", name)
        with writing():
            self._connection.execute("DELETE FROM repository WHERE name = ?", (name,))
        return digests, uploads

    def tags(self, name: str) -> dict[str, str]:
        """The tags of a repository itself, by key."""
        rows = self._connection.execute(
            "SELECT key, value FROM repository_tag WHERE repository = ? ORDER BY key", (name,)
        )
        return dict(rows.fetchall())

    def add_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Give a repository tags; a key that it has already takes the new value."""
        with transaction(self._connection):
            self._write_tags(name, tags)

    def remove_tags(self, name: str, keys: list[str]) -> None:
        """Take tags from a repository; keys that it has not are passed over."""
        with transaction(self._connection):
            self._connection.executemany(
                "DELETE FROM repository_tag WHERE repository = ? AND key = ?",
                [(name, key) for key in keys],
            )

    def _write_tags(self, name: str, tags: Mapping[str, str]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO repository_tag VALUES (?, ?, ?)",
            [(name, key, value) for key, value in tags.items()],
        )


def _repository(row: tuple[Any, ...]) -> Repository:
    name, created_ms, settings, lifecycle_policy, policy = row
    return Repository(
        name=name,
        created_ms=created_ms,
        settings=json.loads(settings),
        lifecycle_policy=lifecycle_policy,
        policy=policy,
    )
