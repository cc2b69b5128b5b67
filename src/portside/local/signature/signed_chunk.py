r"""Uploads whose chunks are signed one by one, each signature going on from the one before.

    1000;chunk-signature=<64 hex>\r\n<4096 bytes>\r\n … 0;chunk-signature=<64 hex>\r\n\r\n
    and with a trailer, in place of the last \r\n:
    x-amz-checksum-crc32c:<base64>\r\nx-amz-trailer-signature:<64 hex>\r\n\r\n

The gateway checks every chunk with the caller's key, signs it anew with the store's and
sends it on only then, so that nothing unproved reaches the store, which checks once more.
Signatures are of one length, so that the body's length stays what was declared.
Source: S3 API Reference, "Signature calculations: transferring a payload in multiple
chunks", and the same "with trailing headers".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from typing import Final

from portside.local.protocol.fault import Fault
from portside.local.signature.sigv4 import Seed

DECLARED: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
"""How `x-amz-content-sha256` declares such a body; with a trailer, -TRAILER follows."""
MAX_CHUNK_BYTES: Final = 16 * 1024 * 1024
"""Largest chunk that is held in memory: ours; SDKs make chunks of 64 KiB to 1 MiB."""

_HEAD: Final = re.compile(rb"([0-9a-fA-F]{1,8});chunk-signature=([0-9a-f]{64})")
_TRAILER_SIGNATURE: Final = b"x-amz-trailer-signature:"
_MAX_LINE_BYTES: Final = 8 * 1024
_EMPTY: Final = hashlib.sha256().hexdigest()
_MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your key and signing method."
)


async def sign_anew(
    body: AsyncIterator[bytes], *, theirs: Seed, ours: Seed
) -> AsyncIterator[bytes]:
    """The same chunks under other signatures; raises Fault at the first that is not theirs."""
    reader, proved, signed = _Reader(body), _Chain(theirs), _Chain(ours)
    size = -1
    while size != 0:
        head = _HEAD.fullmatch(await reader.line())
        if head is None:
            raise _malformed()
        size = int(head[1], 16)
        if size > MAX_CHUNK_BYTES:
            message = f"A signed chunk may have {MAX_CHUNK_BYTES} bytes in the local SageMaker"
            raise Fault("InvalidRequest", message)
        data = await reader.exactly(size)
        proved.check_chunk(data, signature=head[2])
        anew = b"%b;chunk-signature=%b\r\n%b" % (head[1], signed.sign_chunk(data), data)
        if size:
            await reader.end_of_line()
            yield anew + b"\r\n"
    # SeaweedFS takes a trailer for damaged when it comes apart from the last chunk.
    yield anew + await _trailer(reader, proved=proved, signed=signed)


async def _trailer(reader: _Reader, *, proved: _Chain, signed: _Chain) -> bytes:
    """The headers after the last chunk, and the empty line that ends all."""
    headers, anew = b"", b""
    while line := await reader.line():
        if line.startswith(_TRAILER_SIGNATURE):
            proved.check_trailer(headers, signature=line.removeprefix(_TRAILER_SIGNATURE))
            anew += _TRAILER_SIGNATURE + signed.sign_trailer(headers) + b"\r\n"
            headers = b""
        else:
            headers += line + b"\n"
            anew += line + b"\r\n"
    if headers:  # what nobody signed
        raise _mismatch()
    return anew + b"\r\n"


class _Chain:
    """Signatures, each of which covers the one before."""

    def __init__(self, seed: Seed) -> None:
        self._seed = seed
        self._last = seed.signature

    def sign_chunk(self, data: bytes) -> bytes:
        return self._sign("PAYLOAD", [_EMPTY, hashlib.sha256(data).hexdigest()])

    def sign_trailer(self, headers: bytes) -> bytes:
        return self._sign("TRAILER", [hashlib.sha256(headers).hexdigest()])

    def check_chunk(self, data: bytes, *, signature: bytes) -> None:
        if not hmac.compare_digest(self.sign_chunk(data), signature):
            raise _mismatch()

    def check_trailer(self, headers: bytes, *, signature: bytes) -> None:
        if not hmac.compare_digest(self.sign_trailer(headers), signature):
            raise _mismatch()

    def _sign(self, kind: str, digests: list[str]) -> bytes:
        seed = self._seed
        lines = [f"AWS4-HMAC-SHA256-{kind}", seed.timestamp, seed.scope, self._last, *digests]
        self._last = hmac.digest(seed.key, "\n".join(lines).encode(), "sha256").hex()
        return self._last.encode()


class _Reader:
    """Lines and blocks from a body that comes in pieces of any size."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._held = bytearray()

    async def line(self) -> bytes:
        """Up to the next end of line, without it."""
        while (end := self._held.find(b"\r\n")) < 0:
            if len(self._held) > _MAX_LINE_BYTES or not await self._more():
                raise _malformed()
        return self._take(end + 2)[:-2]

    async def exactly(self, size: int) -> bytes:
        """So many bytes."""
        while len(self._held) < size:
            if not await self._more():
                raise _malformed()
        return self._take(size)

    async def end_of_line(self) -> None:
        """The two characters that follow on a block."""
        if await self.exactly(2) != b"\r\n":
            raise _malformed()

    async def _more(self) -> bool:
        piece = await anext(self._body, None)
        self._held += piece or b""
        return piece is not None

    def _take(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken


def _mismatch() -> Fault:
    return Fault("SignatureDoesNotMatch", _MISMATCH, status=403)


def _malformed() -> Fault:
    # S3 API Reference, "Error responses", IncompleteBody.
    return Fault("IncompleteBody", "The request body terminated unexpectedly")
