"""ECR without a network: real botocore up to the last step, then answers as ECR gives them.

Codes, members and states of botocore's service model of ECR, 2015-09-21.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ConnectionClosedError

from portside.aws.session import Address, Session

ACCOUNT, REGION = "123456789012", "eu-west-1"
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"


@dataclass
class RefusedError(Exception):
    """What ECR says no with."""

    code: str
    message: str = "no"
    status: int = 400
    members: dict[str, Any] = field(default_factory=dict)


class HungUpError(Exception):
    """There is no answer."""


@dataclass
class Stored:
    """A repository."""

    settings: dict[str, Any]
    layers: dict[str, bytes] = field(default_factory=dict)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeEcr:
    """A registry in one region, in memory.

    `trouble` holds for an operation what its next calls meet instead of an answer: a refusal,
    `"cut"` (the request never came), `"lost"` (it came, its answer did not), None (an answer).
    """

    part_bytes: int = 1000
    repositories: dict[str, Stored] = field(default_factory=dict)
    uploads: dict[str, list[bytes]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    trouble: dict[str, deque[RefusedError | str | None]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def session(self, *, region: str = REGION) -> Session:
        """A session whose client of ECR speaks to this registry, until another takes it."""
        session = _session(region)
        session.ecr.meta.events.unregister("before-send.ecr", unique_id="fake")
        session.ecr.meta.events.register("before-send.ecr", self._answer_client, unique_id="fake")
        return session

    def meets(self, operation: str, *trouble: RefusedError | str | None) -> None:
        self.trouble[operation] = deque(trouble)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [given for name, given in self.calls if name == operation]

    @property
    def sent_bytes(self) -> int:
        """Of layers, in parts that were taken or not."""
        return sum(
            len(base64.b64decode(given["layerPartBlob"])) for given in self.asked("UploadLayerPart")
        )

    def answer(self, operation: str, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body; raises `HungUpError` where there is no answer."""
        with self._lock:
            self.calls.append((operation, given))
            waiting = self.trouble.get(operation)
            trouble = waiting.popleft() if waiting else None
            if trouble == "cut":
                raise HungUpError
            try:
                if isinstance(trouble, RefusedError):
                    raise trouble
                answer = self._operations()[operation](given)
            except RefusedError as refused:
                error = {"__type": refused.code, "message": refused.message, **refused.members}
                return refused.status, error
            if trouble == "lost":
                raise HungUpError
            return 200, answer

    def _answer_client(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().rpartition(".")[2]
        try:
            status, answer = self.answer(operation, json.loads(request.body))
        except HungUpError as error:
            raise ConnectionClosedError(endpoint_url=request.url) from error
        headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "request-1"}
        return AWSResponse(request.url, status, headers, _Raw(json.dumps(answer).encode()))

    def _operations(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        return {
            "BatchCheckLayerAvailability": self._check_layers,
            "CompleteLayerUpload": self._complete,
            "CreateRepository": self._create,
            "DescribeImages": self._describe_images,
            "DescribeRepositories": self._describe,
            "InitiateLayerUpload": self._begin,
            "PutImage": self._put_image,
            "UploadLayerPart": self._part,
        }

    # --- Repositories -----------------------------------------------------------

    def _describe(self, given: dict[str, Any]) -> dict[str, Any]:
        for name in given["repositoryNames"]:
            self._stored({"repositoryName": name})
        return {"repositories": [{"repositoryName": name} for name in given["repositoryNames"]]}

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["repositoryName"] in self.repositories:
            raise RefusedError("RepositoryAlreadyExistsException")
        self.repositories[given["repositoryName"]] = Stored(given)
        return {"repository": {"repositoryName": given["repositoryName"]}}

    def _stored(self, given: dict[str, Any]) -> Stored:
        if given["repositoryName"] not in self.repositories:
            raise RefusedError(
                "RepositoryNotFoundException",
                f"The repository with name '{given['repositoryName']}' does not exist in the "
                f"registry with id '{ACCOUNT}'",
            )
        return self.repositories[given["repositoryName"]]

    # --- Layers -----------------------------------------------------------------

    def _check_layers(self, given: dict[str, Any]) -> dict[str, Any]:
        stored = self._stored(given)
        if len(given["layerDigests"]) > 100:
            raise RefusedError("InvalidParameterException")
        return {
            "layers": [
                {
                    "layerDigest": digest,
                    "layerAvailability": "AVAILABLE" if digest in stored.layers else "UNAVAILABLE",
                }
                for digest in given["layerDigests"]
            ],
            "failures": [],
        }

    def _begin(self, given: dict[str, Any]) -> dict[str, Any]:
        self._stored(given)
        upload_id = str(uuid.uuid4())
        self.uploads[upload_id] = []
        return {"uploadId": upload_id, "partSize": self.part_bytes}

    def _part(self, given: dict[str, Any]) -> dict[str, Any]:
        parts = self._upload(given)
        data = base64.b64decode(given["layerPartBlob"])
        received = sum(map(len, parts))
        if given["partLastByte"] - given["partFirstByte"] + 1 != len(data):
            raise RefusedError("InvalidParameterException")
        if given["partFirstByte"] != received or len(data) > self.part_bytes:
            raise RefusedError(
                "InvalidLayerPartException",
                members={
                    "uploadId": given["uploadId"],
                    "lastValidByteReceived": max(received - 1, 0),
                },
            )
        parts.append(data)
        return {"uploadId": given["uploadId"], "lastByteReceived": received + len(data) - 1}

    def _complete(self, given: dict[str, Any]) -> dict[str, Any]:
        stored, parts = self._stored(given), self._upload(given)
        data, (digest,) = b"".join(parts), given["layerDigests"]
        if not data:
            raise RefusedError("EmptyUploadException")
        if digest in stored.layers:
            raise RefusedError("LayerAlreadyExistsException")
        if any(len(part) < self.part_bytes for part in parts[:-1]):
            raise RefusedError("LayerPartTooSmallException")
        if digest != _digest(data):
            raise RefusedError("InvalidLayerException")
        stored.layers[digest] = data
        del self.uploads[given["uploadId"]]
        return {"uploadId": given["uploadId"], "layerDigest": digest}

    def _upload(self, given: dict[str, Any]) -> list[bytes]:
        self._stored(given)
        if given["uploadId"] not in self.uploads:
            raise RefusedError("UploadNotFoundException")
        return self.uploads[given["uploadId"]]

    # --- Images -----------------------------------------------------------------

    def _put_image(self, given: dict[str, Any]) -> dict[str, Any]:
        stored = self._stored(given)
        manifest, digest = (
            json.loads(given["imageManifest"]),
            _digest(given["imageManifest"].encode()),
        )
        tag = given.get("imageTag")
        if given["imageDigest"] != digest:
            raise RefusedError("ImageDigestDoesNotMatchException")
        blobs = {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
        if not blobs <= stored.layers.keys():
            raise RefusedError("LayersNotFoundException")
        if digest in stored.images and tag in {None, *_tags(stored, digest)}:
            raise RefusedError("ImageAlreadyExistsException")
        is_immutable = stored.settings.get("imageTagMutability") == "IMMUTABLE"
        if is_immutable and tag in stored.tags:
            raise RefusedError(
                "ImageTagAlreadyExistsException",
                f"The image tag '{tag}' already exists in the 'ner' repository and cannot be "
                "overwritten because the tag is immutable.",
            )
        stored.images[digest] = given
        if tag is not None:
            stored.tags[tag] = digest
        return {"image": {"imageId": {"imageDigest": digest}}}

    def _describe_images(self, given: dict[str, Any]) -> dict[str, Any]:
        stored = self._stored(given)
        found = [_find(stored, image_id) for image_id in given["imageIds"]]
        if None in found:
            raise RefusedError("ImageNotFoundException")
        return {
            "imageDetails": [
                {
                    "imageDigest": image["imageDigest"],
                    "imageTags": _tags(stored, image["imageDigest"]),
                    "imageManifestMediaType": image["imageManifestMediaType"],
                    "imageSizeInBytes": 5,
                    "imagePushedAt": 1700000000,
                }
                for image in found
                if image is not None
            ]
        }


@cache
def _session(region: str) -> Session:
    """Made once: reading botocore's models takes longer than a test."""
    return Session(
        Address(
            endpoint_url="http://127.0.0.1:1",
            region=region,
            access_key_id="AKIAEXAMPLE",
            secret_access_key="secret",
        )
    )


def _find(stored: Stored, image_id: dict[str, str]) -> dict[str, Any] | None:
    digest = image_id.get("imageDigest") or stored.tags.get(image_id.get("imageTag", ""))
    return stored.images.get(digest or "")


def _tags(stored: Stored, digest: str) -> list[str]:
    return [tag for tag, image in stored.tags.items() if image == digest]


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class _Raw:
    body: bytes

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.body
