"""With a Dockerfile instead: an engine builds, and the image goes on like any other.

    Dockerfile ─▶ engine builds ─▶ the image's id: known? then what it became is there
                                        │
                                        ├─▶ saved to a file ─▶ layers, gzipped ─▶ checks
                                        ▼
                                  config, as it is ─▶ manifest of Docker's schema 2 ─▶ Image

What SageMaker would refuse or could not start is said here, before anything is sent; what is in
the image, secrets too, is its Dockerfile's.
"""

from __future__ import annotations

import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Protocol

import msgspec

from portside.archive.partial import partial_beside
from portside.engine.image_build import ImageBuild
from portside.errors import BuildError, hinting
from portside.image.build import DockerfileRecipe, Image
from portside.image.check import check_size
from portside.image.elf import HEADER_BYTES, machine_of
from portside.image.entry_point import check_entry_point
from portside.image.file_tree import FileTree
from portside.image.layer import FORMAT, Layer, LayerKind, Part, gzip_tar
from portside.image.layout import Layout, key_of
from portside.image.oci import Config, Descriptor, Manifest, MediaType, encode
from portside.image.platform import Platform
from portside.image.saved_image import SavedImage

Say = Callable[[str], None]

_NO_WORDS: Final = ("/bin/sh -c #(nop) ", "# buildkit")
"""What engines add to an instruction in an image's history."""


class Builder(Protocol):
    """An engine that builds; see `engine.image_build.ImageBuilder`."""

    def build(self, wanted: ImageBuild) -> str:
        """Build an image; its id, which is another one for another image."""

    def save(self, image: str, file: Path) -> None:
        """Write an image to a file as `docker save` does."""


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine's image became."""

    config: Descriptor
    layers: tuple[Layer, ...]


def build_dockerfile(
    recipe: DockerfileRecipe,
    *,
    layout: Layout,
    builder: Builder,
    say: Say = lambda _: None,
    warn: Say = lambda _: None,
) -> Image:
    """Make the image of a Dockerfile in the layout.

    `say` hears what is being done, `warn` what the user should know. Raises `BuildError`; the
    layout stays whole.
    """
    say(f"building {recipe.dockerfile.name}")
    image = builder.build(
        ImageBuild(
            dockerfile=recipe.dockerfile,
            context=recipe.context,
            left_out=recipe.left_out,
            platform=recipe.platform,
            name=f"portside/{recipe.name.lower()}",
        )
    )
    before = {path.name for path in layout.blobs.iterdir()}
    known = _taken(image, recipe, builder=builder, layout=layout, say=say)
    for warning in dict.fromkeys(text for layer in known.layers for text in layer.warnings):
        warn(warning)
    check_size(known.layers)
    value = Manifest(
        schema_version=2,
        media_type=MediaType.DOCKER_MANIFEST,
        config=known.config,
        layers=tuple(layer.blob for layer in known.layers),
    )
    manifest = layout.write(encode(value), media_type=MediaType.DOCKER_MANIFEST)
    layout.prune(now=time.time())
    return Image(
        name=recipe.name,
        platform=recipe.platform,
        base=None,
        layers=known.layers,
        config=known.config,
        manifest=manifest,
        value=value,
        layout=layout,
        made=frozenset(
            layer.blob.digest
            for layer in known.layers
            if layout.path(layer.blob.digest).name not in before
        ),
    )


def _taken(
    image: str, recipe: DockerfileRecipe, *, builder: Builder, layout: Layout, say: Say
) -> _Known:
    """The engine's image in the layout; taken out of the engine once."""
    key = key_of("dockerfile", {"format": FORMAT, "image": image, "platform": recipe.platform})
    known = layout.recall(key, _Known)
    if known is not None and all(
        layout.has(blob) for blob in (known.config, *(layer.blob for layer in known.layers))
    ):
        return known
    with (
        hinting(f"look at what the engine made: `podman inspect {image}`, or docker's"),
        partial_beside(layout.folder / "saved", Path.mkdir) as folder,
    ):
        say("taking the image out of the engine")
        builder.save(image, folder / "image.tar")
        with SavedImage.open(folder / "image.tar", name=recipe.dockerfile.name) as saved:
            _check_platform(saved.config, recipe)
            say("packing the layers")
            known = _Known(
                layers=_layers(saved, recipe, layout),
                config=layout.write(saved.config_bytes, media_type=MediaType.DOCKER_CONFIG),
            )
    layout.remember(key, known)
    return known


def _check_platform(config: Config, recipe: DockerfileRecipe) -> None:
    if (built_for := f"{config.os}/{config.architecture}") != recipe.platform:
        raise BuildError(
            f"`{recipe.dockerfile}` makes an image for {built_for} and not for {recipe.platform}",
            hint=f"remove `--platform` from its `FROM`, or build with `--platform {built_for}`",
        )


def _layers(saved: SavedImage, recipe: DockerfileRecipe, layout: Layout) -> tuple[Layer, ...]:
    """All layers, looked at and gzipped; what the image as a whole lacks is an error."""
    tree, found = FileTree(), []
    instructions = _instructions(saved.config)
    for number, (diff_id, content) in enumerate(saved.layers()):
        contents = _look_at(content, recipe.platform)
        tree.lay(contents.members)
        content.seek(0)
        name = instructions[number] if number < len(instructions) else ""
        found.append(
            Layer(
                kind=LayerKind.DOCKERFILE,
                blob=gzip_tar(content, diff_id=diff_id, layout=layout),
                diff_id=diff_id,
                size_bytes=contents.size_bytes,
                parts=(Part(name=name, size_bytes=contents.size_bytes),),
                warnings=contents.warnings,
            )
        )
    warning = check_entry_point(saved.config, tree, dockerfile=recipe.dockerfile)
    if warning:
        found[-1] = msgspec.structs.replace(found[-1], warnings=(*found[-1].warnings, warning))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contents:
    members: tuple[tarfile.TarInfo, ...]
    size_bytes: int
    warnings: tuple[str, ...]


def _look_at(layer: BinaryIO, platform: Platform) -> _Contents:
    """What a layer holds; libraries for another processor are warned about."""
    others = {one.elf_machine for one in Platform} - {platform.elf_machine}
    with tarfile.open(fileobj=layer, mode="r:") as tar:
        members, foreign = tuple(tar), []
        for member in members:
            if member.isreg() and ".so" in member.name.rpartition("/")[2]:
                file = tar.extractfile(member)
                if file is not None and machine_of(file.read(HEADER_BYTES)) in others:
                    foreign.append(member.name)
    warning = (
        f"not for {platform}, so that they cannot be loaded: {len(foreign)} libraries, as "
        f"`{PurePosixPath('/', foreign[0])}`"
        if foreign
        else None
    )
    return _Contents(
        members=members,
        size_bytes=sum(member.size for member in members),
        warnings=(warning,) if warning else (),
    )


def _instructions(config: Config) -> list[str]:
    """Of the Dockerfile and of its base, for each layer the one that made it."""
    return [_short(one.created_by) for one in config.history or () if not one.empty_layer]


def _short(instruction: str) -> str:
    for words in _NO_WORDS:
        instruction = instruction.replace(words, "")
    return " ".join(instruction.split())
