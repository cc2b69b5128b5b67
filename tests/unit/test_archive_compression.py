"""gzip on several cores: the same bytes everywhere, and every reader reads them."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import random
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portside.archive.compression import BLOCK_BYTES, BLOCKS_PER_THREAD, GzipWriter, deflated


class Recorded:
    """An output that keeps what is written to it."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def compressed(*parts: bytes, threads: int | None = None) -> bytes:
    output = Recorded()
    with GzipWriter(output, threads=threads) as writer:
        for part in parts:
            writer.write(part)
        writer.finish()
    return bytes(output.data)


def text(size: int) -> bytes:
    """A vocabulary, with many near and far repeats."""
    draw = random.Random(1)  # noqa: S311 - the same in each run is what it is for
    parts = [bytes(draw.choices(range(97, 123), k=draw.randint(1, 4))) for _ in range(300)]
    words = (b"".join(draw.choices(parts, k=draw.randint(1, 4))) for _ in range(size // 12))
    return b"".join(b'    "%s": %d,\n' % (word, n) for n, word in enumerate(words))[:size]


def weights(size: int) -> bytes:
    """Three random bytes and one that is nearly always of a few values, as float32 is."""
    draw = random.Random(2)  # noqa: S311 - likewise
    exponents = draw.choices((187, 188, 189, 60, 61, 62), (4, 9, 4, 4, 9, 4), k=size // 4)
    mantissas = (draw.randbytes(3) for _ in exponents)
    return b"".join(
        mantissa + bytes((exponent,))
        for mantissa, exponent in zip(mantissas, exponents, strict=True)
    )


def noise(size: int) -> bytes:
    return random.Random(3).randbytes(size)  # noqa: S311 - likewise


@pytest.mark.parametrize(
    ("block", "digest"),
    [
        pytest.param(text(300_000), "3d191523a360272f", id="text"),
        pytest.param(weights(300_000), "558a2cf804b9b3a2", id="weights"),
        pytest.param(noise(300_000), "e2ae17bd0563a804", id="noise"),
        pytest.param(bytes(300_000), "68093888d9ad29fd", id="zeros"),
        pytest.param(text(150_000) + weights(150_000), "91a59481dae1dde6", id="half and half"),
    ],
)
def test_the_bytes_are_those_of_every_machine(block: bytes, digest: str):
    """Taken on x86-64 with and without AVX-512, AVX2 and SSE 4.2, and on arm64: all the same.

    Where this fails with a new zlib-ng, the same folder makes another artifact than
    before: a reason to wait, or for a line in the changelog.
    """
    assert hashlib.sha256(compressed(block)).hexdigest()[:16] == digest


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_threads_make_no_difference(threads: int):
    data = text(BLOCK_BYTES) + weights(BLOCK_BYTES) + bytes(2 * BLOCK_BYTES) + noise(BLOCK_BYTES)

    assert compressed(data, threads=threads) == compressed(data, threads=1)


def test_how_it_is_written_makes_no_difference():
    data = weights(BLOCK_BYTES) + text(BLOCK_BYTES // 2)
    pieces = (data[n : n + 100_001] for n in range(0, len(data), 100_001))

    assert compressed(*pieces) == compressed(data)


@settings(max_examples=25, deadline=None)
@given(
    parts=st.lists(
        st.sampled_from(
            [b"", b"x", text(40_000), noise(70_000), bytes(BLOCK_BYTES - 1), bytes(BLOCK_BYTES)]
        ),
        max_size=4,
    )
)
def test_one_member_that_every_reader_reads(parts: list[bytes]):
    data = b"".join(parts)

    made = compressed(*parts)

    # A reader of one member alone: checksum and length fit, and nothing comes after it.
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(made) == data
    assert reader.eof
    assert not reader.unused_data
    assert gzip.decompress(made) == data


@pytest.mark.parametrize(
    ("block", "least", "most"),
    [
        pytest.param(text(BLOCK_BYTES), 0.3, 0.6, id="text: matches and codes"),
        pytest.param(weights(BLOCK_BYTES), 0.90, 0.95, id="weights: codes"),
        pytest.param(noise(BLOCK_BYTES), 1, 1.0001, id="noise: as it is"),
        pytest.param(bytes(BLOCK_BYTES), 0, 0.01, id="zeros: matches"),
        pytest.param(text(BLOCK_BYTES // 2) + noise(BLOCK_BYTES // 2), 0.6, 0.8, id="both"),
    ],
)
def test_what_each_sort_of_bytes_comes_to(block: bytes, least: float, most: float):
    assert least <= len(deflated(block)) / len(block) <= most


def test_no_more_blocks_are_held_than_the_threads_need():
    """With an output that stands still, writing comes to a stop and takes no more memory."""
    written = itertools.count()
    go_on = threading.Event()

    class Stuck:
        def write(self, data: bytes) -> int:
            if next(written) > 0:
                go_on.wait(timeout=60)
            return len(data)

    def write_all() -> None:
        with GzipWriter(Stuck(), threads=2) as writer:
            for _ in range(40):
                writer.write(bytes(BLOCK_BYTES))
                taken.release()
            writer.finish()

    taken = threading.Semaphore(0)
    thread = threading.Thread(target=write_all)
    thread.start()
    try:
        for _ in range(2 * BLOCKS_PER_THREAD):
            assert taken.acquire(timeout=30)
        assert not taken.acquire(timeout=0.1)
    finally:
        go_on.set()
        thread.join(timeout=60)


def test_an_output_that_fails_ends_it():
    class Full:
        def write(self, data: bytes) -> int:
            if len(data) > 100:
                raise OSError("No space left on device")
            return len(data)

    with GzipWriter(Full(), threads=2) as writer, pytest.raises(OSError, match="No space left"):
        writer.write(noise(40 * BLOCK_BYTES))

    assert not [each for each in threading.enumerate() if each.name.startswith("gzip")]
