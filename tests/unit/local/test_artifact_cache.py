from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path

import pytest

from portside.archive import ArchiveError
from portside.local.s3.artifact_cache import ArtifactCache, ObjectMissingError, bucket_and_key
from tests.unit.local.state_fakes import URL, FakeObjects, archive

MODEL = archive(**{"code/inference.py": "pass", "weights": "1"})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_an_artifact_is_unpacked_under_its_digest(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, objects=FakeObjects(**{"model.tar.gz": MODEL}))

    digest = await cache.fetch(URL)

    assert digest == hashlib.sha256(MODEL).hexdigest()
    folder = cache.find(digest)
    assert folder is not None
    assert (folder / "code" / "inference.py").read_text() == "pass"
    assert names(tmp_path) == [digest]


async def test_what_is_unpacked_cannot_be_written(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, objects=FakeObjects(**{"model.tar.gz": MODEL}))

    folder = cache.find(await cache.fetch(URL))

    assert folder is not None
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert [path for path in files if path.stat().st_mode & 0o222] == []


async def test_the_same_artifact_fetched_twice_at_once_is_one_folder(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, objects=FakeObjects(**{"model.tar.gz": MODEL}))

    first, second = await asyncio.gather(cache.fetch(URL), cache.fetch(URL))

    assert first == second
    assert names(tmp_path) == [first]


async def test_a_missing_object_leaves_nothing(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, objects=FakeObjects())

    with pytest.raises(ObjectMissingError):
        await cache.fetch(URL)

    assert names(tmp_path) == []


async def test_a_broken_archive_leaves_nothing(tmp_path: Path) -> None:
    cache = ArtifactCache(tmp_path, objects=FakeObjects(**{"model.tar.gz": MODEL[:-20]}))

    with pytest.raises(ArchiveError):
        await cache.fetch(URL)

    assert names(tmp_path) == []


async def test_pruning_keeps_what_is_in_use(tmp_path: Path) -> None:
    objects = FakeObjects(**{"model.tar.gz": MODEL, "other": archive(weights="2")})
    cache = ArtifactCache(tmp_path, objects=objects)
    used, unused = await cache.fetch(URL), await cache.fetch("s3://bucket/other")
    cache.empty()

    await cache.prune(in_use=lambda: {used})

    assert cache.find(used) is not None
    assert cache.find(unused) is None
    assert names(tmp_path) == sorted([used, "empty"])


async def test_half_done_work_of_an_earlier_life_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".download-1").write_text("half")
    (tmp_path / ".x.partial").mkdir()
    (tmp_path / ".x.partial" / "file").write_text("half")

    ArtifactCache(tmp_path, objects=FakeObjects()).clear_partial()

    assert names(tmp_path) == []


def too_deep(path: Path) -> Path:
    """A folder that `shutil.rmtree` gives up on, made and left step by step."""
    path.mkdir(parents=True)
    where = Path.cwd()
    try:
        os.chdir(path)
        for _ in range(sys.getrecursionlimit() + 100):
            Path("a").mkdir()
            os.chdir("a")
    finally:
        os.chdir(where)
    return path


def flatten(path: Path) -> None:
    """Remove what `too_deep` made: pytest's own clean-up cannot either."""
    aside = path.with_name("aside")
    while (path / "a").exists():
        (path / "a").rename(aside)
        path.rmdir()
        aside.rename(path)


async def test_what_cannot_be_removed_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deep = too_deep(tmp_path / "models" / ".x.partial")
    unused = tmp_path / "models" / "0123"
    unused.mkdir()
    cache = ArtifactCache(tmp_path / "models", objects=FakeObjects())
    try:
        cache.clear_partial()
        await cache.prune(in_use=set)

        assert "could not remove" in caplog.text
        assert not unused.exists()
    finally:
        flatten(deep)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/a/b.tar.gz", ("bucket", "a/b.tar.gz")),
        ("s3://bucket/a#b?c", ("bucket", "a#b?c")),
        ("s3://bucket", ("bucket", "")),
    ],
)
def test_addresses_are_taken_apart(url: str, expected: tuple[str, str]) -> None:
    assert bucket_and_key(url) == expected
