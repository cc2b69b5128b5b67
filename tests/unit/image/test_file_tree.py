"""Layers on one another, by their names alone."""

from __future__ import annotations

import tarfile

import pytest

from portside.image.file_tree import FileTree


def members(*names: str, **links: str) -> list[tarfile.TarInfo]:
    found = [tarfile.TarInfo(name) for name in names]
    for name, target in links.items():
        header = tarfile.TarInfo(name)
        header.type, header.linkname = tarfile.SYMTYPE, target
        found.append(header)
    return found


@pytest.fixture
def tree() -> FileTree:
    found = FileTree()
    found.lay(members("./usr/lib/a", "usr/lib/deep/b", "opt/c", lib="usr/lib", up="opt/../usr"))
    return found


@pytest.mark.parametrize(
    ("path", "is_there"),
    [
        ("/usr/lib/a", True),
        ("/usr/lib", True),
        ("/", True),
        ("/lib/deep/b", True),
        ("/lib/deep/../a", True),
        ("/up/lib/a", True),
        ("/usr/lib/b", False),
        ("/usr/lib/a/b", False),
    ],
)
def test_links_are_followed(tree: FileTree, path: str, is_there: bool) -> None:
    assert (tree.find(path) is not None) is is_there


def test_a_whiteout_takes_away_what_lies_below(tree: FileTree) -> None:
    tree.lay(members("usr/lib/.wh.deep", "usr/lib/.wh.a", "usr/lib/a"))

    assert tree.find("/usr/lib/deep/b") is None
    assert tree.find("/usr/lib/a") is not None


@pytest.mark.parametrize("prefix", ["", "./", "/"])
def test_whiteouts_at_the_top_count_too(prefix: str) -> None:
    tree = FileTree()
    tree.lay(members("serve", ".kept", "opt/x"))

    tree.lay(members(f"{prefix}.wh.serve"))
    assert tree.find("/serve") is None
    assert tree.find("/.kept") is not None

    tree.lay(members(f"{prefix}.wh..wh..opq"))
    assert tree.find("/opt/x") is None


def test_what_takes_a_folders_place_takes_away_what_was_in_it(tree: FileTree) -> None:
    tree.lay(members("usr/lib", up="opt"))

    assert tree.find("/usr/lib") is not None
    assert tree.find("/usr/lib/deep/b") is None
    assert tree.find("/up/c") is not None


def test_an_opaque_folder_keeps_what_its_own_layer_brings(tree: FileTree) -> None:
    tree.lay(members("usr/lib/new", "usr/lib/.wh..wh..opq"))

    assert tree.find("/usr/lib/a") is None
    assert tree.find("/usr/lib/new") is not None
    assert tree.find("/opt/c") is not None


def test_links_in_a_circle_lead_nowhere() -> None:
    tree = FileTree()
    tree.lay(members(one="two", two="one"))

    assert tree.find("/one/x") is None
