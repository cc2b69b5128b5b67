"""Layers become a tree, and nothing outside of it is touched, whatever is in them."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from portside.archive import ArchiveError, Limits
from portside.local.instance.image.tree import LayerFile, apply_layers, inside

Entry = tuple[str, bytes, str | bytes]
"""A name, a type of tarfile's, and content or target."""

FILE, FOLDER = tarfile.REGTYPE, tarfile.DIRTYPE
SYMLINK, LINK = tarfile.SYMTYPE, tarfile.LNKTYPE


def tar(*entries: Entry, mode: int = 0o755) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as out:
        for name, kind, what in entries:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, mode
            if isinstance(what, bytes):
                member.size = len(what)
                out.addfile(member, io.BytesIO(what))
            else:
                member.linkname = what
                out.addfile(member)
    return content.getvalue()


class Ground:
    """A folder to unpack in, and beside it what nobody may touch."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()
        self.outside = folder / "outside"
        self.outside.mkdir()
        (self.outside / "kept").write_text("kept")
        self._folder = folder

    def apply(self, *tars: bytes, limits: Limits | None = None) -> None:
        layers = []
        for number, data in enumerate(tars):
            path = self._folder / f"layer-{number}"
            path.write_bytes(gzip.compress(data))
            diff_id = f"sha256:{hashlib.sha256(data).hexdigest()}"
            layers.append(LayerFile(path=path, diff_id=diff_id))
        apply_layers(layers, self.root, **({"limits": limits} if limits else {}))

    def seen(self) -> dict[str, str]:
        """Every file's content, every link's target, and `/` for an empty folder."""
        found = {}
        for path in self.root.rglob("*"):
            name = str(path.relative_to(self.root))
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            elif path.is_file():
                found[name] = path.read_text()
            elif not any(path.iterdir()):
                found[name] = "/"
        return found


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def test_upper_layers_change_what_lower_ones_put(ground: Ground) -> None:
    lower = tar(
        ("a", FOLDER, ""), ("a/old", FILE, b"1"), ("a/same", FILE, b"1"), ("a/gone", FILE, b"1")
    )
    upper = tar(("a/old", FILE, b"2"), ("a/.wh.gone", FILE, b""), ("b/c/new", FILE, b"2"))

    ground.apply(lower, upper)

    assert ground.seen() == {"a/old": "2", "a/same": "1", "b/c/new": "2"}


@pytest.mark.parametrize("order", [1, -1])
def test_an_opaque_folder_keeps_what_its_own_layer_puts_in_it(ground: Ground, order: int) -> None:
    lower = tar(("a/b/low", FILE, b"1"), ("a/low", FILE, b"1"))
    opaque: list[Entry] = [("a/.wh..wh..opq", FILE, b""), ("a/b/high", FILE, b"2")]

    ground.apply(lower, tar(*opaque[::order]))

    assert ground.seen() == {"a/b/high": "2"}


def test_a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_link(ground: Ground) -> None:
    lower = tar(("a/x", FILE, b"1"), ("b", SYMLINK, "a"))
    upper = tar(("a", FILE, b"2"), ("b", FOLDER, ""))

    ground.apply(lower, upper)

    assert ground.seen() == {"a": "2", "b": "/"}


def test_links_lead_where_they_would_in_the_root(ground: Ground) -> None:
    lower = tar(("usr/lib", FOLDER, ""), ("lib", SYMLINK, "usr/lib"), ("abs", SYMLINK, "/usr"))
    upper = tar(("lib/x", FILE, b"2"), ("abs/y", FILE, b"2"), ("z", LINK, "lib/x"))

    ground.apply(lower, upper)

    assert ground.seen() == {
        "lib": "-> usr/lib",
        "abs": "-> /usr",
        "usr/lib/x": "2",
        "usr/y": "2",
        "z": "2",
    }
    assert (ground.root / "z").samefile(ground.root / "usr/lib/x")


@pytest.mark.parametrize(
    "name", ["/escaped", "../escaped", "a/../../escaped", "./a/../escaped", "//../escaped"]
)
def test_no_name_leads_out(ground: Ground, name: str) -> None:
    ground.apply(tar((name, FILE, b"x")))

    assert (ground.root / "escaped").read_text() == "x"
    assert not (ground.root.parent / "escaped").exists()


@pytest.mark.parametrize("target", ["{outside}", "../outside", "../../../../../../{outside}"])
@pytest.mark.parametrize(
    "name", ["link/kept", "link/new/kept", "link/.wh.kept", "link/sub/../kept"]
)
def test_no_link_leads_out(ground: Ground, target: str, name: str) -> None:
    target = target.format(outside=ground.outside)

    ground.apply(tar(("link", SYMLINK, target)), tar((name, FILE, b"x")))

    assert {path.name: path.read_text() for path in ground.outside.iterdir()} == {"kept": "kept"}


@pytest.mark.parametrize("name", ["link", ".wh.link", ".wh..wh..opq"])
def test_a_link_is_replaced_and_removed_itself(ground: Ground, name: str) -> None:
    link = ("link", SYMLINK, str(ground.outside / "kept"))

    ground.apply(tar(link), tar((name, FILE, b"x")))

    assert (ground.outside / "kept").read_text() == "kept"
    assert ground.seen() == ({"link": "x"} if name == "link" else {})


def test_a_hard_link_to_what_is_outside_is_none(ground: Ground) -> None:
    for target in (str(ground.outside / "kept"), "../outside/kept", "link"):
        link = ("link", SYMLINK, str(ground.outside / "kept"))
        hard = tar(link, ("hard", LINK, target))
        if target == "link":  # of the symbolic link itself
            ground.apply(hard)
            assert (ground.root / "hard").is_symlink()
        else:
            with pytest.raises(ArchiveError, match="no file"):
                ground.apply(hard)

    assert (ground.outside / "kept").stat().st_nlink == 1


def test_devices_and_pipes_are_left_out_and_rights_are_taken(ground: Ground) -> None:
    odd = [
        ("null", tarfile.CHRTYPE, ""),
        ("disk", tarfile.BLKTYPE, ""),
        ("p", tarfile.FIFOTYPE, ""),
    ]
    setuid = [("sudo", FILE, b"x"), ("folder", FOLDER, "")]

    ground.apply(tar(*odd, *setuid, mode=0o7755))  # type: ignore[arg-type]  # str is str | bytes

    assert ground.seen() == {"sudo": "x", "folder": "/"}
    assert (ground.root / "sudo").stat().st_mode & 0o7777 == 0o755
    assert (ground.root / "folder").stat().st_mode & 0o7777 == 0o1755
    assert (ground.root / "sudo").stat().st_uid == os.getuid()


@pytest.mark.parametrize(
    "name", ["..", "a/..", ".wh.", ".wh...", "a/.wh...", ".wh..", "/".join("d" * 200)]
)
def test_what_has_no_name_of_its_own_is_refused(ground: Ground, name: str) -> None:
    with pytest.raises(ArchiveError):
        ground.apply(tar((name, FILE, b"x")))

    assert (ground.outside / "kept").exists()


def test_links_in_a_circle_are_refused(ground: Ground) -> None:
    circle = tar(("a", SYMLINK, "b"), ("b", SYMLINK, "a"))

    with pytest.raises(ArchiveError, match="Too many levels"):
        ground.apply(circle, tar(("a/x", FILE, b"x")))


def _broken(data: bytes) -> bytes:
    return data[:512] + b"\x01" * 512 + data[1024:]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: gzip.compress(data)[:-20], "no gzipped tar"),
        (lambda _: b"not gzip", "Not a gzipped file"),
        (lambda data: gzip.compress(data + b"\0"), "as the image's config has it"),
        (lambda data: gzip.compress(_broken(data)), "a tar header is broken"),
    ],
)
def test_a_layer_that_is_broken_is_refused(
    ground: Ground, tmp_path: Path, spoil: Callable[[bytes], bytes], words: str
) -> None:
    data = tar(("a", FILE, b""), ("b", FILE, b"x"))
    path = tmp_path / "layer"
    path.write_bytes(spoil(data))

    with pytest.raises(ArchiveError, match=words):
        apply_layers(
            [LayerFile(path=path, diff_id=f"sha256:{hashlib.sha256(data).hexdigest()}")],
            ground.root,
        )


def test_a_thousand_extended_headers_are_refused(ground: Ground) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2

    with pytest.raises(ArchiveError, match="no gzipped tar: maximum recursion depth"):
        ground.apply((header.tobuf() + b"y".ljust(512, b"\0")) * 3000)


def test_an_extended_header_is_not_read_into_memory_whatever_its_size(ground: Ground) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    data = header.tobuf() + bytes(2 << 20)

    with pytest.raises(ArchiveError, match="extended tar header of 1073741824 bytes"):
        ground.apply(data)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(members=2), "over 2 files"),
        (Limits(total_bytes=20_000), "over 20000 bytes"),
        (Limits(ratio=2, ratio_from_bytes=10_000), "over 2 times its size"),
    ],
)
def test_what_unpacks_to_too_much_is_refused(ground: Ground, limits: Limits, words: str) -> None:
    files: list[Entry] = [(f"f{number}", FILE, bytes(10_000)) for number in range(3)]

    with pytest.raises(ArchiveError, match=words):
        ground.apply(tar(*files), limits=limits)


def test_paths_are_read_as_inside_of_the_root(ground: Ground) -> None:
    (ground.root / "etc").mkdir()
    (ground.root / "etc/passwd").symlink_to("/../../outside/kept")

    assert inside(ground.root, "etc/passwd") == ground.root / "outside/kept"
    assert inside(ground.root, "etc/passwd", follows=False) == ground.root / "etc/passwd"
