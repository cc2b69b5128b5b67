"""What ECR says when it refuses, in its own words.

Those with a source were seen on AWS; of the others the form is ECR's, the words are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from portside.local.protocol.fault import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

IMAGE_NOT_FOUND = "Requested image not found"
"""Seen on AWS, aws-samples/amazon-sagemaker-tensorflow-object-detection-api#14."""


def invalid_parameter(name: str, constraint: str) -> Fault:
    """Seen on AWS, openai/tart#890."""
    message = f"Invalid parameter at '{name}' failed to satisfy constraint: '{constraint}'"
    return Fault("InvalidParameterException", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The refusals of one registry, which name it: its id is the account's."""

    account: str

    def no_repository(self, name: str, *, registry: str | None = None) -> Fault:
        """Seen on AWS, actions/starter-workflows#2647."""
        return Fault(
            "RepositoryNotFoundException",
            f"The repository with name '{name}' does not exist in the registry with id"
            f" '{registry or self.account}'",
        )

    def repository_exists(self, name: str) -> Fault:
        """Seen on AWS, metaps/genova#164."""
        return Fault(
            "RepositoryAlreadyExistsException",
            f"The repository with name '{name}' already exists in the registry with id"
            f" '{self.account}'",
        )

    def not_empty(self, name: str) -> Fault:
        """As moto has it."""
        return Fault(
            "RepositoryNotEmptyException",
            f"The repository with name '{name}' in registry with id '{self.account}' cannot be"
            " deleted because it still contains images",
        )

    def no_policy(self, code: str, kind: str, *, repository: str) -> Fault:
        """As moto has it; `kind` is `Lifecycle` or `Repository`."""
        return Fault(
            code,
            f"{kind} policy does not exist for the repository with name '{repository}' in the"
            f" registry with id '{self.account}'",
        )

    # --- Layers --------------------------------------------------------------

    def no_upload(self, upload: str, *, repository: str) -> Fault:
        """As moto has it."""
        return Fault(
            "UploadNotFoundException",
            f"Upload with id '{upload}' could not be found for the repository with name"
            f" '{repository}' in the registry with id '{self.account}'",
        )

    def wrong_part(self, upload: str, *, repository: str, size: int) -> Fault:
        """As moto has it; the client goes on after the last byte that is told."""
        return Fault(
            "InvalidLayerPartException",
            f"Invalid layer part upload for upload with id '{upload}' in the repository with name"
            f" '{repository}' in the registry with id '{self.account}'",
            fields={
                "registryId": self.account,
                "repositoryName": repository,
                "uploadId": upload,
                "lastValidByteReceived": max(size - 1, 0),  # the least that the model has
            },
        )

    def empty_upload(self, upload: str, *, repository: str) -> Fault:
        """Seen on AWS, devcontainers/cli#814."""
        return Fault(
            "EmptyUploadException",
            f"The upload with id '{upload}' in the repository with name '{repository}' in registry"
            f" with id '{self.account}' cannot be completed because it does not have any parts",
        )

    def short_part(self) -> Fault:
        """Seen on AWS, dotnet/sdk-container-builds#424."""
        return Fault(
            "LayerPartTooSmallException",
            "All layer parts except the last part should be at least 5MB",
        )

    def wrong_layer(self, digest: str) -> Fault:
        """Our words."""
        return Fault(
            "InvalidLayerException",
            f"The layer digest calculated by Amazon ECR, '{digest}', does not match the digest"
            " that was specified",
        )

    def layer_exists(self, digest: str, *, repository: str) -> Fault:
        """Our words."""
        return Fault(
            "LayerAlreadyExistsException",
            f"The layer with digest '{digest}' already exists in the repository with name"
            f" '{repository}' in registry with id '{self.account}'",
        )

    def no_layer(self, digest: str, *, repository: str) -> Fault:
        """Seen on AWS, monken/aws-ecr-public#11."""
        return Fault(
            "LayersNotFoundException",
            f"The layer with digest '{digest}' does not exist within the repository with name"
            f" '{repository}' in the registry with id '{self.account}'",
        )

    # --- Images --------------------------------------------------------------

    def layers_missing(self, digests: Iterable[str], *, repository: str) -> Fault:
        """Seen on AWS, mapbox/ecs-conex#50."""
        return self._missing("LayersNotFoundException", "Layers", digests, repository)

    def images_missing(self, digests: Iterable[str], *, repository: str) -> Fault:
        """Seen on AWS, by analogy with the words for layers."""
        return self._missing("ReferencedImagesNotFoundException", "Images", digests, repository)

    def _missing(self, code: str, what: str, digests: Iterable[str], repository: str) -> Fault:
        return Fault(
            code,
            f"{what} with digests '[{', '.join(digests)}]' required for pushing image into"
            f" repository with name '{repository}' in the registry with id '{self.account}' do not"
            " exist",
        )

    def image_exists(self, digest: str, tag: str | None, *, repository: str) -> Fault:
        """Seen on AWS, buildkite-plugins/ecr-buildkite-plugin#111."""
        return Fault(
            "ImageAlreadyExistsException",
            f"Image with digest '{digest}' and tag '{tag or 'null'}' already exists in the"
            f" repository with name '{repository}' in registry with id '{self.account}'",
        )

    def immutable_tag(self, tag: str, *, repository: str) -> Fault:
        """Seen on AWS, osscontainertools/kaniko#204."""
        return Fault(
            "ImageTagAlreadyExistsException",
            f"The image tag '{tag}' already exists in the '{repository}' repository and cannot be"
            " overwritten because the tag is immutable.",
        )

    def wrong_digest(self, digest: str, *, repository: str) -> Fault:
        """Seen on AWS, google/go-containerregistry#1568."""
        return Fault(
            "ImageDigestDoesNotMatchException",
            f"The image with digest '{digest}' in repository '{repository}' and registry ID"
            f" '{self.account}' does not match the image digest that Amazon ECR has calculated.",
        )

    def no_image(self, digest: str | None, tag: str | None, *, repository: str) -> Fault:
        """As moto has it."""
        image = f"{{imageDigest:'{digest or 'null'}', imageTag:'{tag or 'null'}'}}"
        return Fault(
            "ImageNotFoundException",
            f"The image with imageId {image} does not exist within the repository with name"
            f" '{repository}' in the registry with id '{self.account}'",
        )
