"""How an engine gets an image of the local ECR: it pulls it, by digest, from this machine.

    pushed? ─▶ held under our own name? ─▶ else: password in a file ─▶ pull ─▶ our own name ─▶ image

The engine keeps layers, so one that it has is not fetched again. Our own name has the digest and no
port in it: it finds the image also after a restart on another port, and after the image was deleted
from the local ECR.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from portside.engine.engine import EngineError
from portside.local.instance.removal import remove

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from portside.engine.engine import Engine, Image
    from portside.local.instance.image.pushed_image import PushedImage, PushedImages

HELD_NAME: Final = "localhost/portside-pushed"
"""Of every image that an engine has from here; the tag is its digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Where the local ECR listens (`127.0.0.1:PORT`), and who may pull there."""

    address: str
    user: str
    password: Callable[[], str]


class ImagePulls:
    """Brings images to an engine. `folder` holds passwords, each while an engine pulls."""

    def __init__(self, folder: Path, *, images: PushedImages, registry: Registry) -> None:
        self._folder = folder
        self._images = images
        self._registry = registry
        self._pulling = asyncio.Lock()

    async def find(self, engine: Engine, name: str) -> Image | None:
        """The image in the engine, pulled now if need be; None for one that was not pushed here.

        Raises `EngineError`.
        """
        pushed = self._images.find(name)
        digest = pushed.digest if pushed else name.partition("@")[2]
        if not digest:
            return None
        held_name = f"{HELD_NAME}:{digest.removeprefix('sha256:')}"
        found = await engine.find_image(held_name)
        if found is not None or pushed is None or pushed.stored is None:
            return found
        async with self._pulling:
            return await engine.find_image(held_name) or await self._pull(
                engine, pushed, held_name=held_name
            )

    def clear(self) -> None:
        """Remove what an earlier life left."""
        remove(self._folder)

    async def _pull(self, engine: Engine, image: PushedImage, *, held_name: str) -> Image:
        here = replace(
            image.reference, registry=self._registry.address, tag=None, digest=image.digest
        )
        folder = self._folder / secrets.token_hex(8)
        try:
            self._write_password(folder)
            await engine.pull(str(here), folder=folder)
        finally:
            remove(folder)
        await engine.tag(str(here), held_name)
        found = await engine.find_image(held_name)
        if found is None:
            raise EngineError(f"{engine} does not hold {here}, which it has pulled")
        return found

    def _write_password(self, folder: Path) -> None:
        """In the form of docker's own; on a command line everybody could read it."""
        credentials = f"{self._registry.user}:{self._registry.password()}"
        auth = base64.b64encode(credentials.encode()).decode()
        folder.mkdir(mode=0o700, parents=True)
        file = folder / "config.json"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump({"auths": {self._registry.address: {"auth": auth}}}, out)
