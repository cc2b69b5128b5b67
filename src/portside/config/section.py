"""The tables of `portside.toml`, each with its keys, their types and what they are without."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

Precision = Literal["auto", "fp32", "int8"]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; a key that is not here is an error."""


class GateSection(Section, frozen=True, kw_only=True):
    """`[model.gate]`: what a model in int8 has to keep of the original's answers."""

    agreement: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.995
    """The least share of answers that are the same."""
    f1_drop: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.2
    """The most points (of 100) that F1 may fall, where the samples have labels."""


class ModelSection(Section, frozen=True, kw_only=True):
    """`[model]`: the checkpoint folder or model file, and how its artifact is made."""

    path: str | None = None
    samples: str | None = None
    precision: Precision = "auto"
    allow_pickle: bool = False
    """Whether weights may be read that are pickles: a pickle can run any code."""
    gate: GateSection = GateSection()


class HandlerSection(Section, frozen=True, kw_only=True):
    """`[handler]`: the user's code; without it the checkpoint's own task is served."""

    file: str | None = None


class ImageSection(Section, frozen=True, kw_only=True):
    """`[image]`: what the container image is built from."""

    requirements: str | None = None
    model_in_image: bool = False
    """Whether the model lies in the image, and not in an artifact on S3."""


class EndpointSection(Section, frozen=True, kw_only=True):
    """Keys that every kind of endpoint has."""

    environment: dict[str, str] = {}


class Serverless(EndpointSection, frozen=True, kw_only=True, tag_field="kind", tag="serverless"):
    """An endpoint that costs nothing while idle."""

    memory_size_mb: int = 2048
    max_concurrency: int = 5


class Realtime(EndpointSection, frozen=True, kw_only=True, tag_field="kind", tag="realtime"):
    """An endpoint on instances that run all the time."""

    instance_type: str = "ml.m5.large"
    instance_count: int = 1


EndpointKind = Serverless | Realtime
KINDS: Final = ("serverless", "realtime")


class FileSection(Section, frozen=True, kw_only=True):
    """The whole file."""

    name: str | None = None
    model: ModelSection = ModelSection()
    handler: HandlerSection = HandlerSection()
    image: ImageSection = ImageSection()
    endpoint: EndpointKind | None = None
    endpoints: dict[str, EndpointKind] = {}
