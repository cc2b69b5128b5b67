from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portside.archive import ArchiveError, Limits, Member, digest, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def tar_bytes(
    *members: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member, io.BytesIO(bytes(member.size)))
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return buffer.getvalue()


def special(name: str, kind: bytes, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def pax(name: str, **headers: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.pax_headers = {key.replace("__", "."): value for key, value in headers.items()}
    return info


def broken_second_header() -> bytes:
    data = bytearray(tar_bytes(("a", b"1"), ("b", b"2")))
    data[1024 + 150] ^= 0xFF  # the checksum of the second header
    return bytes(data)


def global_header(**headers: str) -> bytes:
    return tarfile.TarInfo.create_pax_global_header(headers) + tar_bytes(("a", b"1"))


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "absolute path": (lambda: tar_bytes(("/etc/passwd", b"x")), "absolute path"),
    "parent": (lambda: tar_bytes(("../x", b"x")), "leads out of the folder"),
    "parent within": (lambda: tar_bytes(("a/../../x", b"x")), "leads out of the folder"),
    "too deep": (lambda: tar_bytes(("a/" * 64 + "b", b"x")), "over 64 parts"),
    "far too deep": (lambda: tar_bytes(("a/" * 1200 + "f", b"x")), "over 64 parts"),
    "parent as a folder": (lambda: tar_bytes(special("..", tarfile.DIRTYPE)), "leads out"),
    "parent in a pax path": (lambda: tar_bytes(pax("x", path="../x")), "leads out of the folder"),
    "backslash": (lambda: tar_bytes(("..\\x", b"x")), "backslash"),
    "newline": (lambda: tar_bytes(("a\nb", b"x")), "control character"),
    "long part": (lambda: tar_bytes(("a" * 300, b"x")), "over 255 bytes"),
    "no name": (lambda: tar_bytes((".", b"x")), "without a name"),
    "symbolic link": (
        lambda: tar_bytes(special("l", tarfile.SYMTYPE, link="/etc")),
        "a symbolic link",
    ),
    "hard link": (
        lambda: tar_bytes(("a", b""), special("l", tarfile.LNKTYPE, link="a")),
        "a hard link",
    ),
    "character device": (lambda: tar_bytes(special("d", tarfile.CHRTYPE)), "a character device"),
    "block device": (lambda: tar_bytes(special("d", tarfile.BLKTYPE)), "a block device"),
    "named pipe": (lambda: tar_bytes(special("p", tarfile.FIFOTYPE)), "a named pipe"),
    "sparse file": (lambda: tar_bytes(special("s", tarfile.GNUTYPE_SPARSE)), "a sparse file"),
    "sparse in pax": (lambda: tar_bytes(pax("s", GNU__sparse__size="99")), "a sparse file"),
    "unknown type": (lambda: tar_bytes(special("m", b"M")), "unknown type"),
    "duplicate": (lambda: tar_bytes(("a", b"1"), ("a", b"2")), "two members are named `a`"),
    "duplicate in disguise": (lambda: tar_bytes(("a", b"1"), ("./a", b"2")), "two members"),
    "file as a folder": (lambda: tar_bytes(("a", b"1"), ("a/b", b"2")), "a file and a folder"),
    "folder as a file": (lambda: tar_bytes(("a/b", b"1"), ("a", b"2")), "a file and a folder"),
    "global path": (lambda: global_header(path="../x"), "a global tar header sets `path`"),
    "two pax headers": (lambda: tar_bytes(pax("a", path="b"))[:1024] * 2, "in a row"),
    "long pax header": (
        lambda: tar_bytes(pax("a", path="x" * 70_000)),
        "an extended tar header of",
    ),
    "size of many digits": (lambda: tar_bytes(pax("a", size="9" * 5000)), "has the size"),
    "negative size": (lambda: tar_bytes(pax("a", size="-1")), "has the size"),
    "size past the end": (lambda: tar_bytes(pax("a", size="99999")), "ends too early"),
    "broken header": (broken_second_header, "a tar header is broken"),
    "no end": (lambda: tar_bytes(("a", b"1"))[:1024], "ends too early"),
    "cut in a file": (lambda: tar_bytes(("a", b"1" * 5000))[:2048], "ends too early"),
    "not a tar": (lambda: b"not a tar at all" * 64, "a tar header is broken"),
    "empty": (lambda: b"", "ends too early"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_refuses_and_leaves_nothing(case: str, tmp_path: Path):
    make, reason = HOSTILE[case]
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(make()))

    with pytest.raises(ArchiveError, match=reason) as caught:
        unpack(archive, tmp_path / "out")

    assert str(archive) in caught.value.message
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["model.tar.gz"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"plain text", id="not gzip"),
        pytest.param(gzip.compress(tar_bytes(("a", b"1")))[:-9], id="gzip cut short"),
        pytest.param(gzip.compress(tar_bytes(("a", b"1")))[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(gzip.compress(tar_bytes(("a", b"1"))) + b"rubbish", id="rubbish behind"),
    ],
)
def test_refuses_what_is_not_a_whole_gzip(content: bytes, tmp_path: Path):
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(content)

    with pytest.raises(ArchiveError, match="not a whole gzip file"):
        unpack(archive, tmp_path / "out")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        pytest.param(Limits(total_bytes=100_000), "over 100000 bytes", id="size"),
        pytest.param(Limits(ratio_from_bytes=1000), "over 200 times its size", id="ratio"),
        pytest.param(Limits(members=1), "over 1 files and folders", id="members"),
    ],
)
def test_refuses_bombs(limits: Limits, reason: str, tmp_path: Path):
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(tar_bytes(("zeros", bytes(5_000_000)), ("a", b"1"))))

    with pytest.raises(ArchiveError, match=reason):
        unpack(archive, tmp_path / "out", limits=limits)


def test_folders_that_names_imply_count(tmp_path: Path):
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(tar_bytes(("a/" * 50 + "b", b"1"))))

    with pytest.raises(ArchiveError, match="over 50 files and folders"):
        unpack(archive, tmp_path / "out", limits=Limits(members=50))


def test_a_path_may_have_64_parts(tmp_path: Path):
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(tar_bytes(("a/" * 63 + "b", b"1"))))

    assert unpack(archive, tmp_path / "out") == ("a/" * 63 + "b",)


def test_does_not_touch_a_folder_with_something_in_it(tmp_path: Path):
    archive = pack([], tmp_path / "model.tar.gz").path
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("precious")

    with pytest.raises(ArchiveError, match="not an empty folder"):
        unpack(archive, tmp_path / "out")

    assert (tmp_path / "out/mine").read_text() == "precious"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_what_tar_writes(form: int, tmp_path: Path):
    long = "/".join(["part" * 8] * 4) + "/weights"
    folder = special("./", tarfile.DIRTYPE)
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(
        gzip.compress(tar_bytes(folder, ("./config.json", b"{}"), (long, b"123"), form=form))
    )

    assert unpack(archive, tmp_path / "out") == ("config.json", long)
    assert (tmp_path / "out/config.json").read_bytes() == b"{}"
    assert (tmp_path / "out" / long).read_bytes() == b"123"


def test_reads_what_git_archive_writes(tmp_path: Path):
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(global_header(comment="0123abcd")))

    assert unpack(archive, tmp_path / "out") == ("a",)


def test_modes_are_normalized(tmp_path: Path):
    private = special("private", tarfile.REGTYPE)
    private.mode = 0o600
    program = special("bin/program", tarfile.REGTYPE)
    program.mode = 0o6770
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(tar_bytes(private, program)))

    unpack(archive, tmp_path / "out")

    modes = {
        p.relative_to(tmp_path).as_posix(): p.stat().st_mode & 0o7777 for p in tmp_path.rglob("*")
    }
    assert modes.pop("model.tar.gz")
    assert modes == {"out": 0o755, "out/private": 0o644, "out/bin": 0o755, "out/bin/program": 0o755}


def test_same_content_same_bytes(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, names in ((first, ["b", "a"]), (second, ["a", "b"])):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name)
    (second / "a").chmod(0o600)

    one = pack([Member(name=n, source=first / n) for n in ("a", "b")], tmp_path / "1.tar.gz")
    two = pack([Member(name=n, source=second / n) for n in ("b", "a")], tmp_path / "2.tar.gz")

    assert one.digest == two.digest == digest(one.path) == digest(two.path)
    assert one.size_bytes == one.path.stat().st_size


def test_bytes_do_not_depend_on_the_final_name(tmp_path: Path):
    (tmp_path / "a").write_text("a")
    members = [Member(name="a", source=tmp_path / "a")]

    assert (
        pack(members, tmp_path / "x.tar.gz").digest == pack(members, tmp_path / "y.tar.gz").digest
    )


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("a", "./a"), "two files would become the member `a`"),
        (("a", "a/b"), "member `a` would be a file and a folder"),
        (("../a",), "leads out of the folder"),
    ],
)
def test_pack_refuses_what_unpack_would(names: tuple[str, ...], reason: str, tmp_path: Path):
    (tmp_path / "file").write_text("x")

    with pytest.raises(ArchiveError, match=reason):
        pack([Member(name=name, source=tmp_path / "file") for name in names], tmp_path / "m.tar.gz")

    assert not (tmp_path / "m.tar.gz").exists()


def test_pack_that_fails_leaves_the_earlier_archive(tmp_path: Path):
    target = tmp_path / "model.tar.gz"
    target.write_text("the earlier one")
    (tmp_path / "link").symlink_to(target)

    for source in (tmp_path / "missing", tmp_path / "link"):
        with pytest.raises(ArchiveError):
            pack([Member(name="a", source=source)], target)

    assert target.read_text() == "the earlier one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "model.tar.gz"]


def test_pack_reports_every_byte(tmp_path: Path):
    (tmp_path / "weights").write_bytes(bytes(100_000))
    heard: list[int] = []

    pack(
        [Member(name="w", source=tmp_path / "weights")],
        tmp_path / "m.tar.gz",
        progress=heard.append,
    )

    assert sum(heard) == 100_000
    assert len(heard) > 1


name_part = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="/\\"),
    min_size=1,
    max_size=40,
).filter(lambda part: part not in {".", ".."})


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(
    files=st.dictionaries(
        st.lists(name_part, min_size=1, max_size=6).map("/".join),
        st.binary(max_size=2000),
        max_size=4,
    ).filter(lambda files: not any(b.startswith(f"{a}/") for a in files for b in files))
)
def test_round_trip(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("round")
    members = []
    for number, (name, content) in enumerate(files.items()):
        (folder / str(number)).write_bytes(content)
        members.append(Member(name=name, source=folder / str(number)))

    packed = pack(members, folder / "m.tar.gz")

    assert unpack(packed.path, folder / "out") == tuple(sorted(files))
    assert {name: (folder / "out" / name).read_bytes() for name in files} == files


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
