"""Models: a container's image, environment and artifact under a name that never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from portside.local.clock import moment
from portside.local.delegated.role_check import AnyRole
from portside.local.ecr.model_image import AnyImage
from portside.local.listing import list_resources
from portside.local.named_resource import find_named, new_named
from portside.local.refusal import (
    already_exists,
    invalid,
    not_built,
    refuse_unbuilt,
    unavailable,
)
from portside.local.s3.artifact_cache import ObjectStoreUnavailableError, bucket_and_key
from portside.local.state.resource import Kind
from portside.local.tag_list import read_tags

if TYPE_CHECKING:
    from portside.local.clock import Clock
    from portside.local.delegated.role_check import Permissions
    from portside.local.ecr.model_image import Images
    from portside.local.protocol.call import Call
    from portside.local.protocol.fault import Fault
    from portside.local.s3.artifact_cache import Objects
    from portside.local.state.resource import Resource
    from portside.local.state.store import Store

_MEMBERS: Final = ("PrimaryContainer", "ExecutionRoleArn")
"""What CreateModel is told and DescribeModel tells again."""

_UNBUILT: Final = ("EnableNetworkIsolation", "InferenceExecutionConfig", "VpcConfig")

_UNBUILT_CONTAINER: Final = (
    "ImageConfig",
    "AdditionalModelDataSources",
    "ModelPackageName",
    "InferenceSpecificationName",
    "MultiModelConfig",
    "ContainerMetricsConfig",
)

_ENVIRONMENT_BYTES: Final = 32 * 1024
"""All keys and values together. BC ContainerDefinition.Environment."""


class ModelService:
    """CreateModel, DescribeModel, ListModels, DeleteModel."""

    def __init__(
        self,
        store: Store,
        *,
        objects: Objects,
        clock: Clock,
        permissions: Permissions | None = None,
        images: Images | None = None,
    ) -> None:
        self._store = store
        self._images = images or AnyImage()
        self._objects = objects
        self._permissions = permissions or AnyRole()
        self._clock = clock

    async def create(self, call: Call) -> dict[str, Any]:
        """Keep a new Model, after a look at its image, its artifact and its role."""
        params = call.params
        model = new_named(
            call,
            Kind.MODEL,
            name=params["ModelName"],
            members={name: params[name] for name in _MEMBERS if name in params}
            | {"PrimaryContainer": _container(params)},
            now_ms=self._clock.now_ms(),
        )
        if self._store.find(model.arn) is not None:
            raise already_exists(Kind.MODEL, model.arn)
        await self._images.check(model.members["PrimaryContainer"]["Image"])
        await self._check_artifact(call, model.members["PrimaryContainer"])
        if not self._store.add(model, tags=read_tags(params.get("Tags", []))):
            raise already_exists(Kind.MODEL, model.arn)
        return {"ModelArn": model.arn}

    async def describe(self, call: Call) -> dict[str, Any]:
        """Tell of a Model what it was made from."""
        model = self._find(call)
        return {
            "ModelName": model.name,
            "ModelArn": model.arn,
            "CreationTime": moment(model.creation_time_ms),
            "EnableNetworkIsolation": False,
            **model.members,
        }

    async def list_page(self, call: Call) -> dict[str, Any]:
        """One page of summaries."""
        models, next_token = list_resources(self._store, call, Kind.MODEL)
        summaries = [
            {
                "ModelName": model.name,
                "ModelArn": model.arn,
                "CreationTime": moment(model.creation_time_ms),
            }
            for model in models
        ]
        return {"Models": summaries, **next_token}

    async def delete(self, call: Call) -> dict[str, Any]:
        """Forget a Model; endpoints that run it go on."""
        self._store.remove(self._find(call).arn)
        return {}

    def _find(self, call: Call) -> Resource:
        return find_named(self._store, call, kind=Kind.MODEL, name=call.params["ModelName"])

    async def _check_artifact(self, call: Call, container: dict[str, Any]) -> None:
        url, role = container.get("ModelDataUrl"), call.params.get("ExecutionRoleArn")
        if url is None:
            return
        if not await self._permissions.may_read(role, url):
            raise _no_access(url, role=role, region=call.region)
        bucket, key = bucket_and_key(url)
        try:
            is_there = (
                url.startswith("s3://") and bool(key) and await self._objects.exists(bucket, key)
            )
        except ObjectStoreUnavailableError as error:
            raise unavailable("The object store is not running. Try again in a moment.") from error
        if not is_there:
            raise _no_access(url, role=role, region=call.region)


def _container(params: dict[str, Any]) -> dict[str, Any]:
    """The one container of a request, with its artifact's address in `ModelDataUrl`."""
    containers = params.get("Containers", [])
    if bool(containers) == ("PrimaryContainer" in params):
        raise invalid("Exactly one of PrimaryContainer and Containers must be given.")
    if len(containers) > 1:
        raise not_built("An inference pipeline (more than one container)")
    container: dict[str, Any] = {**(containers[0] if containers else params["PrimaryContainer"])}
    refuse_unbuilt(params, _UNBUILT, of="CreateModel")
    refuse_unbuilt(container, _UNBUILT_CONTAINER, of="a container")
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise not_built("A multi-model endpoint (Mode MultiModel)")
    if "Image" not in container:
        raise invalid("A container must name its Image.")
    environment = container.get("Environment", {})
    if (
        sum(len(f"{key}{value}".encode()) for key, value in environment.items())
        > _ENVIRONMENT_BYTES
    ):
        raise invalid(
            f"The Environment of a container may hold {_ENVIRONMENT_BYTES} bytes at most."
        )
    if source := container.pop("ModelDataSource", None):
        container["ModelDataUrl"] = _source_url(container, source)
    return {"Mode": "SingleModel", **container}


def _source_url(container: dict[str, Any], source: dict[str, Any]) -> str:
    if "ModelDataUrl" in container:
        raise invalid("ModelDataUrl and ModelDataSource must not be given together.")
    place = source.get("S3DataSource", {})
    if (place.get("S3DataType"), place.get("CompressionType")) != ("S3Object", "Gzip"):
        raise not_built("A ModelDataSource other than one gzip-compressed S3Object")
    url: str = place["S3Uri"]
    return url


def _no_access(url: str, *, role: str | None, region: str) -> Fault:
    """Seen on AWS: philschmid/llm-sagemaker-sample#2."""
    return invalid(
        f'Could not access model data at {url}. Please ensure that the role "{role or ""}" exists'
        ' and that its trust relationship policy allows the action "sts:AssumeRole" for the'
        ' service principal "sagemaker.amazonaws.com". Also ensure that the role has'
        f' "s3:GetObject" permissions and that the object is located in {region}. If your Model'
        " uses multiple models or uncompressed models, please ensure that the role has"
        ' "s3:ListBucket" permission.'
    )
