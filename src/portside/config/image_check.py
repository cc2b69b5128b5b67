"""What `[image]` names, looked for in the project's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from portside.config.section import ImageSection
from portside.errors import ConfigError

_USUAL: Final = "Dockerfile"


def dockerfile_of(image: ImageSection, root: Path) -> Path | None:
    """The Dockerfile that an engine is to build; None where Portside makes the image.

    Raises `ConfigError` for keys that say the one and the other.
    """
    if image.build == "portside":
        if image.dockerfile is not None:
            raise ConfigError(
                "Portside makes the image without it",
                path="image.dockerfile",
                hint='set `image.build` to "dockerfile", or remove the key',
            )
        return None
    for key, is_set in {
        "base": image.base is not None,
        "requirements": image.requirements is not None,
        "model_in_image": image.model_in_image,
    }.items():
        if is_set:
            raise ConfigError(
                "the Dockerfile says what is in the image",
                path=f"image.{key}",
                hint='remove the key, or `build = "dockerfile"`',
            )
    given = image.dockerfile or _USUAL
    if not (root / given).is_file():
        raise ConfigError(
            f"there is no file `{given}` in `{root}`",
            path="image.dockerfile",
            hint="set `image.dockerfile` to the path of your Dockerfile",
        )
    return root / given


def base_of(image: ImageSection, root: Path) -> str | None:
    """The base's name; a path from the project's folder on where that is there."""
    if image.base is None:
        return None
    path = root / image.base
    return str(path) if path.exists() else image.base
