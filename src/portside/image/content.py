"""What goes into the layers that Portside makes: which files, under which names, found by what.

Each layer has a selector: the digest of all that it is made from. Where the layout knows it, the
layer is taken as it is, and none of its files is packed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

import portside
from portside.archive import Member, digest, unpack
from portside.archive.partial import partial_beside
from portside.errors import BuildError
from portside.image import dependency
from portside.image.base_content import Python
from portside.image.check import (
    check_architecture,
    check_secrets,
    cuda_warning,
    system_libraries,
)
from portside.image.dependency import Installer, Wanted
from portside.image.layer import FORMAT, Layer, LayerKind, Link, Part, pack_layer
from portside.image.layout import Layout, key_of
from portside.image.place import BIN, CODE, MODEL, PYTHON, ROOT, site_packages
from portside.image.platform import Platform
from portside.image.requirement import digests

OWN_FILES: Final = ("__init__.py", "contract.py", "errors.py")
"""What `portside.serving` imports of the rest; tests/unit/image/test_image_check.py holds it so."""

_SERVE: Final = f"""\
#!{PYTHON}
import sys
from portside.serving.server import main
sys.exit(main())
"""

Say = Callable[[str], None]


def dependencies_layer(wanted: Wanted, *, installer: Installer, layout: Layout, say: Say) -> Layer:
    """What is installed from the package index."""
    inputs = {
        "format": FORMAT,
        "installer": installer.version,
        "requirements": list(digests(wanted.requirements)) if wanted.requirements else [],
        "serving": wanted.serving,
        "unused": dependency.UNUSED,
        "platform": wanted.platform,
        "python": wanted.python,
    }
    key = key_of(LayerKind.DEPENDENCIES, inputs)
    known = _known(layout, key)
    if known is not None:
        return known
    with partial_beside(layout.folder / "install", Path.mkdir) as folder:
        site = folder / "site"
        say("fetching the dependencies")
        installer.install(wanted, folder)
        members = dependency.members(site, wanted, folder)
        check_architecture(members, wanted.platform)
        parts = dependency.distributions(site)
        warning = cuda_warning(parts, site)
        say(f"packing {len(parts)} dependencies")
        layer = pack_layer(
            members,
            kind=LayerKind.DEPENDENCIES,
            layout=layout,
            parts=parts,
            libraries=system_libraries(members),
            warnings=(warning,) if warning else (),
        )
    layout.remember(key, layer)
    return layer


def runtime_layer(python: Python, *, layout: Layout) -> Layer:
    """Portside's own files that run in an instance, and the environment that they run in."""
    version = python.version
    written = {
        f"{ROOT}/pyvenv.cfg": f"home = {PurePosixPath(python.path).parent}\n"
        f"include-system-site-packages = true\nversion = {version}\n",
        f"{BIN}/serve": _SERVE,
    }
    members = tuple(_runtime_members(version))
    links = (Link(name=f"{BIN}/python", target=python.path),)
    inputs = {"written": written, "link": python.path, "files": _contents(members)}
    key = key_of(LayerKind.RUNTIME, {"format": FORMAT, **inputs})
    known = _known(layout, key)
    if known is not None:
        return known
    with partial_beside(layout.folder / "runtime", Path.mkdir) as folder:
        files = tuple(_write(folder, name, text) for name, text in written.items())
        parts = (_part("portside", members, version=portside.__version__, license="Apache-2.0"),)
        layer = pack_layer(
            (*members, *files, *links), kind=LayerKind.RUNTIME, layout=layout, parts=parts
        )
    layout.remember(key, layer)
    return layer


def _runtime_members(version: str) -> Iterable[Member]:
    root = Path(portside.__file__).parent
    files = [root / name for name in OWN_FILES] + sorted((root / "serving").rglob("*.py"))
    for file in files:
        path = file.relative_to(root).as_posix()
        yield Member(name=f"{site_packages(version)}/portside/{path}", source=file)


def _write(folder: Path, name: str, text: str) -> Member:
    file = folder / PurePosixPath(name).name
    file.write_text(text, encoding="utf-8")
    if name.startswith(BIN):
        file.chmod(0o755)
    return Member(name=name, source=file)


def code_layer(code: Sequence[Member], *, platform: Platform, layout: Layout) -> Layer:
    """The user's code: members named from the folder with `inference.py` on."""
    check_secrets(code)
    members = tuple(Member(name=f"{CODE}/{file.name}", source=file.source) for file in code)
    key = key_of(LayerKind.CODE, {"format": FORMAT, "files": _contents(members)})
    known = _known(layout, key)
    if known is not None:
        return known
    check_architecture(members, platform)
    parts = tuple(_part(file.name, (file,)) for file in code)
    layer = pack_layer(
        members,
        kind=LayerKind.CODE,
        layout=layout,
        parts=parts,
        libraries=system_libraries(members),
    )
    layout.remember(key, layer)
    return layer


def model_layer(artifact: Path, *, layout: Layout, say: Say) -> Layer:
    """A model artifact's files, without its code, which has a layer of its own."""
    key = key_of(LayerKind.MODEL, {"format": FORMAT, "artifact": digest(artifact)})
    known = _known(layout, key)
    if known is not None:
        return known
    with partial_beside(layout.folder / "model", Path.mkdir) as beside:
        folder = beside / "unpacked"
        say("packing the model")
        names = [found for found in unpack(artifact, folder) if not found.startswith("code/")]
        if not names:
            raise BuildError(
                f"there is no model in `{artifact}`, only code",
                hint="take `model_in_image` out of `[image]`, or set `[model] path`",
            )
        members = [Member(name=f"{MODEL}/{found}", source=folder / found) for found in names]
        parts = tuple(_part(found, (file,)) for found, file in zip(names, members, strict=True))
        layer = pack_layer(members, kind=LayerKind.MODEL, layout=layout, parts=parts)
    layout.remember(key, layer)
    return layer


def _known(layout: Layout, key: str) -> Layer | None:
    layer = layout.recall(key, Layer)
    return layer if layer is not None and layout.has(layer.blob) else None


def _contents(members: Iterable[Member]) -> dict[str, str]:
    """Names with digests; a mode is a part of what a file is."""
    return {
        file.name: f"{digest(file.source)} {file.source.stat().st_mode & 0o100:o}"
        for file in members
    }


def _part(
    name: str,
    members: Iterable[Member],
    *,
    version: str = "",
    license: str = "",  # noqa: A002 - SPDX's word
) -> Part:
    size = sum(file.source.stat().st_size for file in members)
    return Part(name=name, size_bytes=size, version=version, license=license)
