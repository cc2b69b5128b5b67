"""The layout of the state file, and the steps from each of its earlier layouts.

user_version of the file ─▶ every later step, each a transaction of its own
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portside.errors import PortsideError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

_FIRST: Final = """
    CREATE TABLE resource (
        arn TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        account TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        name_lower TEXT NOT NULL,
        creation_time_ms INTEGER NOT NULL,
        last_modified_time_ms INTEGER NOT NULL,
        status TEXT NOT NULL,
        members TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX resource_by_creation
        ON resource (kind, account, region, creation_time_ms, name_lower);
    CREATE TABLE tag (
        arn TEXT NOT NULL REFERENCES resource (arn) ON DELETE CASCADE,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (arn, key)
    ) WITHOUT ROWID;
"""

# An endpoint's one variant, and what its names were found to mean, become a list of variants.
_DEPLOYMENT_OF_VARIANTS: Final = """
    UPDATE resource SET members = json_remove(
        json_set(
            members,
            '$.{part}.variants',
            json_array(json_patch(
                json_extract(members, '$.{part}.variant'),
                json_object(
                    'resolved_image', json_extract(members, '$.{part}.resolved_image'),
                    'resolution_time_ms', json_extract(members, '$.{part}.resolution_time_ms'),
                    'model_data_digest', json_extract(members, '$.{part}.model_data_digest')
                )
            ))
        ),
        '$.{part}.variant',
        '$.{part}.resolved_image',
        '$.{part}.resolution_time_ms',
        '$.{part}.model_data_digest'
    )
    WHERE kind = 'endpoint' AND json_type(members, '$.{part}') = 'object';
"""

_NEW_MEMBERS: Final = """
    UPDATE resource SET members = json_set(
        members, '$.is_scaling', json('false'), '$.stage', NULL, '$.deployment_config', NULL
    )
    WHERE kind = 'endpoint';
"""

MIGRATIONS: Final[tuple[tuple[int, str], ...]] = (
    (1, _FIRST),
    (
        2,
        _DEPLOYMENT_OF_VARIANTS.format(part="deployment")
        + _DEPLOYMENT_OF_VARIANTS.format(part="pending")
        + _NEW_MEMBERS,
    ),
)
"""What made the file what it is, oldest first. Never edited: a change is a new line."""


def migrate(
    connection: sqlite3.Connection, path: Path, *, migrations: tuple[tuple[int, str], ...]
) -> None:
    """Bring a file up to date; raises PortsideError for one of a newer version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    newest = migrations[-1][0]
    if version > newest:
        raise PortsideError(
            f"the state file `{path}` has layout {version}, and this version knows up to {newest}",
            hint="Use the newer version of Portside that wrote it, or another data folder.",
        )
    for number, sql in migrations:
        if number > version:
            connection.executescript(f"BEGIN; {sql} PRAGMA user_version = {number}; COMMIT;")
