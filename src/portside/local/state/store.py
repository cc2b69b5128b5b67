"""What the local SageMaker knows, in one SQLite file: resources and their tags.

All kinds of resource lie in one table, because they are found, listed and
removed alike; what only one kind has is JSON in `members`.

Every method is a finished transaction. Calls are short and come from the event
loop's thread alone, so that there is one connection and no lock.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from portside.local.state.database import open_database, transaction, writing
from portside.local.state.migration import MIGRATIONS
from portside.local.state.resource import Kind, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_COLUMNS: Final = (
    "kind, account, region, name, creation_time_ms, last_modified_time_ms, status, members"
)


class SortKey(StrEnum):
    """What a list can be sorted by, with the API's words; the name settles ties."""

    NAME = "Name"
    CREATION_TIME = "CreationTime"
    STATUS = "Status"

    @property
    def column(self) -> str:
        """The column that holds it."""
        return _SORT_COLUMNS[self]


_SORT_COLUMNS: Final = {
    SortKey.NAME: "name_lower",
    SortKey.CREATION_TIME: "creation_time_ms",
    SortKey.STATUS: "status",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One page of a list.

    Times are exclusive bounds in milliseconds; `after` is the place of the last resource
    of the page before: its value of the sort key, and its lower-cased name.
    """

    kind: Kind
    account: str
    region: str
    limit: int
    sort_by: SortKey = SortKey.CREATION_TIME
    descending: bool = True
    name_contains: str | None = None
    status: str | None = None
    created_before_ms: int | None = None
    created_after_ms: int | None = None
    modified_before_ms: int | None = None
    modified_after_ms: int | None = None
    after: tuple[str | int, str] | None = None


class Store:
    """The resources and their tags, by ARN. What writes raises `StateFileError`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, made or brought up to date as needed."""
        return cls(open_database(path, migrations=MIGRATIONS))

    @property
    def revision(self) -> int:
        """Another after every change, so that what was read may be kept until then."""
        return self._connection.total_changes

    def close(self) -> None:
        """Close the file; SQLite folds the WAL into it."""
        self._connection.close()

    def add(self, resource: Resource, *, tags: Mapping[str, str] | None = None) -> bool:
        """Keep a new resource with its tags; False when its ARN is taken."""
        try:
            with transaction(self._connection):
                self._connection.execute(
                    "INSERT INTO resource VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _row(resource)
                )
                self._write_tags(resource.arn, tags or {})
        except sqlite3.IntegrityError:
            return False
        return True

    def save(self, resource: Resource) -> None:
        """Overwrite what is kept of a resource. One that has gone meanwhile stays gone."""
        with writing():
            self._connection.execute(
                "UPDATE resource SET last_modified_time_ms = ?, status = ?, members = ?"
                " WHERE arn = ?",
                (
                    resource.last_modified_time_ms,
                    resource.status,
                    json.dumps(resource.members),
                    resource.arn,
                ),
            )

    def find(self, arn: str) -> Resource | None:
        """The resource with this ARN."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM resource WHERE arn = ?",  # noqa: S608  a constant
            (arn,),
        ).fetchone()
        return None if row is None else _resource(row)

    def remove(self, arn: str) -> bool:
        """Forget a resource and its tags; False when there is none."""
        with writing():
            done = self._connection.execute("DELETE FROM resource WHERE arn = ?", (arn,))
        return done.rowcount == 1

    def select(self, query: Query) -> list[Resource]:
        """The resources of one page, in order."""
        conditions = dict(_conditions(query))
        where = " AND ".join(conditions)
        direction = "DESC" if query.descending else "ASC"
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM resource WHERE {where}"  # noqa: S608  fixed texts alone
            f" ORDER BY {query.sort_by.column} {direction}, name_lower {direction} LIMIT ?",
            (*(value for values in conditions.values() for value in values), query.limit),
        )
        return [_resource(row) for row in rows]

    def all_of(self, kind: Kind) -> list[Resource]:
        """Every resource of a kind, of whatever account and region, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM resource WHERE kind = ? ORDER BY creation_time_ms",  # noqa: S608  a constant
            (kind,),
        )
        return [_resource(row) for row in rows]

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of a resource, by key."""
        rows = self._connection.execute(
            "SELECT key, value FROM tag WHERE arn = ? ORDER BY key", (arn,)
        )
        return dict(rows.fetchall())

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Give a resource tags; a key that it has already takes the new value."""
        with transaction(self._connection):
            self._write_tags(arn, tags)

    def remove_tags(self, arn: str, keys: list[str]) -> None:
        """Take tags from a resource; keys that it has not are passed over."""
        with transaction(self._connection):
            self._connection.executemany(
                "DELETE FROM tag WHERE arn = ? AND key = ?", [(arn, key) for key in keys]
            )

    def _write_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        self._connection.executemany(
            "INSERT OR REPLACE INTO tag VALUES (?, ?, ?)",
            [(arn, key, value) for key, value in tags.items()],
        )


def _conditions(query: Query) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    yield "kind = ?", (query.kind,)
    yield "account = ?", (query.account,)
    yield "region = ?", (query.region,)
    if query.name_contains is not None:
        yield "instr(name_lower, ?) > 0", (query.name_contains.lower(),)
    if query.status is not None:
        yield "status = ?", (query.status,)
    for condition, bound in (
        ("creation_time_ms < ?", query.created_before_ms),
        ("creation_time_ms > ?", query.created_after_ms),
        ("last_modified_time_ms < ?", query.modified_before_ms),
        ("last_modified_time_ms > ?", query.modified_after_ms),
    ):
        if bound is not None:
            yield condition, (bound,)
    if query.after is not None:
        sign = "<" if query.descending else ">"
        yield f"({query.sort_by.column}, name_lower) {sign} (?, ?)", query.after


def _row(resource: Resource) -> tuple[str | int, ...]:
    return (
        resource.arn,
        resource.kind,
        resource.account,
        resource.region,
        resource.name,
        resource.name.lower(),
        resource.creation_time_ms,
        resource.last_modified_time_ms,
        resource.status,
        json.dumps(resource.members),
    )


def _resource(row: tuple[Any, ...]) -> Resource:
    kind, account, region, name, creation_time_ms, last_modified_time_ms, status, members = row
    return Resource(
        kind=Kind(kind),
        account=account,
        region=region,
        name=name,
        creation_time_ms=creation_time_ms,
        last_modified_time_ms=last_modified_time_ms,
        status=status,
        members=json.loads(members),
    )
