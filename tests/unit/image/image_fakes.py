"""Small parts of images: a base with nothing in it, an installer that copies, a destination."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portside.archive import Member
from portside.errors import PortsideError
from portside.image.base_image import Source
from portside.image.build import Image, Recipe, build
from portside.image.check import SYSTEM_LIBRARIES
from portside.image.dependency import Wanted
from portside.image.layout import Layout
from portside.image.oci import Descriptor
from portside.image.platform import Platform
from portside.image.reference import Reference

MACHINES = {Platform.AMD64: 62, Platform.ARM64: 183}


def elf(platform: Platform = Platform.AMD64) -> bytes:
    """The head of a program and nothing behind it."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + (3).to_bytes(2, "little")
    return head + MACHINES[platform].to_bytes(2, "little") + bytes(44)


def tar_of(files: dict[str, bytes]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return output.getvalue()


def root_files(platform: Platform = Platform.AMD64) -> dict[str, bytes]:
    """A root file system with a Python and the libraries that wheels count on."""
    libraries = {f"./usr/lib/x86_64-linux-gnu/{name}": b"" for name in SYSTEM_LIBRARIES}
    return {"./usr/bin/python3.11": elf(platform), **libraries}


def base_tar(folder: Path, files: dict[str, bytes] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tar = folder / "base.tar"
    tar.write_bytes(tar_of(root_files() if files is None else files))
    return tar


@dataclass
class FakeInstaller:
    """Leaves what `uv` would: a distribution with a script of this machine's Python."""

    version: str = "fake 1"
    script: str = "#!/home/somebody/python\n"
    library: bytes = field(default_factory=elf)
    asked: list[Wanted] = field(default_factory=list)

    def install(self, wanted: Wanted, folder: Path) -> None:
        self.asked.append(wanted)
        site = folder / "site"
        info = site / "lib_one-1.5.dist-info"
        for path, content in {
            site / "one" / "__init__.py": b"one = 1\n",
            site / "one" / "fast.so": self.library,
            site / "bin" / "one": self.script.encode(),
            site / "bin" / "program": elf(),
            site / ".lock": b"",
            info / "METADATA": b"Name: Lib_One\nVersion: 1.5\nLicense-Expression: MIT\n\nText\n",
            info / "RECORD": b"bin/one,sha256=x,9\nbin/program,,\none/__init__.py,,8\n",
            info / "direct_url.json": b'{"url": "file:///home/somebody/one.whl"}',
        }.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def no_registry(host: str) -> Source:
    raise AssertionError(f"asked for the registry {host}")


def members(folder: Path, files: dict[str, str]) -> tuple[Member, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return tuple(Member(name=name, source=folder / name) for name in files)


@dataclass
class Workshop:
    """A folder to build in, with an installer that counts."""

    folder: Path
    installer: FakeInstaller = field(default_factory=FakeInstaller)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.layout = Layout(self.folder / "image")
        self.base = base_tar(self.folder)

    def build(self, program: str = "def predict(data, model): ...\n", **changed: Any) -> Image:
        recipe: dict[str, Any] = {
            "name": "ner",
            "base": str(self.base),
            "platform": Platform.AMD64,
            "code": members(self.folder / "code", {"inference.py": program}),
            **changed,
        }
        return build(
            Recipe(**recipe),
            layout=self.layout,
            installer=self.installer,
            source=no_registry,
            warn=self.warnings.append,
        )


def names_in(layer: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(layer, "r:gz") as tar:
        return {member.name: member for member in tar}


@dataclass
class FakeDestination:
    """Remembers what came, in order; has some blobs already, fails at others."""

    there: set[str] = field(default_factory=set)
    mountable: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    came: list[str] = field(default_factory=list)

    def present(self, blobs: Sequence[Descriptor]) -> frozenset[Descriptor]:
        return frozenset(blob for blob in blobs if blob.digest in self.there)

    def begun(self, blob: Descriptor) -> int:
        return 0

    def mount(self, blob: Descriptor, origin: Reference) -> bool:
        return blob.digest in self.mountable

    def send(self, blob: Descriptor, path: Path, progress: Callable[[int], None]) -> None:
        if blob.digest in self.broken:
            raise PortsideError("broken")
        content = path.read_bytes()
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == blob.digest
        progress(len(content))
        self.there.add(blob.digest)
        self.came.append(blob.digest)

    def finish(self, manifest: Descriptor, data: bytes) -> None:
        self.came.append(manifest.digest)


@dataclass
class OciFolder:
    """An OCI layout, or the blobs of a registry, made by hand."""

    folder: Path

    def add(self, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / "blobs" / "sha256" / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"size": len(data), "digest": f"sha256:{digest}"}

    def image(
        self,
        platform: Platform = Platform.AMD64,
        *,
        spelling: str = "oci",
        layer_type: str | None = None,
        **config: Any,
    ) -> dict[str, Any]:
        """The descriptor of an image with one layer."""
        tar = tar_of(root_files(platform))
        layer = self.add(gzip.compress(tar, mtime=0))
        settings = {
            "architecture": platform.architecture,
            "os": "linux",
            "config": {"Env": ["PATH=/usr/bin", "BASE=1"], "Labels": None, "Cmd": ["sh"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"],
            },
            **config,
        }
        types = {
            "oci": (
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.oci.image.layer.v1.tar+gzip",
            ),
            "docker": (
                "application/vnd.docker.distribution.manifest.v2+json",
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
            ),
        }[spelling]
        manifest = {
            "schemaVersion": 2,
            "mediaType": types[0],
            "config": {"mediaType": types[1], **self.add(json.dumps(settings).encode())},
            "layers": [{"mediaType": layer_type or types[2], **layer}],
        }
        return {
            "mediaType": types[0],
            **self.add(json.dumps(manifest).encode()),
            "platform": {"architecture": platform.architecture, "os": "linux"},
        }

    def index(self, *manifests: dict[str, Any]) -> Path:
        """The layout with these images in it."""
        listing = {"schemaVersion": 2, "manifests": manifests}
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "index.json").write_text(json.dumps(listing))
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        return self.folder


@dataclass
class FakeSource:
    """A registry with the blobs of a folder; counts which were asked for."""

    folder: OciFolder
    tags: dict[str, dict[str, Any]]
    asked: list[str] = field(default_factory=list)

    def manifest(self, repository: str, reference: str) -> tuple[str, bytes]:
        self.asked.append(reference)
        found = self.tags.get(reference)
        digest = found["digest"] if found else reference
        data = self._path(digest).read_bytes()
        return json.loads(data)["mediaType"], data

    def blob(self, repository: str, blob: Descriptor) -> Iterator[bytes]:
        self.asked.append(blob.digest)
        yield self._path(blob.digest).read_bytes()

    def _path(self, digest: str) -> Path:
        return self.folder.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
