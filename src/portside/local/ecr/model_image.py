"""Whether SageMaker would take an image for a Model, and its words where not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from portside.errors import BuildError
from portside.image.oci import MediaType
from portside.image.reference import Reference, parse
from portside.local.instance.runtime_image import ImageMissingError
from portside.local.refusal import invalid

if TYPE_CHECKING:
    from portside.local.protocol.fault import Fault


class Store(Protocol):
    """The local ECR, as far as Models need it."""

    def owns(self, reference: Reference) -> bool:
        """Whether an image of this name would lie here."""
        ...

    def media_type(self, reference: Reference) -> str:
        """What was pushed under a name; raises `ImageMissingError`."""
        ...


class Holders(Protocol):
    """Who else may hold an image: docker, podman, the Portside that is installed here."""

    async def resolve(self, image: str) -> str:
        """The image with its digest; raises `ImageMissingError`."""
        ...


class Images(Protocol):
    """Who says which images a Model may name."""

    async def check(self, image: str) -> None:
        """Raise the `Fault` that SageMaker answers CreateModel with."""
        ...


class AnyImage:
    """Takes whatever has a name of ECR's."""

    async def check(self, image: str) -> None:
        """Raise a `Fault` for a name of another registry."""
        if not _parse(image).is_ecr:
            raise _not_of_ecr(image)


class HeldImages:
    """Takes what was pushed to the local ECR in Docker's form, and what an engine holds."""

    def __init__(self, store: Store, *, holders: Holders) -> None:
        self._store = store
        self._holders = holders

    async def check(self, image: str) -> None:
        """Raise a `Fault` for what is not there, and for what SageMaker cannot pull."""
        reference = _parse(image)
        if not (reference.is_ecr or self._store.owns(reference)):
            raise _not_of_ecr(image)
        try:
            media_type = self._store.media_type(reference)
        except ImageMissingError:
            await self._check_held(image)
            return
        if media_type != MediaType.DOCKER_MANIFEST:
            # Seen on AWS: aws/amazon-sagemaker-feedback#180.
            raise invalid(
                f"Unsupported manifest media type {media_type} for image {image}."
                " Ensure that valid manifest media type is used for specified image."
            )

    async def _check_held(self, image: str) -> None:
        try:
            await self._holders.resolve(image)
        except ImageMissingError as error:
            # Seen on AWS: aws-samples/easy-amazon-sagemaker-deployments#4.
            raise invalid(f"Requested image {image} not found.") from error


def _parse(image: str) -> Reference:
    try:
        return parse(image)
    except BuildError as error:
        raise _not_of_ecr(image) from error


def _not_of_ecr(image: str) -> Fault:
    """Seen on AWS: aws/sagemaker-python-sdk#4700."""
    return invalid(
        f'Using non-ECR image "{image}" without Vpc repository access mode is not supported.'
    )
