"""`portside build`: from a recipe to an image whose digest is known, before anything is sent.

    recipe ─▶ base ─▶ which Python?
                │
                ├─▶ layers    dependencies ─ runtime ─ model ─ code     each found by its selector,
                │             (uv)                                      or made (content, layer)
                ▼
              config ─▶ manifest ─▶ checks ─▶ Image ─┬─▶ publish   to a registry
                                                     └─▶ export    to a folder, a docker archive

What changes least lies lowest, so that a change of the code makes and sends one small layer. Every
byte follows from the inputs: two builds give one digest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from portside import __version__, contract
from portside.archive import Member
from portside.errors import hinting
from portside.image import content, place
from portside.image.base_content import Content, Python, look_into
from portside.image.base_image import Base, Source, find_base
from portside.image.check import check_libraries, check_size
from portside.image.dependency import Installer, Wanted
from portside.image.layer import Layer, LayerKind, Part
from portside.image.layout import Layout
from portside.image.oci import (
    EPOCH,
    Config,
    Descriptor,
    Execution,
    History,
    Manifest,
    MediaType,
    RootFs,
    encode,
)
from portside.image.platform import Platform
from portside.image.reference import Reference
from portside.image.requirement import serving_requirements

Say = Callable[[str], None]

_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ROOT_USER: Final = "0"
"""Containers have to run as root (DG your-algorithms-inference-code); on serverless the platform
takes a user of its own, whatever stands here."""

_CAPABILITY: Final = "com.amazonaws.sagemaker.capabilities"
"""What an image says that it can do. DG your-algorithms-inference-code (bidirectional streaming),
build-multi-model-build-container, multi-container-endpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that an image is made from.

    `code` are members named from the folder with the user's `inference.py` on. `model` is a model
    artifact that the image is to hold; without it the model comes from S3.
    """

    name: str
    base: str
    platform: Platform
    requirements: Path | None = None
    code: tuple[Member, ...] = ()
    model: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileRecipe:
    """All that an image is made from: a Dockerfile, and the folder that it copies from.

    Names in `left_out` stay out of the image, whatever the Dockerfile copies.
    """

    name: str
    platform: Platform
    dockerfile: Path
    context: Path
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A whole image: every blob's digest is known, and every one can be opened."""

    name: str
    platform: Platform
    base: Base | None
    """None where an engine built it: of a Dockerfile's bases no more than the layers is known."""
    layers: tuple[Layer, ...]
    config: Descriptor
    manifest: Descriptor
    value: Manifest
    layout: Layout
    made: frozenset[str] = field(default=frozenset())
    """The digests of the layers that were not there from an earlier build."""

    @property
    def digest(self) -> str:
        """The manifest's: what SageMaker and registries know the image by."""
        return self.manifest.digest

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Layers and config, each once."""
        return tuple({blob.digest: blob for blob in (*self.value.layers, self.config)}.values())

    def open(self, blob: Descriptor) -> Path:
        """Where a blob lies on this machine; the base's is brought there first."""
        if self.base is not None and blob in self.base.layers:
            return self.base.fetch(blob)
        return self.layout.path(blob.digest)

    def origin_of(self, blob: Descriptor) -> Reference | None:
        """Where a registry may take a blob from by itself, if that is known."""
        if self.base is not None and blob in self.base.layers:
            return self.base.origin
        return None


def build(
    recipe: Recipe,
    *,
    layout: Layout,
    installer: Installer,
    source: Callable[[str], Source],
    say: Say = lambda _: None,
    warn: Say = lambda _: None,
) -> Image:
    """Make the image of a recipe in the layout.

    `source` gives the registry of a host, for bases. `say` hears what is being done, `warn` what
    the user should know. Raises `BuildError` and `RemoteError`; the layout stays whole.
    """
    with hinting("take another base: `--base`, or `base` in `[image]` of `portside.toml`"):
        say("finding the base")
        base = find_base(recipe.base, recipe.platform, layout=layout, source=source)
        say("looking into the base")
        found = look_into(base, recipe.platform, layout=layout)
    before = {path.name for path in layout.blobs.iterdir()}
    own = _own_layers(recipe, found.python, layout=layout, installer=installer, say=say)
    for warning in (warning for layer in own for warning in layer.warnings):
        warn(warning)
    layers = (*_base_layers(base, found), *own)
    check_libraries(own, base=base.name, there=found.libraries)
    check_size(layers)
    config = layout.write(encode(_config(recipe, base, own)), media_type=MediaType.DOCKER_CONFIG)
    value = Manifest(
        schema_version=2,
        media_type=MediaType.DOCKER_MANIFEST,
        config=config,
        layers=tuple(layer.blob for layer in layers),
    )
    manifest = layout.write(encode(value), media_type=MediaType.DOCKER_MANIFEST)
    layout.prune(now=time.time())
    return Image(
        name=recipe.name,
        platform=recipe.platform,
        base=base,
        layers=layers,
        config=config,
        manifest=manifest,
        value=value,
        layout=layout,
        made=frozenset(
            layer.blob.digest for layer in own if layout.path(layer.blob.digest).name not in before
        ),
    )


def _own_layers(
    recipe: Recipe,
    python: Python,
    *,
    layout: Layout,
    installer: Installer,
    say: Say,
) -> tuple[Layer, ...]:
    """From what changes least to what changes most."""
    wanted = Wanted(
        requirements=recipe.requirements and recipe.requirements.absolute(),
        serving=serving_requirements(),
        platform=recipe.platform,
        python=python.version,
    )
    layers = [
        content.dependencies_layer(wanted, installer=installer, layout=layout, say=say),
        content.runtime_layer(python, layout=layout),
    ]
    if recipe.model is not None:
        layers.append(content.model_layer(recipe.model, layout=layout, say=say))
    if recipe.code:
        say("packing the code")
        layers.append(content.code_layer(recipe.code, platform=recipe.platform, layout=layout))
    return tuple(layers)


def _base_layers(base: Base, found: Content) -> tuple[Layer, ...]:
    return tuple(
        Layer(
            kind=LayerKind.BASE,
            blob=blob,
            diff_id=diff_id,
            size_bytes=found.size_bytes.get(blob.digest, 0),
            parts=(Part(name=base.name, size_bytes=found.size_bytes.get(blob.digest, 0)),),
        )
        for blob, diff_id in zip(base.layers, base.config.rootfs.diff_ids, strict=True)
    )


def _config(recipe: Recipe, base: Base, own: Sequence[Layer]) -> Config:
    diff_ids = (*base.config.rootfs.diff_ids, *(layer.diff_id for layer in own))
    history = base.config.history or tuple(
        History(created=EPOCH, created_by=base.name) for _ in base.layers
    )
    ours = (
        History(created=EPOCH, created_by=f"portside build {__version__}", comment=layer.kind)
        for layer in own
    )
    return Config(
        architecture=recipe.platform.architecture,
        os="linux",
        created=EPOCH,
        config=_execution(recipe, base),
        rootfs=RootFs(diff_ids=diff_ids),
        history=(*history, *ours),
    )


def _execution(recipe: Recipe, base: Base) -> Execution:
    """How the image runs: `docker run IMAGE serve`, the server as the first process."""
    theirs = base.config.config or Execution()
    variables = dict(line.partition("=")[::2] for line in theirs.env or ())
    variables |= _variables(recipe, variables.get("PATH", _DEFAULT_PATH))
    return Execution(
        user=_ROOT_USER,
        exposed_ports={f"{contract.PORT}/tcp": {}},
        env=tuple(f"{name}={value}" for name, value in sorted(variables.items())),
        entrypoint=(place.PYTHON, "-m", "portside.serving"),
        cmd=(contract.SERVE_ARGUMENT,),
        working_dir=f"/{place.ROOT}",
        labels={**(theirs.labels or {}), **_labels(recipe, base)},
    )


def _variables(recipe: Recipe, path: str) -> dict[str, str]:
    variables = {
        "PATH": f"/{place.BIN}:{path}",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        # Nothing of the image can be written to on serverless.
        "PYTHONDONTWRITEBYTECODE": "1",
        # Without it onnxruntime 1.32 begins telemetry, and draws a device ID, when it is imported.
        "ORT_DISABLE_TELEMETRY": "1",
    }
    if any(file.name == contract.DEFAULT_PROGRAM for file in recipe.code):
        variables[contract.ENV_PROGRAM] = f"/{place.CODE}/{contract.DEFAULT_PROGRAM}"
    if recipe.model is not None:
        variables[contract.ENV_MODEL_DIR] = f"/{place.MODEL}"
    return variables


def _labels(recipe: Recipe, base: Base) -> dict[str, str]:
    """What the serving runtime can do, and where the image comes from.

    Not the revision of the source: each commit would make another image of the same files.
    """
    return {
        f"{_CAPABILITY}.accept-bind-to-port": "true",
        f"{_CAPABILITY}.bidirectional-streaming": "false",
        f"{_CAPABILITY}.multi-models": "true",
        "org.opencontainers.image.base.digest": base.digest,
        "org.opencontainers.image.base.name": base.name,
        "org.opencontainers.image.title": recipe.name,
        "org.opencontainers.image.version": __version__,
    }


def reference_of(target: Reference, image: Image) -> Reference:
    """The name by which the image can be run, whatever its tag leads to later."""
    return Reference(registry=target.registry, repository=target.repository, digest=image.digest)
