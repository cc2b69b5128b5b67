"""The files of an image, once its layers lie on one another: what is there, where links lead.

Names alone: nothing is unpacked. A file `.wh.NAME` in a layer takes NAME of the layers below away,
`.wh..wh..opq` all that is in its folder (the OCI image specification 1.1, layer.md, Whiteouts).
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

_GONE: Final = ".wh."
_ALL_GONE: Final = ".wh..wh..opq"

_MOST_LINKS: Final = 40
"""On the way to a file, as Linux has it (path_resolution(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A file, a folder or a link; `is_program` where it is a file that may be executed."""

    link: str | None = None
    is_program: bool = False


_FOLDER: Final = Node()
_FILE: Final = Node()
_PROGRAM: Final = Node(is_program=True)


class FileTree:
    """What a container sees; layers are put on it from the lowest up."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def lay(self, layer: Iterable[tarfile.TarInfo]) -> None:
        """Put a layer on top."""
        added: dict[str, Node] = {}
        gone, emptied = set[str](), set[str]()
        for member in layer:
            path = PurePosixPath(member.name.lstrip("/"))
            if path.name == _ALL_GONE:
                emptied.add(str(path.parent))
            elif path.name.startswith(_GONE):
                gone.add(str(path.parent / path.name.removeprefix(_GONE)))
            else:
                added[str(path)] = _node(member)
        emptied.update(name for name in added if self._is_replaced(name, added[name]))
        if gone or emptied:
            self._nodes = {
                name: node
                for name, node in self._nodes.items()
                if name not in gone and not _is_below(name, gone | emptied)
            }
        for name, node in added.items():
            self._nodes[name] = node
            for parent in PurePosixPath(name).parents:
                self._nodes.setdefault(str(parent), _FOLDER)

    def _is_replaced(self, name: str, by: Node) -> bool:
        """Whether what is not a folder takes a folder's place, and with it all that is in it."""
        return self._nodes.get(name) is _FOLDER and by is not _FOLDER

    def find(self, path: str) -> Node | None:
        """What an absolute path leads to; None where that is nothing."""
        ahead = path.split("/")[::-1]
        behind: list[str] = []
        links = 0
        while ahead:
            word = ahead.pop()
            if word in {"", "."}:
                continue
            if word == "..":
                behind[-1:] = []
                continue
            node = self._nodes.get("/".join((*behind, word)))
            if node is None:
                return None
            if node.link is None:
                behind.append(word)
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            if node.link.startswith("/"):
                behind = []
            ahead += node.link.split("/")[::-1]
        return self._nodes.get("/".join(behind) or ".")


def _node(member: tarfile.TarInfo) -> Node:
    if member.issym():
        return Node(link=member.linkname)
    if member.isdir():
        return _FOLDER
    return _PROGRAM if member.mode & 0o111 else _FILE


def _is_below(name: str, folders: set[str]) -> bool:
    return any(str(parent) in folders for parent in PurePosixPath(name).parents)
