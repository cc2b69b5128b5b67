from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from portside.errors import PortsideError
from portside.local.state.database import StateFileError
from portside.local.state.migration import MIGRATIONS, migrate
from portside.local.state.resource import Kind, Resource
from portside.local.state.store import Query, SortKey, Store
from tests.unit.local.state_fakes import ACCOUNT, ARN, REGION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "state.sqlite3")
    yield opened
    opened.close()


def model(name: str, *, time_ms: int = 1_000, status: str = "") -> Resource:
    return Resource(
        kind=Kind.MODEL,
        account=ACCOUNT,
        region=REGION,
        name=name,
        creation_time_ms=time_ms,
        last_modified_time_ms=time_ms,
        status=status,
        members={"PrimaryContainer": {"Image": "image"}},
    )


def query(**changes: object) -> Query:
    return replace(
        Query(kind=Kind.MODEL, account=ACCOUNT, region=REGION, limit=100),
        **changes,  # type: ignore[arg-type]  # each test names fields of Query
    )


def names(store: Store, **changes: object) -> list[str]:
    return [resource.name for resource in store.select(query(**changes))]


def test_what_is_added_is_found(store: Store) -> None:
    assert store.add(model("NER"))

    assert store.find(f"{ARN}model/ner") == model("NER")


def test_names_that_differ_only_in_case_are_one(store: Store) -> None:
    store.add(model("NER"))

    assert not store.add(model("ner"))


def test_a_refused_duplicate_leaves_the_tags_alone(store: Store) -> None:
    store.add(model("ner"), tags={"a": "1"})
    store.add(model("ner"), tags={"b": "2"})

    assert store.tags(f"{ARN}model/ner") == {"a": "1"}


def test_the_same_name_in_another_account_is_another_resource(store: Store) -> None:
    store.add(model("ner"))
    store.add(replace(model("ner"), account="111111111111"))

    assert names(store) == ["ner"]
    assert len(store.all_of(Kind.MODEL)) == 2


def test_save_changes_what_may_change(store: Store) -> None:
    store.add(model("ner"))
    changed = replace(model("ner"), status="InService", last_modified_time_ms=9, members={"a": 1})

    store.save(changed)

    assert store.find(changed.arn) == changed


def test_save_does_not_bring_back_what_is_gone(store: Store) -> None:
    store.save(model("ner"))

    assert store.find(f"{ARN}model/ner") is None


def test_removing_takes_the_tags_too(store: Store) -> None:
    store.add(model("ner"), tags={"a": "1"})

    assert store.remove(f"{ARN}model/ner")
    assert not store.remove(f"{ARN}model/ner")

    store.add(model("ner"))
    assert store.tags(f"{ARN}model/ner") == {}


def test_tags_are_added_overwritten_and_removed(store: Store) -> None:
    arn = f"{ARN}model/ner"
    store.add(model("ner"), tags={"a": "1", "b": "2"})

    store.add_tags(arn, {"b": "3", "c": "4"})
    store.remove_tags(arn, ["a", "never there"])

    assert store.tags(arn) == {"b": "3", "c": "4"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["c", "B", "a"]),
        ({"descending": False}, ["a", "B", "c"]),
        ({"sort_by": SortKey.NAME, "descending": False}, ["a", "B", "c"]),
        ({"sort_by": SortKey.STATUS, "descending": False}, ["c", "a", "B"]),
        ({"name_contains": "b"}, ["B"]),
        ({"status": "InService"}, ["a"]),
        ({"created_before_ms": 2}, ["a"]),
        ({"created_after_ms": 2}, ["c"]),
        ({"modified_before_ms": 3, "modified_after_ms": 1}, ["B"]),
        ({"limit": 2}, ["c", "B"]),
        ({"after": (2, "b")}, ["a"]),
        ({"after": (2, "b"), "descending": False}, ["c"]),
        ({"kind": Kind.ENDPOINT}, []),
    ],
)
def test_lists_filter_sort_and_page(
    store: Store, changes: dict[str, object], expected: list[str]
) -> None:
    for name, time_ms, status in (("a", 1, "InService"), ("B", 2, "Updating"), ("c", 3, "")):
        store.add(model(name, time_ms=time_ms, status=status))

    assert names(store, **changes) == expected


def test_resources_of_one_moment_are_paged_by_name(store: Store) -> None:
    for name in ("a", "b", "c"):
        store.add(model(name, time_ms=7))

    assert names(store, limit=2) == ["c", "b"]
    assert names(store, after=(7, "b")) == ["a"]


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    first = Store.open(tmp_path / "state.sqlite3")
    first.add(model("ner"), tags={"a": "1"})
    # not closed: a killed process does not close its files either
    second = Store.open(tmp_path / "state.sqlite3")

    assert second.find(f"{ARN}model/ner") == model("ner")
    assert second.tags(f"{ARN}model/ner") == {"a": "1"}
    first.close()
    second.close()


def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _ in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(PortsideError, match="has layout 99"):
        Store.open(path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    path.write_bytes(b"not a database" * 100)

    with pytest.raises(PortsideError, match="could not open the state file"):
        Store.open(path)


def test_a_write_to_a_full_disk_changes_nothing_and_the_next_one_can(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state.sqlite3", isolation_level=None)
    migrate(connection, tmp_path, migrations=MIGRATIONS)
    store, arn, long = Store(connection), f"{ARN}model/ner", {"a": "1" * 100_000}
    store.add(model("ner"))

    connection.execute("PRAGMA max_page_count = 1")  # it may not grow: SQLite says the disk is full
    with pytest.raises(StateFileError, match="full"):
        store.add(model("other"), tags=long)
    with pytest.raises(StateFileError, match="full"):
        store.save(replace(model("ner"), members=long))
    with pytest.raises(StateFileError, match="full"):
        store.add_tags(arn, long)
    connection.execute("PRAGMA max_page_count = 100000")

    assert (store.find(arn), store.tags(arn)) == (model("ner"), {})
    assert store.find(f"{ARN}model/other") is None
    assert store.add(model("other"), tags=long)
    store.close()
