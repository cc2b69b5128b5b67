"""The tables of `portside.toml`, each with its keys, their types and what they are without.

Those of endpoints stand in `endpoint_section`, all of them together in `file_section`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Precision = Literal["auto", "fp32", "int8"]
ImageBuilder = Literal["portside", "dockerfile"]
"""Who makes the container image: Portside itself, or an engine from a Dockerfile."""


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

    build: ImageBuilder = "portside"
    dockerfile: str | None = None
    base: str | None = None
    requirements: str | None = None
    model_in_image: bool = False
    """Whether the model lies in the image, and not in an artifact on S3."""
