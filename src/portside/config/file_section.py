"""The whole of `portside.toml`: which tables it may have."""

from __future__ import annotations

import msgspec

from portside.config.endpoint_section import EndpointKind
from portside.config.section import HandlerSection, ImageSection, ModelSection, Section


class FileSection(Section, frozen=True, kw_only=True):
    """The whole file."""

    name: str | None = None
    model: ModelSection = ModelSection()
    handler: HandlerSection = HandlerSection()
    image: ImageSection = ImageSection()
    endpoint: EndpointKind | None = None
    endpoints: dict[str, EndpointKind] = msgspec.field(default_factory=dict)
