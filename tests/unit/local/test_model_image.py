"""Which images a Model may name, in SageMaker's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from portside.image.oci import MediaType
from portside.local.ecr.model_image import HeldImages
from portside.local.instance import runtime_image
from portside.local.instance.runtime_image import ImageMissingError
from portside.local.protocol.fault import Fault
from tests.unit.local.state_fakes import ACCOUNT, IMAGE, REGION

if TYPE_CHECKING:
    from portside.image.reference import Reference

ECR = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
HERE = "127.0.0.1:4566"


@dataclass
class Pushed:
    """The local ECR, by the spelling of names."""

    images: dict[str, str] = field(default_factory=dict)

    def owns(self, reference: Reference) -> bool:
        return reference.registry in {ECR, HERE}

    def media_type(self, reference: Reference) -> str:
        if str(reference) not in self.images:
            raise ImageMissingError(str(reference))
        return self.images[str(reference)]


class Machine:
    """Holds the runtime, and one image of an engine."""

    async def resolve(self, image: str) -> str:
        if image == f"{ECR}/held:1":
            return image
        return runtime_image.resolve(image)


def images(**pushed: str) -> HeldImages:
    named = {f"{ECR}/{name}:1": media_type for name, media_type in pushed.items()}
    return HeldImages(Pushed(named), holders=Machine())


@pytest.mark.parametrize("image", [f"{ECR}/app:1", f"{ECR}/held:1", IMAGE])
async def test_what_is_taken(image: str) -> None:
    await images(app=MediaType.DOCKER_MANIFEST).check(image)


@pytest.mark.parametrize(
    "media_type", [MediaType.OCI_MANIFEST, MediaType.OCI_INDEX, MediaType.DOCKER_INDEX]
)
async def test_what_sagemaker_cannot_pull(media_type: MediaType) -> None:
    with pytest.raises(Fault) as caught:
        await images(app=media_type).check(f"{ECR}/app:1")
    assert caught.value.code == "ValidationException"
    assert caught.value.message == (
        f"Unsupported manifest media type {media_type} for image {ECR}/app:1. Ensure that valid"
        " manifest media type is used for specified image."
    )


async def test_a_runtime_that_was_pushed_is_an_image_like_any_other() -> None:
    pushed = {"portside-runtime": MediaType.OCI_MANIFEST.value}
    with pytest.raises(Fault, match="Unsupported manifest media type"):
        await images(**pushed).check(f"{ECR}/portside-runtime:1")


@pytest.mark.parametrize("image", [f"{ECR}/none:1", f"{HERE}/none:1", f"{ECR}/app:2", f"{ECR}/app"])
async def test_what_is_not_there(image: str) -> None:
    with pytest.raises(Fault) as caught:
        await images(app=MediaType.DOCKER_MANIFEST).check(image)
    assert caught.value.message == f"Requested image {image} not found."


@pytest.mark.parametrize(
    "image", ["nginx", "docker.io/library/nginx:1", "127.0.0.1:1/app:1", "a b"]
)
async def test_what_is_not_of_ecr(image: str) -> None:
    with pytest.raises(Fault) as caught:
        await images().check(image)
    assert caught.value.message == (
        f'Using non-ECR image "{image}" without Vpc repository access mode is not supported.'
    )
