"""An image that an engine built: taken over once, looked at, and sent on like any other."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from portside.engine.image_build import ImageBuild
from portside.errors import BuildError
from portside.image import check, sbom
from portside.image.build import DockerfileRecipe, Image
from portside.image.dockerfile import build_dockerfile
from portside.image.explain import tree
from portside.image.layout import Layout
from portside.image.platform import Platform
from portside.image.publish import pending, publish
from tests.unit.image.image_fakes import FakeDestination, elf

EXEC = ("python3", "app.py")


def layer(files: dict[str, bytes], *, links: dict[str, str] | None = None) -> bytes:
    """A tar whose files in `bin` may be executed."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            header.mode = 0o755 if "bin/" in name else 0o644
            tar.addfile(header, io.BytesIO(content))
        for name, target in (links or {}).items():
            header = tarfile.TarInfo(name)
            header.type, header.linkname = tarfile.SYMTYPE, target
            tar.addfile(header)
    return output.getvalue()


BASE = layer({"usr/bin/python3": b"", "usr/bin/sh": b""}, links={"bin": "usr/bin"})
CODE = layer({"app/app.py": b"print(1)\n"})


@dataclass
class FakeBuilder:
    """An engine that has built `layers` already."""

    layers: Sequence[bytes] = (BASE, CODE)
    entrypoint: tuple[str, ...] = EXEC
    architecture: str = "amd64"
    packed: bool = False
    """Whether the layers are gzipped in the archive, as docker has them of late."""
    changed: dict[str, Any] = field(default_factory=dict)
    built: list[ImageBuild] = field(default_factory=list)
    saved: int = 0

    def config(self) -> bytes:
        diff_ids = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in self.layers]
        settings = {"Entrypoint": list(self.entrypoint), "WorkingDir": "/app", **self.changed}
        history = [
            {"created_by": "/bin/sh -c #(nop) ADD file:1 in / "},
            {"created_by": "WORKDIR /app", "empty_layer": True},
            {"created_by": "COPY . . # buildkit"},
        ]
        return json.dumps(
            {
                "architecture": self.architecture,
                "os": "linux",
                "config": settings,
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
                "history": history,
                "variant": "kept as it is",
            }
        ).encode()

    def build(self, wanted: ImageBuild) -> str:
        self.built.append(wanted)
        return f"sha256:{hashlib.sha256(self.config()).hexdigest()}"

    def save(self, image: str, file: Path) -> None:
        self.saved += 1
        names = [f"{number}/layer.tar" for number in range(len(self.layers))]
        listed = [{"Config": "config.json", "RepoTags": None, "Layers": names}]
        pack = gzip.compress if self.packed else bytes
        files = dict(zip(names, map(pack, self.layers), strict=True))
        files |= {"config.json": self.config(), "manifest.json": json.dumps(listed).encode()}
        file.write_bytes(layer(files))


@dataclass
class Workshop:
    folder: Path
    warnings: list[str] = field(default_factory=list)

    def build(self, builder: FakeBuilder, platform: Platform = Platform.AMD64) -> Image:
        dockerfile = self.folder / "Dockerfile"
        return build_dockerfile(
            DockerfileRecipe(
                name="Ner", platform=platform, dockerfile=dockerfile, context=self.folder
            ),
            layout=Layout(self.folder / "image"),
            builder=builder,
            warn=self.warnings.append,
        )


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def test_sagemaker_gets_dockers_manifest_and_the_engines_config(workshop: Workshop) -> None:
    builder = FakeBuilder()

    image = workshop.build(builder)

    manifest = json.loads(image.layout.path(image.digest).read_bytes())
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert {blob["mediaType"] for blob in manifest["layers"]} == {
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    }
    assert image.open(image.config).read_bytes() == builder.config()
    assert [gzip.decompress(image.open(one.blob).read_bytes()) for one in image.layers] == [
        BASE,
        CODE,
    ]
    assert builder.built[0].name == "portside/ner"


def test_it_is_pushed_and_told_of_like_any_other(workshop: Workshop) -> None:
    image = workshop.build(FakeBuilder())
    destination = FakeDestination()

    publish(image, destination, pending(image, destination))

    assert destination.came[-1] == image.digest
    assert len(destination.came) == 4
    drawn = "\n".join(tree(image, size=str))
    assert "ADD file:1 in /" in drawn
    assert "COPY . ." in drawn
    assert b"SPDXRef-base" not in sbom.bill(image)


def test_an_unchanged_image_stays_in_the_engine(workshop: Workshop) -> None:
    builder = FakeBuilder()
    first = workshop.build(builder)

    again = workshop.build(builder)

    assert builder.saved == 1
    assert len(first.made) == 2
    assert again.made == frozenset()
    assert again.digest == first.digest


def test_of_a_changed_image_the_changed_layer_is_packed(workshop: Workshop) -> None:
    workshop.build(FakeBuilder())

    changed = workshop.build(FakeBuilder(layers=(BASE, layer({"app/app.py": b"print(2)\n"}))))

    assert changed.made == {changed.layers[1].blob.digest}


def test_layers_that_are_gzipped_give_the_same_image(workshop: Workshop, tmp_path: Path) -> None:
    plain = workshop.build(FakeBuilder())
    (tmp_path / "other").mkdir()

    packed = Workshop(tmp_path / "other").build(FakeBuilder(packed=True))

    assert packed.digest == plain.digest


def test_zstd_is_refused(workshop: Workshop) -> None:
    with pytest.raises(BuildError, match="packed with zstd, and SageMaker takes gzip alone"):
        workshop.build(FakeBuilder(layers=(b"\x28\xb5\x2f\xfd" + bytes(100),)))

    assert not list(workshop.folder.rglob(".*.partial"))


def test_an_image_for_another_platform_is_refused(workshop: Workshop) -> None:
    with pytest.raises(BuildError, match="for linux/arm64 and not for linux/amd64") as raised:
        workshop.build(FakeBuilder(architecture="arm64"))

    assert raised.value.hint
    assert "--platform linux/arm64" in raised.value.hint


@pytest.mark.parametrize(
    ("entrypoint", "files", "reason"),
    [
        ((), {"app/serve": b""}, "neither an ENTRYPOINT nor a program"),
        (("gunicorn", "app:app"), {"app/gunicorn": b""}, "ENTRYPOINT `gunicorn` is not in it"),
        (("./start.sh",), {"app/start.sh": b""}, "`./start.sh` may not be executed"),
        (("python3",), {"usr/bin/.wh.python3": b""}, "ENTRYPOINT `python3` is not in it"),
    ],
)
def test_what_could_not_start_is_refused(
    workshop: Workshop, entrypoint: tuple[str, ...], files: dict[str, bytes], reason: str
) -> None:
    with pytest.raises(BuildError, match=reason) as raised:
        workshop.build(FakeBuilder(layers=(BASE, layer(files)), entrypoint=entrypoint))

    assert raised.value.hint


@pytest.mark.parametrize(
    ("entrypoint", "files"),
    [
        ((), {"opt/bin/serve": b""}),
        (("bin/start",), {"app/bin/start": b""}),
        (("/bin/python3",), {}),
    ],
)
def test_a_program_is_found_as_the_container_finds_it(
    workshop: Workshop, entrypoint: tuple[str, ...], files: dict[str, bytes]
) -> None:
    builder = FakeBuilder(
        layers=(BASE, layer(files)),
        entrypoint=entrypoint,
        changed={"Env": ["PATH=/usr/bin:/opt/bin"]},
    )

    assert workshop.build(builder).digest
    assert workshop.warnings == []


def test_a_shell_before_the_program_is_warned_about(workshop: Workshop) -> None:
    builder = FakeBuilder(entrypoint=("/bin/sh", "-c", "python3 app.py"))

    workshop.build(builder)
    workshop.build(builder)

    assert len(workshop.warnings) == 2
    assert "write it as a list" in workshop.warnings[1]


def test_a_library_for_another_processor_is_warned_about(workshop: Workshop) -> None:
    code = layer({"app/fast.so": elf(Platform.ARM64), "app/own.so": elf()})

    workshop.build(FakeBuilder(layers=(BASE, code)))

    (warning,) = workshop.warnings
    assert warning.startswith("not for linux/amd64")
    assert warning.endswith("1 libraries, as `/app/fast.so`")


def test_an_image_over_the_limit_is_refused(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "IMAGE_BYTES", 5)

    with pytest.raises(BuildError, match="SageMaker starts none of over"):
        workshop.build(FakeBuilder())


def test_a_broken_archive_is_a_clear_error(workshop: Workshop) -> None:
    class Broken(FakeBuilder):
        def save(self, image: str, file: Path) -> None:
            file.write_bytes(b"not a tar")

    with pytest.raises(BuildError, match="the engine wrote no whole image"):
        workshop.build(Broken())
