"""gzip on several cores, whose bytes depend on nothing but what was written.

    bytes ─▶ blocks of 1 MiB ─▶ each on its own, in threads ─▶ one after the other, one gzip member

Each block becomes deflate that ends at a whole byte and refers to nothing before
it, so the number of threads is not to be seen in the result. Every gunzip reads
it: readers that stop after a first member, as flate2's `GzDecoder` does, too.

Weights do not repeat: what gzip gains on them is that some values are more
frequent than others. So a sample of each block tells which way is worth its time:

    it repeats        text, code, zeros       matches and Huffman codes
    or is uneven      weights                 Huffman codes alone
    or neither        what is compressed      as it is

Of float32 weights matches would take off 7.3 %, and codes alone take off 7.4 %,
in a third of the time. Why zlib-ng, and why of one version:
docs/decisions/0010-compression.md.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol, Self

from zlib_ng import zlib_ng

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import TracebackType

BLOCK_BYTES: Final = 1024 * 1024

MOST_THREADS: Final = 8
"""More could not be fed: reading, checksum, digest and writing are one thread."""

BLOCKS_PER_THREAD: Final = 3
"""One at work, one waiting, one to be written: with their results 48 MiB at most."""

SAMPLES: Final = 16
SAMPLE_BYTES: Final = 2048
"""16 places of a block, 2 KiB each: a thirty-second of it, and long enough for words to recur."""

WORTHWHILE: Final = 0.95
"""A slower way is taken if it leaves less than this of what the faster one does."""

# RFC 1952, 2.3: magic number, deflate, no flags, no time, no hint, unknown system.
_HEADER: Final = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))
# RFC 1951, 3.2.3 and 3.2.6: the last block, fixed codes, nothing but the end-of-block code.
_LAST_BLOCK: Final = bytes((0x03, 0x00))

_LEVEL: Final = 6
"""Of zlib's levels the usual one; without matches all are the same."""

_MEMORY_LEVEL: Final = 9
"""The most: 32,768 symbols share their codes, not 16,384, and fewer tables have to be made."""

_STORED_BYTES: Final = 65_535
"""Most in a stored block: its length has 16 bits (RFC 1951, 3.2.4)."""


class Output(Protocol):
    """Where the compressed bytes go."""

    def write(self, data: bytes, /) -> int: ...


class GzipWriter:
    """A file that compresses what is written to it; whole only once `finish` was called."""

    def __init__(self, output: Output, *, threads: int | None = None) -> None:
        self._output = output
        self._threads = threads or min(os.cpu_count() or 1, MOST_THREADS)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="gzip")
        self._begun: deque[Future[bytes]] = deque()
        self._rest = bytearray()
        self._checksum = 0
        self._size_bytes = 0
        output.write(_HEADER)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def write(self, data: bytes, /) -> int:
        """Take bytes; waits where the threads are behind."""
        self._checksum = zlib_ng.crc32(data, self._checksum)
        self._size_bytes += len(data)
        self._rest += data
        while len(self._rest) >= BLOCK_BYTES:
            block, self._rest = self._rest[:BLOCK_BYTES], self._rest[BLOCK_BYTES:]
            self._begin(block)
        return len(data)

    def finish(self) -> None:
        """Write what is left, and the checksum."""
        if self._rest:
            self._begin(self._rest)
        while self._begun:
            self._write_oldest()
        size = self._size_bytes % 2**32  # RFC 1952, 2.3.1: ISIZE
        self._output.write(
            _LAST_BLOCK + self._checksum.to_bytes(4, "little") + size.to_bytes(4, "little")
        )

    def _begin(self, block: bytearray) -> None:
        if len(self._begun) >= BLOCKS_PER_THREAD * self._threads:
            self._write_oldest()
        self._begun.append(self._pool.submit(deflated, block))

    def _write_oldest(self) -> None:
        self._output.write(self._begun.popleft().result())


def deflated(block: bytes | bytearray) -> bytes:
    """`block` as deflate that is not the last, in the way that its sample asks for."""
    sample = _sample(block)
    coded = len(_compressed(sample, zlib_ng.Z_HUFFMAN_ONLY))
    matched = len(_compressed(sample, zlib_ng.Z_DEFAULT_STRATEGY))
    if matched < WORTHWHILE * coded:
        return _compressed(block, zlib_ng.Z_DEFAULT_STRATEGY)
    if coded < WORTHWHILE * len(sample):
        return _compressed(block, zlib_ng.Z_HUFFMAN_ONLY)
    return _stored(block)


def _sample(block: bytes | bytearray) -> bytes | bytearray:
    """From places all over the block: the weights may begin in the middle of it."""
    if len(block) <= SAMPLES * SAMPLE_BYTES:
        return block
    step = len(block) // SAMPLES
    return b"".join(block[n * step : n * step + SAMPLE_BYTES] for n in range(SAMPLES))


def _compressed(data: bytes | bytearray, strategy: int) -> bytes:
    # Negative: neither zlib's header nor gzip's, which are for the whole.
    compressor = zlib_ng.compressobj(
        _LEVEL, wbits=-zlib_ng.MAX_WBITS, memLevel=_MEMORY_LEVEL, strategy=strategy
    )
    return compressor.compress(data) + compressor.flush(zlib_ng.Z_SYNC_FLUSH)


def _stored(data: bytes | bytearray) -> bytes:
    """Made here, because zlib cuts stored blocks by the room that it happens to have."""
    parts = (data[n : n + _STORED_BYTES] for n in range(0, len(data), _STORED_BYTES))
    return b"".join(
        b"\0" + len(part).to_bytes(2, "little") + (len(part) ^ 0xFFFF).to_bytes(2, "little") + part
        for part in parts
    )
