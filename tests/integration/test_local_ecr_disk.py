"""The registry on a disk that is full: it says so, keeps what it promised, and goes on."""

from __future__ import annotations

import os
from pathlib import Path

from tests.integration.small_disk import mounted
from tests.unit.local.ecr_fakes import digest_of, open_ecr
from tests.unit.local.state_fakes import FakeClock

PART = 5 * 1024 * 1024


async def test_a_full_disk_is_said_and_what_was_acknowledged_stays(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", size="16m") as disk:
        ecr = open_ecr(disk / "images", FakeClock())
        await ecr("CreateRepository", repositoryName="app")
        upload = (await ecr("InitiateLayerUpload", repositoryName="app"))["uploadId"]
        first, second = os.urandom(PART), os.urandom(PART)
        await ecr.part(upload, first)
        (disk / "filler").write_bytes(bytes(disk_free(disk) - PART // 2))

        fault = await ecr.refused(
            "UploadLayerPart",
            repositoryName="app",
            uploadId=upload,
            partFirstByte=PART,
            partLastByte=2 * PART - 1,
            layerPartBlob=second,
        )
        assert (fault.code, fault.status) == ("ServiceUnavailable", 503)
        assert "No space left on device" in str(fault.message)
        assert (disk / "images" / "uploads" / upload).read_bytes() == first
        pushed = await ecr.ask("PATCH", f"/v2/app/blobs/uploads/{upload}", body=second)
        assert pushed.status == 503

        (disk / "filler").unlink()
        await ecr.part(upload, second, first=PART)
        done = await ecr(
            "CompleteLayerUpload",
            repositoryName="app",
            uploadId=upload,
            layerDigests=[digest_of(first + second)],
        )
        assert done["layerDigest"] == digest_of(first + second)
        ecr.registry.close()


def disk_free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_bsize
