"""Layers by ECR's own operations: parts, digests, words, and what a restart leaves."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest

from portside.local.ecr.upload import MIN_PART_BYTES
from tests.unit.local.ecr_fakes import CONFIG, Ecr, digest_of, manifest, open_ecr
from tests.unit.local.state_fakes import ACCOUNT, FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

IN_APP = f"in the repository with name 'app' in registry with id '{ACCOUNT}'"


@pytest.fixture
async def ecr(tmp_path: Path) -> AsyncIterator[Ecr]:
    opened = open_ecr(tmp_path / "images", FakeClock())
    await opened("CreateRepository", repositoryName="app")
    yield opened
    opened.registry.close()


async def begin(ecr: Ecr, name: str = "app") -> str:
    return str((await ecr("InitiateLayerUpload", repositoryName=name))["uploadId"])


async def test_a_layer_in_parts_is_one_blob(ecr: Ecr) -> None:
    parts = [b"a" * MIN_PART_BYTES, b"b" * MIN_PART_BYTES, b"c"]
    whole = b"".join(parts)
    upload = await begin(ecr)
    sent = 0
    for part in parts:
        answer = await ecr.part(upload, part, first=sent)
        sent += len(part)
        assert answer["lastByteReceived"] == sent - 1

    done = await ecr(
        "CompleteLayerUpload",
        repositoryName="app",
        uploadId=upload,
        layerDigests=[digest_of(whole)],
    )

    assert done["layerDigest"] == digest_of(whole)
    assert (ecr.folder / "blobs" / "sha256" / digest_of(whole)[7:]).read_bytes() == whole
    checked = await ecr(
        "BatchCheckLayerAvailability",
        repositoryName="app",
        layerDigests=[digest_of(whole), digest_of(b"no"), "../../etc/passwd"],
    )
    assert checked["layers"] == [
        {
            "layerDigest": digest_of(whole),
            "layerAvailability": "AVAILABLE",
            "layerSize": len(whole),
        }
    ]
    assert [failure["failureCode"] for failure in checked["failures"]] == [
        "MissingLayerDigest",
        "InvalidLayerDigest",
    ]


async def test_a_part_out_of_order_says_where_to_go_on(ecr: Ecr) -> None:
    upload = await begin(ecr)
    await ecr.part(upload, b"0123456789")
    for first, last in ((0, 9), (5, 14), (11, 20), (10, 20)):
        fault = await ecr.refused(
            "UploadLayerPart",
            repositoryName="app",
            uploadId=upload,
            partFirstByte=first,
            partLastByte=last,
            layerPartBlob=b"0123456789",
        )
        assert fault.code == "InvalidLayerPartException"
        assert fault.fields["lastValidByteReceived"] == 9


async def test_what_cannot_be_completed(ecr: Ecr) -> None:
    empty = await begin(ecr)
    fault = await ecr.refused(
        "CompleteLayerUpload", repositoryName="app", uploadId=empty, layerDigests=["sha256:00"]
    )
    assert fault.code == "EmptyUploadException"
    assert fault.message == (
        f"The upload with id '{empty}' {IN_APP} cannot be completed because it does not have any"
        " parts"
    )

    wrong = await begin(ecr)
    await ecr.part(wrong, b"data")
    asked = {"repositoryName": "app", "uploadId": wrong, "layerDigests": [digest_of(b"other")]}
    assert (await ecr.refused("CompleteLayerUpload", **asked)).code == "InvalidLayerException"
    assert (await ecr.refused("CompleteLayerUpload", **asked)).code == "UploadNotFoundException"

    short = await begin(ecr)
    await ecr.part(short, b"four")
    await ecr.part(short, b"more", first=4)
    fault = await ecr.refused(
        "CompleteLayerUpload",
        repositoryName="app",
        uploadId=short,
        layerDigests=[digest_of(b"fourmore")],
    )
    assert fault.code == "LayerPartTooSmallException"
    assert ecr.blobs() == set()
    assert [path.name for path in (ecr.folder / "uploads").iterdir()] == []


async def test_a_layer_that_is_there_is_refused_a_second_time(ecr: Ecr) -> None:
    await ecr.push_layer(b"layer")
    upload = await begin(ecr)
    await ecr.part(upload, b"layer")
    fault = await ecr.refused(
        "CompleteLayerUpload",
        repositoryName="app",
        uploadId=upload,
        layerDigests=[digest_of(b"layer")],
    )
    assert fault.code == "LayerAlreadyExistsException"


async def test_two_uploads_of_one_blob_at_once_leave_one(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="other")
    data = b"layer" * 1000
    await asyncio.gather(ecr.push_layer(data), ecr.push_layer(data, name="other"))
    assert ecr.blobs() == {digest_of(data)}

    again = b"again" * 1000
    done = await asyncio.gather(
        ecr.push_layer(again), ecr.push_layer(again), return_exceptions=True
    )
    assert sorted(str(one).partition(":")[0] for one in done) == [
        "LayerAlreadyExistsException",
        "sha256",
    ]
    assert digest_of(again) in ecr.blobs()


async def test_two_parts_at_once_are_taken_one_after_the_other(ecr: Ecr) -> None:
    upload = await begin(ecr)
    done = await asyncio.gather(
        ecr.part(upload, b"x" * MIN_PART_BYTES),
        ecr.part(upload, b"y" * 10, first=MIN_PART_BYTES),
    )
    assert [one["lastByteReceived"] for one in done] == [MIN_PART_BYTES - 1, MIN_PART_BYTES + 9]


async def test_an_upload_is_its_repositorys_alone(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="other")
    upload = await begin(ecr, "other")
    fault = await ecr.refused(
        "UploadLayerPart",
        repositoryName="app",
        uploadId=upload,
        partFirstByte=0,
        partLastByte=0,
        layerPartBlob=b"x",
    )
    assert fault.code == "UploadNotFoundException"


async def test_a_part_that_is_too_large_is_refused(ecr: Ecr) -> None:
    upload = await begin(ecr)
    fault = await ecr.refused(
        "UploadLayerPart",
        repositoryName="app",
        uploadId=upload,
        partFirstByte=0,
        partLastByte=20 * 1024 * 1024,
        layerPartBlob=bytes(20 * 1024 * 1024 + 1),
    )
    assert fault.code == "InvalidParameterException"


async def test_what_was_acknowledged_goes_on_in_the_next_life(ecr: Ecr) -> None:
    first = b"a" * MIN_PART_BYTES
    upload = await begin(ecr)
    await ecr.part(upload, first)
    # What a killed request left: bytes that nobody acknowledged, a blob that no row names yet.
    with (ecr.folder / "uploads" / upload).open("ab") as file:
        file.write(b"half a part")
    orphan = ecr.folder / "blobs" / "sha256" / ("0" * 64)
    orphan.write_bytes(b"?")
    (ecr.folder / "uploads" / "stray").write_bytes(b"?")

    ecr.registry.close()
    next_life = open_ecr(ecr.folder, ecr.clock)
    assert not orphan.exists()
    assert [path.name for path in (ecr.folder / "uploads").iterdir()] == [upload]
    await next_life.part(upload, b"end", first=MIN_PART_BYTES)
    done = await next_life(
        "CompleteLayerUpload",
        repositoryName="app",
        uploadId=upload,
        layerDigests=[digest_of(first + b"end")],
    )
    assert done["layerDigest"] == digest_of(first + b"end")
    next_life.registry.close()


async def test_what_nobody_came_back_for_is_given_up_after_a_day(ecr: Ecr) -> None:
    await ecr.push_image(b"kept")
    await ecr.push_layer(b"never in an image")
    await ecr.part(await begin(ecr), b"never finished")
    ecr.registry.close()

    ecr.clock.seconds += 25 * 3600
    next_life = open_ecr(ecr.folder, ecr.clock)
    assert next_life.blobs() == {digest_of(CONFIG), digest_of(b"kept")}
    assert list((ecr.folder / "uploads").iterdir()) == []
    described = await next_life("BatchGetImage", repositoryName="app", imageIds=[{"imageTag": "1"}])
    assert described["images"][0]["imageManifest"] == manifest(b"kept")
    next_life.registry.close()


async def test_an_index_that_cannot_be_written_leaves_the_upload_as_it_was(ecr: Ecr) -> None:
    upload = await begin(ecr)
    await ecr.part(upload, b"layer")
    asked = {"repositoryName": "app", "uploadId": upload, "layerDigests": [digest_of(b"layer")]}
    index = sqlite3.connect(ecr.folder / "index.sqlite3", isolation_level=None)
    index.execute(
        "CREATE TRIGGER full BEFORE INSERT ON layer BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    with pytest.raises(sqlite3.DatabaseError):
        await ecr("CompleteLayerUpload", **asked)
    index.execute("DROP TRIGGER full")
    index.close()

    done = await ecr("CompleteLayerUpload", **asked)
    assert done["layerDigest"] == digest_of(b"layer")
    assert ecr.blobs() == {digest_of(b"layer")}
    assert list((ecr.folder / "uploads").iterdir()) == []
