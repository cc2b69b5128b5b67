from __future__ import annotations

import gzip
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portside.archive import ArchiveError, Member, Packed, digest, pack, unpack
from portside.archive.writer import READ_BYTES
from tests.unit.archive_maker import global_header, header, special, tar_bytes

if TYPE_CHECKING:
    from pathlib import Path


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


def test_the_size_of_a_folder_is_no_content(tmp_path: Path):
    archive = tmp_path / "model.tar.gz"
    folder = header(name=b"folder/", size=b"00000010000", kind=b"5")
    archive.write_bytes(gzip.compress(folder + tar_bytes(("a", b"1"))))

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
    os.mkfifo(tmp_path / "pipe")

    for source in ("missing", "link", "pipe", "."):
        with pytest.raises(ArchiveError):
            pack([Member(name="a", source=tmp_path / source)], target)

    assert target.read_text() == "the earlier one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "model.tar.gz", "pipe"]


@pytest.mark.parametrize("change", [b"longer", b""], ids=["grows", "shrinks"])
def test_a_file_that_changes_while_it_is_packed(change: bytes, tmp_path: Path):
    source = tmp_path / "weights"
    source.write_bytes(bytes(3 * READ_BYTES))

    def meddle(_: int) -> None:
        source.write_bytes(source.read_bytes() + change if change else b"")

    with pytest.raises(ArchiveError, match="weights` changed while it was read"):
        pack([Member(name="w", source=source)], tmp_path / "m.tar.gz", progress=meddle)

    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_an_interrupt_leaves_nothing(tmp_path: Path):
    (tmp_path / "weights").write_bytes(bytes(5_000_000))

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(
            [Member(name="w", source=tmp_path / "weights")],
            tmp_path / "m.tar.gz",
            progress=interrupt,
        )

    assert [path.name for path in tmp_path.iterdir()] == ["weights"]


def test_leftovers_of_killed_runs_are_removed(tmp_path: Path):
    (tmp_path / ".model[1].tar.gz.0123abcd.partial").write_text("half an archive")
    (tmp_path / ".out.0123abcd.partial").mkdir()
    (tmp_path / ".out.0123abcd.partial/half").write_text("half a file")
    others = (".model1.tar.gz.0123abcd.partial", ".model[1].tar.gz.txt", "out.0123abcd.partial")
    for name in others:
        (tmp_path / name).write_text("not ours")

    packed = pack([], tmp_path / "model[1].tar.gz")
    unpack(packed.path, tmp_path / "out")

    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"model[1].tar.gz", "out", *others}


def test_two_runs_at_once_leave_each_other_alone(tmp_path: Path):
    (tmp_path / "weights").write_bytes(bytes(3 * READ_BYTES))
    member = Member(name="w", source=tmp_path / "weights")
    target = tmp_path / "model.tar.gz"
    inner: list[Packed] = []

    def pack_too(_: int) -> None:
        if not inner:
            inner.append(pack([member], target))

    outer = pack([member], target, progress=pack_too)

    assert outer == inner[0]
    assert digest(target) == outer.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.tar.gz", "weights"]


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
