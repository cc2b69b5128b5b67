"""What is kept, and for how long."""

from __future__ import annotations

import os
from pathlib import Path

from portside.archive.partial import partial_beside
from portside.artifact.cache import KEPT_S, cached, prune


def test_each_dependency_has_a_say(tmp_path: Path):
    folders = [
        cached(tmp_path, "export", ["a", "b"]),
        cached(tmp_path, "export", ["a", "c"]),
        cached(tmp_path, "int8", ["a", "b"]),
    ]

    assert len(set(folders)) == len(folders)
    assert cached(tmp_path, "export", ["a", "b"]) == folders[0]
    assert list(tmp_path.iterdir()) == []


def test_what_was_used_lately_stays_and_the_rest_goes(tmp_path: Path):
    old, used = (cached(tmp_path, "export", [name]) for name in ("old", "used"))
    for path in (old, used):
        path.mkdir()
        (path / "model.onnx").write_text("graph")
        os.utime(path, (1000, 1000))
    log = tmp_path / "answers-0123456789.log"
    half = tmp_path / ".int8-0123456789.abcd.partial"
    # The folder may be the user's own.
    others = [tmp_path / name for name in ("model.tar.gz", "export-2024", "answers-final.csv")]
    for path in (log, half, *others):
        path.write_text("")
        os.utime(path, (1000, 1000))
    cached(tmp_path, "export", ["used"])

    prune(tmp_path, now=used.stat().st_mtime + KEPT_S - 1)

    assert sorted(tmp_path.iterdir()) == sorted([used, *others])


def test_what_a_killed_run_left_goes_at_once_and_what_a_living_one_makes_stays(tmp_path: Path):
    left = [tmp_path / f".{name}.0123abcd.partial" for name in ("export-0123456789", "served")]
    others = tmp_path / ".notes.0123abcd.partial"
    for path in (*left, others):
        path.mkdir()

    with partial_beside(tmp_path / "int8-0123456789", Path.mkdir) as living:
        prune(tmp_path, now=living.stat().st_mtime)

        assert sorted(tmp_path.iterdir()) == sorted([living, others])
