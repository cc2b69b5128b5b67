"""Archives that do harm or are broken: each refused for its own reason, and nothing is left."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portside.archive import ArchiveError, Limits, digest, unpack
from tests.unit.archive_maker import extended, global_header, header, pax, special, tar_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

END = bytes(1024)
LONG_NAME = b"n" * 120 + b"\0"


def broken_second_header() -> bytes:
    data = bytearray(tar_bytes(("a", b"1"), ("b", b"2")))
    data[1024] ^= 1  # the name in the second header, and so its checksum
    return bytes(data)


NAMES: dict[str, tuple[Callable[[], bytes], str]] = {
    "absolute path": (lambda: tar_bytes(("/etc/passwd", b"x")), "`/etc/passwd` has an absolute"),
    "absolute path in pax": (lambda: tar_bytes(pax("x", path="/x")), "`/x` has an absolute path"),
    "parent": (lambda: tar_bytes(("../x", b"x")), "`../x` leads out of the folder"),
    "parent within": (lambda: tar_bytes(("a/../../x", b"x")), "leads out of the folder"),
    "parent that comes back": (lambda: tar_bytes(("a/../x", b"x")), "leads out of the folder"),
    "parent as a folder": (lambda: tar_bytes(special("..", tarfile.DIRTYPE)), "leads out"),
    "parent in a pax path": (lambda: tar_bytes(pax("x", path="../x")), "leads out of the folder"),
    "parent in a GNU long name": (
        lambda: extended(b"../" + LONG_NAME, kind=b"L") + header() + END,
        "leads out of the folder",
    ),
    "too deep": (lambda: tar_bytes(("a/" * 64 + "b", b"x")), "over 64 parts"),
    "far too deep": (lambda: tar_bytes(("a/" * 1200 + "f", b"x")), "over 64 parts"),
    "long part": (lambda: tar_bytes(("a" * 256, b"x")), "over 255 bytes"),
    "long part in bytes": (lambda: tar_bytes(("ä" * 128, b"x")), "over 255 bytes"),
    "no name": (lambda: tar_bytes((".", b"x")), "a file without a name"),
    "an empty pax path": (lambda: extended(b"8 path=\n") + header() + END, "without a name"),
    "backslash": (lambda: tar_bytes(("..\\x", b"x")), "backslash"),
    "newline": (lambda: tar_bytes(("a\nb", b"x")), "control character"),
    "escape sequence": (lambda: tar_bytes(("\x1b[2J", b"x")), "control character"),
    "NUL": (lambda: extended(b"12 path=a\0b\n") + header() + END, "control character"),
    "not UTF-8": (lambda: header(name=b"caf\xe9") + END, "broken UTF-8"),
    "not UTF-8 in pax": (lambda: extended(b"12 path=a\xe9b\n") + header() + END, "is not UTF-8"),
    "not UTF-8 in a long name": (lambda: extended(b"\xff" + LONG_NAME, kind=b"L"), "is not UTF-8"),
    "duplicate": (lambda: tar_bytes(("a", b"1"), ("a", b"2")), "two members are named `a`"),
    "duplicate in disguise": (lambda: tar_bytes(("a", b"1"), ("./a", b"2")), "two members"),
    "duplicate with slashes": (lambda: tar_bytes(("a/b", b"1"), ("a//b", b"2")), "named `a/b`"),
    "file as a folder": (lambda: tar_bytes(("a", b"1"), ("a/b", b"2")), "`a` is a file and a fol"),
    "folder as a file": (lambda: tar_bytes(("a/b", b"1"), ("a", b"2")), "`a` is a file and a fol"),
}

KINDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "symbolic link": (
        lambda: tar_bytes(special("l", tarfile.SYMTYPE, link="/etc")),
        "`l` is a symbolic link",
    ),
    "link, and a file through it": (
        lambda: tar_bytes(special("l", tarfile.SYMTYPE, link="/tmp"), ("l/x", b"x")),
        "`l` is a symbolic link",
    ),
    "hard link": (
        lambda: tar_bytes(("a", b""), special("l", tarfile.LNKTYPE, link="a")),
        "`l` is a hard link",
    ),
    "character device": (lambda: tar_bytes(special("d", tarfile.CHRTYPE)), "a character device"),
    "block device": (lambda: tar_bytes(special("d", tarfile.BLKTYPE)), "a block device"),
    "named pipe": (lambda: tar_bytes(special("p", tarfile.FIFOTYPE)), "a named pipe"),
    "contiguous file": (lambda: tar_bytes(special("c", tarfile.CONTTYPE)), "a contiguous file"),
    "sparse file": (lambda: tar_bytes(special("s", tarfile.GNUTYPE_SPARSE)), "a sparse file"),
    "sparse in pax": (lambda: tar_bytes(pax("s", GNU__sparse__size="99")), "a sparse file"),
    "unknown type": (lambda: tar_bytes(special("m", b"M")), "`m` is of the unknown type b'M'"),
    "GNU long link": (lambda: extended(LONG_NAME, kind=b"K"), "is a link"),
}

HEADERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "global path": (lambda: global_header(path="../x"), "a global tar header sets `path`"),
    "two pax headers": (lambda: tar_bytes(pax("a", path="b"))[:1024] * 2, "in a row"),
    "two long names": (lambda: extended(LONG_NAME, kind=b"L") * 2, "in a row"),
    "pax header and long name": (
        lambda: extended(b"9 path=b\n") + extended(LONG_NAME, kind=b"L"),
        "in a row",
    ),
    "pax header and nothing": (lambda: extended(b"9 path=b\n") + END, "ends after an extended"),
    "long pax header": (
        lambda: tar_bytes(pax("a", path="x" * 70_000)),
        "an extended tar header of 70012 bytes",
    ),
    "pax header of 8 GB": (
        lambda: header(kind=b"x", size=b"77777777777"),
        "an extended tar header of 8589934591 bytes",
    ),
    "pax header of no bytes": (lambda: extended(b"") + header(), "an extended tar header of 0"),
    "pax length past the end": (lambda: extended(b"99 path=b\n"), "an extended tar header is bro"),
    "pax length too short": (lambda: extended(b"5 path=b\n"), "an extended tar header is broken"),
    "pax length of no digits": (lambda: extended(b"x path=b\n"), "an extended tar header is bro"),
    "size of many digits": (lambda: tar_bytes(pax("a", size="9" * 5000)), "has the size `999"),
    "negative size": (lambda: tar_bytes(pax("a", size="-1")), "`a` has the size `-1`"),
    "negative size in base 256": (
        lambda: header(size=b"\xff" * 11 + b"\xfe") + END,
        "`a` has the size `-2`",
    ),
    "huge size in base 256": (
        lambda: header(size=b"\x80" + bytes(2) + b"\x7f" * 9) + END,
        "`a` has the size `23519236993115487927`",
    ),
    "size in base 256 past the end": (
        lambda: header(size=b"\x80" + bytes(7) + b"\x7f" * 4) + END,
        "the tar ends too early",
    ),
    "size that is no number": (lambda: header(size=b"one") + END, "a tar header is broken"),
    "size past the end": (lambda: tar_bytes(pax("a", size="99999")), "the tar ends too early"),
    "broken header": (broken_second_header, "a tar header is broken: bad checksum"),
    "no end": (lambda: tar_bytes(("a", b"1"))[:1024], "the tar ends too early"),
    "cut in a file": (lambda: tar_bytes(("a", b"1" * 5000))[:2048], "the tar ends too early"),
    "not a tar": (lambda: b"not a tar at all" * 64, "a tar header is broken"),
    "gzip of gzip": (
        lambda: gzip.compress(tar_bytes(("a", b"1")) * 4).ljust(512, b"\0"),
        "a tar header is broken",
    ),
    "nothing": (lambda: b"", "the tar ends too early"),
}

TARS = NAMES | KINDS | HEADERS


def refusal(content: bytes, folder: Path, *, limits: Limits | None = None) -> str:
    """Why it is refused; checks that nothing is left."""
    archive = folder / "model.tar.gz"
    archive.write_bytes(content)

    with pytest.raises(ArchiveError) as caught:
        unpack(archive, folder / "out", limits=limits or Limits())

    assert [path.name for path in folder.iterdir()] == ["model.tar.gz"]
    message = caught.value.message
    assert message.startswith(f"could not unpack `{archive}`: ")
    assert caught.value.hint
    return message


def test_cases_are_told_apart():
    assert len(TARS) == len(NAMES) + len(KINDS) + len(HEADERS)


@pytest.mark.parametrize("case", TARS)
def test_tar(case: str, tmp_path: Path):
    make, reason = TARS[case]

    assert reason in refusal(gzip.compress(make()), tmp_path)


def zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("model.onnx", "x")
    return buffer.getvalue()


WHOLE = gzip.compress(tar_bytes(("a", b"1" * 5000)))

NOT_GZIP: dict[str, tuple[bytes, str]] = {
    "plain text": (b"plain text", r"Not a gzipped file (b'pl')"),
    "a zip file": (zip_bytes(), r"Not a gzipped file (b'PK')"),
    "a tar that is not compressed": (tar_bytes(("model.onnx", b"x")), r"Not a gzipped file (b'mo"),
    "a header and no more": (WHOLE[:10], "ended before the end-of-stream marker"),
    "half a header": (WHOLE[:5], "ended before the end-of-stream marker"),
    "cut in the middle": (WHOLE[: len(WHOLE) // 2], "ended before the end-of-stream marker"),
    "cut in the checksum": (WHOLE[:-6], "ended before the end-of-stream marker"),
    "wrong checksum": (WHOLE[:-8] + bytes(8), "CRC check failed"),
    "wrong length": (WHOLE[:-4] + bytes(4), "Incorrect length of data"),
    "unknown method": (WHOLE[:2] + b"\x07" + WHOLE[3:], "Unknown compression method"),
    "broken deflate": (WHOLE[:10] + b"\xff" * 40, "invalid"),
    "rubbish behind": (WHOLE + b"rubbish", r"Not a gzipped file (b'ru')"),
    "half a second member": (WHOLE + WHOLE[:20], "ended before the end-of-stream marker"),
}


@pytest.mark.parametrize("case", NOT_GZIP)
def test_not_a_whole_gzip(case: str, tmp_path: Path):
    content, reason = NOT_GZIP[case]

    message = refusal(content, tmp_path)

    assert "not a whole gzip file" in message
    assert reason in message


def test_an_empty_file(tmp_path: Path):
    assert "the tar ends too early" in refusal(b"", tmp_path)


def test_a_path_that_the_system_cannot_hold(tmp_path: Path):
    archive = tmp_path / "model.tar.gz"
    deep = ("folder" * 40 + "/") * 40
    archive.write_bytes(gzip.compress(tar_bytes((f"{deep}f", b"x"))))

    with pytest.raises(ArchiveError, match="File name too long"):
        unpack(archive, tmp_path / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["model.tar.gz"]


ZEROS = tar_bytes(("zeros", bytes(1_000_000)))


@pytest.mark.parametrize(
    ("content", "limits", "reason"),
    [
        pytest.param(
            gzip.compress(ZEROS), Limits(total_bytes=100_000), "over 100000 bytes", id="size"
        ),
        pytest.param(
            gzip.compress(ZEROS), Limits(ratio_from_bytes=1000), "over 200 times", id="ratio"
        ),
        pytest.param(
            b"".join(gzip.compress(ZEROS[n : n + 50_000]) for n in range(0, len(ZEROS), 50_000)),
            Limits(ratio_from_bytes=1000),
            "over 200 times its size",
            id="ratio of many gzip members",
        ),
        pytest.param(
            gzip.compress(tar_bytes(("a", b"1")) + bytes(1_000_000)),
            Limits(ratio_from_bytes=1000),
            "over 200 times its size",
            id="ratio behind the end of the tar",
        ),
        pytest.param(
            gzip.compress(tar_bytes(*((str(n), b"") for n in range(30)))),
            Limits(members=20),
            "over 20 files and folders",
            id="files",
        ),
        pytest.param(
            gzip.compress(tar_bytes(("a/" * 30 + "f", b""))),
            Limits(members=20),
            "over 20 files and folders",
            id="folders that only names imply",
        ),
    ],
)
def test_bombs(content: bytes, limits: Limits, reason: str, tmp_path: Path):
    assert reason in refusal(content, tmp_path, limits=limits)


def test_the_digest_is_checked_before_anything_stands_there(tmp_path: Path):
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(WHOLE)
    right, wrong = digest(archive), "0" * 64

    with pytest.raises(ArchiveError, match=f"its SHA-256 is `{right}` and not `{wrong}`"):
        unpack(archive, tmp_path / "out", digest=wrong)

    assert [path.name for path in tmp_path.iterdir()] == ["model.tar.gz"]
    assert unpack(archive, tmp_path / "out", digest=right) == ("a",)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None
)
@given(data=st.data())
def test_no_damage_escapes_as_another_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
):
    whole = bytearray(tar_bytes(("a" * 120, b"1" * 600), ("b", b"2")))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 2600))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "m.tar.gz").write_bytes(gzip.compress(bytes(whole)))

    try:
        unpack(folder / "m.tar.gz", folder / "out")
    except ArchiveError:
        assert not (folder / "out").exists()
