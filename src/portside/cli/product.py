"""What a project deploys: its model artifact, and its container image where one is made.

On AWS there is always an image. The local AWS serves with the Portside that is installed, which
takes no time, unless the project says what its image is built on, or `--image` asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from portside import config
from portside.artifact.bundle import Artifact
from portside.cli import output, package, target
from portside.deploy.desired import resources

if TYPE_CHECKING:
    from portside.image.build import Image

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Artifact and image on this machine; without an image Portside's own runtime serves."""

    artifact: Artifact | None
    image: Image | None

    @property
    def model_data(self) -> resources.ModelData | None:
        """The artifact as `deploy` wants it, with what was measured when it was proven."""
        if self.artifact is None:
            return None
        figures = self.artifact.proof.chosen.figures if self.artifact.proof else None
        return resources.ModelData(
            file=self.artifact.path,
            size_bytes=self.artifact.size_bytes,
            digest=self.artifact.digest,
            memory_bytes=figures.resident_bytes if figures else None,
            latency_ms=figures.latency_ms(50) if figures else None,
        )

    @property
    def image_data(self) -> resources.ImageData | None:
        """The image as `deploy` wants it."""
        if self.image is None:
            return None
        blobs = {blob.digest: blob.size for blob in self.image.blobs}
        return resources.ImageData(digest=self.image.digest, blobs=blobs)


def option(function: F) -> F:
    """The option `--image` of the commands that look at what is deployed."""
    return click.option(
        "--image",
        "with_image",
        is_flag=True,
        help="Build the container image for the local AWS too, as for AWS.",
    )(function)


def make(project: config.Project, *, where: str, with_image: bool = False) -> Product:
    """Package the project, and build its image where it is deployed with one."""
    has_image = with_image or where == target.AWS or bool(project.base or project.dockerfile)
    if not has_image:
        if project.requirements:
            output.note("  served with the packages that are installed here; with those of")
            output.note(f"  `{project.requirements.name}` by `--image`, which builds the image")
        return Product(artifact=package.make(project), image=None)
    from portside.cli import product_image  # noqa: PLC0415 - the local AWS mostly needs no image

    is_in_image = project.model is None or project.model_in_image
    # The code lies in a layer of its own, so that a change of it sends no model.
    artifact = None if is_in_image else package.make(project, has_code=bool(project.dockerfile))
    return Product(artifact=artifact, image=product_image.make(project))
