"""Chunks signed one by one: AWS's own example, cut anywhere, and every way to tamper with it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portside.local.protocol.fault import Fault
from portside.local.signature import signed_chunk
from portside.local.signature.sigv4 import Seed

# S3 API Reference, "Signature calculations for the Authorization header: transferring a payload
# in multiple chunks", its example: 65 KiB of `a`, in chunks of 64 KiB.
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SCOPE = "20130524/us-east-1/s3/aws4_request"
FIRST = b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
SECOND = b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
LAST = b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
BODY = b"\r\n".join([FIRST, b"a" * 65536, SECOND, b"a" * 1024, LAST, b"", b""])


def signing_key(secret: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in SCOPE.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


THEIRS = Seed(
    key=signing_key(SECRET),
    timestamp="20130524T000000Z",
    scope=SCOPE,
    signature="4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
)
OURS = Seed(
    key=signing_key("the store's"), timestamp="20130524T000001Z", scope=SCOPE, signature="0" * 64
)


async def pieces(body: bytes, *, size: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def sign_anew(
    body: bytes, *, size: int = 1000, theirs: Seed = THEIRS, ours: Seed = OURS
) -> bytes:
    signed = signed_chunk.sign_anew(pieces(body, size=size), theirs=theirs, ours=ours)
    return b"".join([piece async for piece in signed])


def with_trailer(headers: bytes) -> bytes:
    """AWS's example as it would be with a trailer, signed as the API Reference says."""
    lines = ["AWS4-HMAC-SHA256-TRAILER", THEIRS.timestamp, SCOPE, LAST[-64:].decode()]
    lines.append(hashlib.sha256(headers.replace(b"\r\n", b"\n")).hexdigest())
    signature = hmac.digest(THEIRS.key, "\n".join(lines).encode(), "sha256").hex()
    signed = b"x-amz-trailer-signature:" + signature.encode() + b"\r\n\r\n"
    return BODY.removesuffix(b"\r\n") + headers + signed


@given(size=st.integers(1, 70_000))
async def test_awss_example_is_accepted_in_pieces_of_any_size(size: int) -> None:
    size = max(size, 50)  # or it takes its time

    assert await sign_anew(BODY, size=size, ours=THEIRS) == BODY


async def test_what_goes_on_is_signed_with_the_other_key_and_as_long() -> None:
    anew = await sign_anew(BODY)

    assert len(anew) == len(BODY)
    assert FIRST not in anew
    assert await sign_anew(anew, theirs=OURS, ours=THEIRS) == BODY


async def test_a_signed_trailer() -> None:
    body = with_trailer(b"x-amz-checksum-crc32c:sOO8/Q==\r\n")

    anew = await sign_anew(body)

    assert b"x-amz-checksum-crc32c:sOO8/Q==\r\n" in anew
    assert len(anew) == len(body)
    assert await sign_anew(anew, theirs=OURS, ours=THEIRS) == body


@pytest.mark.parametrize(
    "at",
    [25, 5_000, 66_000, len(BODY) - 200, len(BODY) - 10],
    ids=["signature", "first chunk", "second chunk", "end of it", "last signature"],
)
async def test_a_flipped_bit_is_refused(at: int) -> None:
    tampered = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]

    with pytest.raises(Fault) as refused:
        await sign_anew(tampered)

    assert (refused.value.code, refused.value.status) == ("SignatureDoesNotMatch", 403)


async def test_nothing_of_a_chunk_goes_on_before_it_is_proved() -> None:
    tampered = BODY[:66_000] + b"b" + BODY[66_001:]
    sent: list[bytes] = []

    async def send() -> None:
        async for piece in signed_chunk.sign_anew(pieces(tampered), theirs=THEIRS, ours=OURS):
            sent.append(piece)  # noqa: PERF401  a comprehension would lose what came before

    with pytest.raises(Fault):
        await send()
    assert b"".join(sent).endswith(b"a" * 65_536 + b"\r\n")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(BODY.replace(SECOND + b"\r\n" + b"a" * 1024 + b"\r\n", b""), id="chunk lost"),
        pytest.param(with_trailer(b"x-a:1\r\n").replace(b"x-a:1", b"x-a:2"), id="trailer changed"),
        pytest.param(BODY.removesuffix(b"\r\n") + b"x-a:1\r\n\r\n", id="trailer not signed"),
    ],
)
async def test_what_was_not_signed_so_is_refused(body: bytes) -> None:
    with pytest.raises(Fault, match="does not match"):
        await sign_anew(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"\r\n", BODY[:-2], BODY[:100], b"zz" + BODY, b"a" * 20_000, BODY.replace(b";", b",")],
)
async def test_what_is_cut_off_or_no_chunk_is_refused(body: bytes) -> None:
    with pytest.raises(Fault) as refused:
        await sign_anew(body)

    assert refused.value.code == "IncompleteBody"


async def test_a_chunk_is_not_held_however_big_it_says_it_is() -> None:
    with pytest.raises(Fault, match="may have 16777216 bytes"):
        await sign_anew(FIRST.replace(b"10000;", b"1000001;") + b"\r\n")
