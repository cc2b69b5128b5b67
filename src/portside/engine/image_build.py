"""An image from a Dockerfile: what the engine is told, and what it says while it works.

    build ─▶ the image's id ─▶ save ─▶ an archive as `docker load` takes it

docker builds by buildx, which can be told to add no attestations: with them an image becomes an
index, and SageMaker refuses indexes. podman adds none. Sources: the manual pages `docker-buildx-
build(1)`, `docker-save(1)` of 23 and later, `podman-build(1)`, `podman-save(1)` of 4.3 and later.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from portside.archive.disk import disk_full, ran_full
from portside.engine.command import Arguments, EngineKind
from portside.engine.engine import Engine
from portside.engine.finder import find_engine
from portside.engine.runner import Attached, Runner
from portside.errors import BuildError, MissingToolError

_LAST_LINES: Final = 6
"""Of what a failing build printed; the reason stands among them."""

_READ_BYTES: Final = 64 * 1024

_DOCKERFILE: Final = "Dockerfile"
_IGNORED: Final = f"{_DOCKERFILE}.dockerignore"
_ID: Final = "id"

_BUILDX: Final[Arguments] = ("buildx", "version")

_HINT: Final = (
    'install podman or docker with buildx, or remove `build = "dockerfile"` from `[image]`: '
    "Portside's own images need neither"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBuild:
    """What is built: the Dockerfile, the folder that it copies from, for which platform.

    `left_out` are names in that folder which no image is to hold, besides what `.dockerignore`
    says. `platform` is one such as `linux/arm64`; `name` is what the engine calls the image.
    """

    dockerfile: Path
    context: Path
    left_out: tuple[str, ...] = ()
    platform: str
    name: str


def build(kind: EngineKind, wanted: ImageBuild, *, folder: Path) -> Arguments:
    """Build an image and keep it in the engine; its id is written to `folder/id`.

    The Dockerfile is read from `folder`, and beside it what is to be left out (`prepare`).
    """
    program = (
        # The id of an image that is not loaded means nothing to `docker save`.
        ("buildx", "build", "--load", "--provenance=false", "--sbom=false", "--progress=plain")
        if kind is EngineKind.DOCKER
        # OCI's configs have no room for what Docker's have, `SHELL` above all.
        else ("build", "--format", "docker", "--layers", "--ignorefile", str(folder / _IGNORED))
    )
    return (
        *program,
        *("--platform", wanted.platform),
        *("--file", str(folder / _DOCKERFILE)),
        *("--tag", wanted.name),
        *("--iidfile", str(folder / _ID)),
        str(wanted.context),
    )


def prepare(wanted: ImageBuild, folder: Path) -> None:
    """The Dockerfile, and a `.dockerignore` of its own with more in it than the user's.

    The user's is the one that the engines would take. Source: docs.docker.com, "Dockerignore
    files", Filename and location.
    """
    shutil.copyfile(wanted.dockerfile, folder / _DOCKERFILE)
    own = wanted.dockerfile.with_name(f"{wanted.dockerfile.name}.dockerignore")
    places = (own, wanted.context / ".dockerignore")
    given = next((place.read_bytes() for place in places if place.is_file()), b"")
    # As bytes: names of files need not be UTF-8.
    added = (os.fsencode(name) for name in wanted.left_out)
    (folder / _IGNORED).write_bytes(b"\n".join((given, *added, b"")))


def save(kind: EngineKind, image: str, *, file: Path) -> Arguments:
    """Write an image to a file as `docker save` does."""
    form = ("--format", "docker-archive") if kind is EngineKind.PODMAN else ()
    return ("save", *form, "--output", str(file), image)


class ImageBuilder:
    """An engine that can build; `hear` gets every line that it prints meanwhile."""

    def __init__(self, engine: Engine, *, hear: Callable[[str], None]) -> None:
        self._engine = engine
        self._hear = hear

    def build(self, wanted: ImageBuild) -> str:
        """Build an image; its id. Raises `BuildError` with the engine's last lines."""
        with TemporaryDirectory(prefix="portside-") as folder:
            place = Path(folder)
            prepare(wanted, place)
            arguments = build(self._engine.kind, wanted, folder=place)
            code, said = asyncio.run(_run(self._engine, arguments, hear=self._hear))
            if code != 0:
                raise BuildError(
                    f"`{self._engine.kind}` could not build `{wanted.dockerfile}` for "
                    f"{wanted.platform}:\n" + "\n".join(f"  {line}" for line in said),
                    hint=f"mend `{wanted.dockerfile}`, then run the same command again",
                )
            return (place / _ID).read_text(encoding="utf-8").strip()

    def save(self, image: str, file: Path) -> None:
        """Write an image to a file; raises `BuildError`."""
        arguments = save(self._engine.kind, image, file=file)
        code, said = asyncio.run(_run(self._engine, arguments, hear=lambda _: None))
        if code != 0:
            if ran_full(file.parent, "\n".join(said)):
                raise disk_full(file)
            raise BuildError(
                f"`{self._engine.kind}` could not write the image `{image}` to a file: "
                f"{said[-1] if said else f'it ended with exit code {code}'}",
                hint="run the same command again",
            )


def find_builder(
    *, runner: Runner, which: Callable[[str], str | None], hear: Callable[[str], None]
) -> ImageBuilder:
    """docker where it can build, else podman; raises `MissingToolError` where neither can."""
    return ImageBuilder(asyncio.run(_find(runner, which)), hear=hear)


async def _find(runner: Runner, which: Callable[[str], str | None]) -> Engine:
    reasons = []
    for kind in (EngineKind.DOCKER, EngineKind.PODMAN):
        try:
            engine = await find_engine((kind,), runner=runner, which=which)
        except MissingToolError as error:
            reasons.append(error.message.partition(": ")[2])
            continue
        if kind is EngineKind.PODMAN or (await _run(engine, _BUILDX))[0] == 0:
            return engine
        reasons.append("`docker` has no buildx")
    raise MissingToolError(
        f"could not find an engine to build the Dockerfile with: {'; '.join(reasons)}", hint=_HINT
    )


async def _run(
    engine: Engine, arguments: Arguments, *, hear: Callable[[str], None] = lambda _: None
) -> tuple[int, tuple[str, ...]]:
    """Run it to its end, however long it takes; its exit code, and the last lines it printed."""
    attached = await engine.follow(arguments)
    last: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        async for line in _lines(attached):
            hear(line)
            if line.strip():
                last.append(line)
        return await attached.wait(), tuple(last)
    finally:
        if attached.returncode is None:  # Ctrl-C reaches this process alone
            attached.send_signal(signal.SIGTERM)
        attached.close()


async def _lines(attached: Attached) -> AsyncIterator[str]:
    """Of any length; what is overwritten on a terminal counts as a line."""
    rest = b""
    while chunk := await attached.output.read(_READ_BYTES):
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")
