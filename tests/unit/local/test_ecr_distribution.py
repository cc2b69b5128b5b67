"""`/v2/`: who may, what is answered, and that nothing but blobs of the repository is reached."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from portside.local.ecr.login import LINK_S, PASSWORD_S
from portside.local.protocol.message import ClientGoneError, Response
from tests.unit.local.ecr_fakes import (
    CONFIG,
    DOCKER,
    Ecr,
    digest_of,
    header,
    manifest,
    open_ecr,
    read,
)
from tests.unit.local.state_fakes import ACCOUNT, FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LAYER = b"0123456789"


@pytest.fixture
async def ecr(tmp_path: Path) -> AsyncIterator[Ecr]:
    opened = open_ecr(tmp_path / "images", FakeClock())
    await opened("CreateRepository", repositoryName="app")
    yield opened
    opened.registry.close()


def error(response: Response) -> tuple[int, str]:
    assert isinstance(response.body, bytes)
    [told] = json.loads(response.body)["errors"]
    return response.status, told["code"]


async def begin(ecr: Ecr, query: str = "") -> str:
    begun = await ecr.ask("POST", f"/v2/app/blobs/uploads/{query}")
    assert begun.status == 202
    return str(header(begun, "Location"))


async def push_blob(ecr: Ecr, data: bytes) -> None:
    location = await begin(ecr)
    done = await ecr.ask("PUT", f"{location}?digest={digest_of(data)}", body=data)
    assert done.status == 201, done.body


async def test_who_has_no_password_is_asked_for_one(ecr: Ecr) -> None:
    password = ecr.registry.password()
    wrong = [
        "",
        "Bearer x",
        "Basic",
        "Basic !!!",
        f"Basic {base64.b64encode(f'aws:{password}'.encode()).decode()}",
        f"Basic {base64.b64encode(f'AWS:{password[:-4]}AAAA'.encode()).decode()}",
        f"Basic {base64.b64encode('AWS:é'.encode()).decode()}",
        f"Basic {base64.b64encode(b'AWS:').decode()}",
    ]
    for authorization in wrong:
        answer = await ecr.ask("GET", "/v2/", authorization=authorization)
        assert error(answer) == (401, "UNAUTHORIZED")
        assert str(header(answer, "WWW-Authenticate")).startswith('Basic realm="http://127')
    assert (await ecr.ask("GET", "/v2/")).status == 200
    assert (await ecr.ask("GET", "/v2")).status == 200


async def test_a_password_is_good_for_half_a_day(ecr: Ecr) -> None:
    basic = f"Basic {base64.b64encode(f'AWS:{ecr.registry.password()}'.encode()).decode()}"
    ecr.clock.seconds += PASSWORD_S - 1
    assert (await ecr.ask("GET", "/v2/", authorization=basic)).status == 200
    ecr.clock.seconds += 1
    assert error(await ecr.ask("GET", "/v2/", authorization=basic)) == (403, "DENIED")


async def test_a_link_opens_one_layer_for_an_hour(ecr: Ecr) -> None:
    await ecr.push_layer(LAYER)
    await ecr.push_layer(b"other")
    asked = {"repositoryName": "app", "layerDigest": digest_of(LAYER)}
    url = urlsplit((await ecr("GetDownloadUrlForLayer", **asked))["downloadUrl"])
    link = f"{url.path}?{url.query}"
    answer = await ecr.ask("GET", link, authorization="")
    assert await read(answer) == LAYER

    other = link.replace(digest_of(LAYER), digest_of(b"other"))
    longer = link.replace("expires=", "expires=9")
    for forged in (other, longer, url.path, f"{url.path}?expires=x&signature=é"):
        assert error(await ecr.ask("GET", forged, authorization="")) == (401, "UNAUTHORIZED")
    ecr.clock.seconds += LINK_S
    assert error(await ecr.ask("GET", link, authorization="")) == (403, "DENIED")


async def test_an_image_is_pushed_and_pulled(ecr: Ecr) -> None:
    for data in (LAYER, CONFIG):
        await push_blob(ecr, data)
    text = manifest(LAYER).encode()
    for _ in range(2):  # a second push is none
        put = await ecr.ask(
            "PUT", "/v2/app/manifests/1", body=text, headers={"content-type": DOCKER}
        )
        assert (put.status, header(put, "Docker-Content-Digest")) == (201, digest_of(text))
    for reference in ("1", digest_of(text)):
        got = await ecr.ask("GET", f"/v2/app/manifests/{reference}")
        assert (got.status, header(got, "Content-Type")) == (200, DOCKER)
        assert await read(got) == text
    blob = await ecr.ask("GET", f"/v2/app/blobs/{digest_of(LAYER)}")
    assert await read(blob) == LAYER
    head = await ecr.ask("HEAD", f"/v2/app/blobs/{digest_of(LAYER)}")
    assert (await read(head), header(head, "Content-Length")) == (b"", "10")
    tags = await ecr.ask("GET", "/v2/app/tags/list")
    assert json.loads(await read(tags)) == {"name": "app", "tags": ["1"]}
    assert (await ecr("BatchGetImage", repositoryName="app", imageIds=[{"imageTag": "1"}]))[
        "images"
    ]


@pytest.mark.parametrize(
    ("asked", "status", "told", "range_"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 200, LAYER, None),  # not understood, so not heeded: RFC 9110 14.2
        ("lines=1-2", 200, LAYER, None),
    ],
)
async def test_ranges(ecr: Ecr, asked: str, status: int, told: bytes, range_: str | None) -> None:
    await ecr.push_layer(LAYER)
    got = await ecr.ask("GET", f"/v2/app/blobs/{digest_of(LAYER)}", headers={"range": asked})
    assert (got.status, await read(got), header(got, "Content-Range")) == (status, told, range_)


async def test_a_range_behind_the_end(ecr: Ecr) -> None:
    await ecr.push_layer(LAYER)
    got = await ecr.ask("GET", f"/v2/app/blobs/{digest_of(LAYER)}", headers={"range": "bytes=10-"})
    assert error(got) == (416, "RANGE_INVALID")


async def test_a_blob_in_chunks(ecr: Ecr) -> None:
    location = await begin(ecr)
    first = await ecr.ask("PATCH", location, body=LAYER[:4], headers={"content-range": "0-3"})
    assert (first.status, header(first, "Range")) == (202, "0-3")
    again = await ecr.ask("PATCH", location, body=LAYER[:4], headers={"content-range": "0-3"})
    assert error(again) == (416, "BLOB_UPLOAD_INVALID")
    state = await ecr.ask("GET", location)
    assert (state.status, header(state, "Range")) == (204, "0-3")
    for lying in ("4-5", "4-99"):
        sent = await ecr.ask("PATCH", location, body=LAYER[4:], headers={"content-range": lying})
        assert error(sent) == (400, "SIZE_INVALID")
    await ecr.ask("PATCH", location, body=LAYER[4:])
    done = await ecr.ask("PUT", f"{location}?digest={digest_of(LAYER)}")
    assert done.status == 201
    assert ecr.blobs() == {digest_of(LAYER)}


async def test_a_blob_in_one_request_and_one_from_another_repository(ecr: Ecr) -> None:
    whole = await ecr.ask("POST", f"/v2/app/blobs/uploads/?digest={digest_of(LAYER)}", body=LAYER)
    assert whole.status == 201
    await ecr("CreateRepository", repositoryName="other")
    asked = f"/v2/other/blobs/uploads/?mount={digest_of(LAYER)}&from="
    assert (await ecr.ask("POST", f"{asked}none")).status == 202
    assert (await ecr.ask("POST", f"{asked}app")).status == 201
    blob = await ecr.ask("GET", f"/v2/other/blobs/{digest_of(LAYER)}")
    assert await read(blob) == LAYER


async def test_a_wrong_digest_ends_the_upload(ecr: Ecr) -> None:
    location = await begin(ecr)
    wrong = await ecr.ask("PUT", f"{location}?digest={digest_of(b'other')}", body=LAYER)
    assert error(wrong) == (400, "DIGEST_INVALID")
    assert error(await ecr.ask("GET", location)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert ecr.blobs() == set()


async def test_a_blob_is_its_repositorys_alone(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="other")
    await ecr.push_layer(LAYER)
    got = await ecr.ask("GET", f"/v2/other/blobs/{digest_of(LAYER)}")
    assert error(got) == (404, "BLOB_UNKNOWN")
    location = (await begin(ecr)).replace("/v2/app/", "/v2/other/")
    assert error(await ecr.ask("PATCH", location, body=b"x")) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v2/none/blobs/uploads/", (404, "NAME_UNKNOWN")),
        ("GET", "/v2/none/manifests/1", (404, "NAME_UNKNOWN")),
        ("GET", "/v2/app/manifests/none", (404, "MANIFEST_UNKNOWN")),
        ("GET", f"/v2/app/manifests/{digest_of(b'none')}", (404, "MANIFEST_UNKNOWN")),
        ("DELETE", "/v2/app/manifests/1", (405, "UNSUPPORTED")),
        ("PUT", "/v2/app/manifests/1", (405, "UNSUPPORTED")),
        ("DELETE", f"/v2/app/blobs/{digest_of(b'none')}", (405, "UNSUPPORTED")),
        ("GET", "/v2/app/blobs/sha256:../../../keys.json", (404, "UNSUPPORTED")),
        ("GET", "/v2/app/blobs/sha256:..%2F..%2Findex.sqlite3", (404, "UNSUPPORTED")),
        ("GET", "/v2/../../etc/blobs/sha256:00", (404, "UNSUPPORTED")),
        ("GET", "/v2/app/../app/blobs/sha256:00", (404, "NAME_UNKNOWN")),
        ("PATCH", "/v2/app/blobs/uploads/../../index.sqlite3", (404, "UNSUPPORTED")),
        ("PATCH", f"/v2/app/blobs/uploads/{'0' * 36}", (404, "BLOB_UPLOAD_UNKNOWN")),
        ("PATCH", "/v2/app/blobs/uploads/", (405, "UNSUPPORTED")),
        ("GET", "/v2/app/blobs/%00:00", (404, "UNSUPPORTED")),
        ("GET", "/v2/app/referrers/sha256:00", (404, "UNSUPPORTED")),
        ("GET", "/v2/_catalog?n=0", (400, "PAGINATION_NUMBER_INVALID")),
        ("GET", "/v2/_catalog?n=" + "9" * 5000, (400, "PAGINATION_NUMBER_INVALID")),
        ("BREW", "/v2/app/blobs/uploads/" + "0" * 36, (405, "UNSUPPORTED")),
        ("PUT", "/v2/app/manifests/" + "x" * 129, (400, "TAG_INVALID")),
    ],
)
async def test_what_is_refused(ecr: Ecr, method: str, path: str, expected: tuple[int, str]) -> None:
    assert error(await ecr.ask(method, path)) == expected


async def test_a_missing_repository_in_ecrs_words(ecr: Ecr) -> None:
    answer = await ecr.ask("POST", "/v2/none/blobs/uploads/")
    assert json.loads(await read(answer))["errors"][0]["message"] == (
        f"The repository with name 'none' does not exist in the registry with id '{ACCOUNT}'"
    )


async def test_a_manifest_has_a_limit_and_needs_its_layers(ecr: Ecr) -> None:
    large = await ecr.ask("PUT", "/v2/app/manifests/1", body=b" " * (4 * 1024 * 1024 + 1))
    assert error(large) == (413, "SIZE_INVALID")
    text = manifest(LAYER).encode()
    assert error(await ecr.ask("PUT", "/v2/app/manifests/1", body=text)) == (
        404,
        "BLOB_UPLOAD_UNKNOWN",
    )
    other = await ecr.ask("PUT", f"/v2/app/manifests/{digest_of(LAYER)}", body=text)
    assert error(other) == (400, "MANIFEST_INVALID")


async def test_lists_go_on_where_their_link_says(ecr: Ecr) -> None:
    for name in ("a1", "b1", "c1"):
        await ecr("CreateRepository", repositoryName=name)
    found, path = [], "/v2/_catalog?n=2"
    while path:
        answer = await ecr.ask("GET", path)
        found += json.loads(await read(answer))["repositories"]
        path = (header(answer, "Link") or "").partition(">")[0].removeprefix("<")
    assert found == ["a1", "app", "b1", "c1"]


async def test_a_body_that_breaks_off_leaves_what_was_acknowledged(ecr: Ecr) -> None:
    location = await begin(ecr)
    await ecr.ask("PATCH", location, body=LAYER)
    upload = location.rpartition("/")[2]

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (2 * 1024 * 1024)
        raise ClientGoneError

    with pytest.raises(ClientGoneError):
        await ecr.registry.uploads.add(upload, broken(), repository="app")
    assert (ecr.folder / "uploads" / upload).read_bytes() == LAYER
    done = await ecr.ask("PUT", f"{location}?digest={digest_of(LAYER)}")
    assert done.status == 201


async def test_a_repository_that_goes_meanwhile_takes_its_uploads_along(ecr: Ecr) -> None:
    location = await begin(ecr)
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * (1024 * 1024)
        reached.set()
        await go.wait()
        yield b"y"

    upload = location.rpartition("/")[2]
    adding = asyncio.create_task(ecr.registry.uploads.add(upload, slow(), repository="app"))
    await reached.wait()
    await ecr("DeleteRepository", repositoryName="app")
    go.set()
    with pytest.raises(Exception, match="UploadNotFoundException"):
        await adding
    assert list((ecr.folder / "uploads").iterdir()) == []
