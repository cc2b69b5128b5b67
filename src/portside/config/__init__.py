"""`portside.toml` (or `[tool.portside]` in `pyproject.toml`) to typed, checked values.

Every key is optional: a folder with a model and no file at all is a project too.
A message names the key's path, and a key that is nearly right is suggested.
`project` is the way in; `section` and `endpoint_section` have all keys.
"""

from portside.config.endpoint_check import ttl_hours
from portside.config.endpoint_section import (
    Async,
    AsyncScalingSection,
    CaptureSection,
    EndpointKind,
    EndpointSection,
    InstanceSection,
    ProvisionedScalingSection,
    Realtime,
    RolloutSection,
    ScalingSection,
    Serverless,
    VariantSection,
    VpcSection,
)
from portside.config.file_section import FileSection
from portside.config.project import FILE_NAME, Endpoint, Project, load, name_of
from portside.config.section import (
    GateSection,
    HandlerSection,
    ImageSection,
    ModelSection,
)

__all__ = [
    "FILE_NAME",
    "Async",
    "AsyncScalingSection",
    "CaptureSection",
    "Endpoint",
    "EndpointKind",
    "EndpointSection",
    "FileSection",
    "GateSection",
    "HandlerSection",
    "ImageSection",
    "InstanceSection",
    "ModelSection",
    "Project",
    "ProvisionedScalingSection",
    "Realtime",
    "RolloutSection",
    "ScalingSection",
    "Serverless",
    "VariantSection",
    "VpcSection",
    "load",
    "name_of",
    "ttl_hours",
]
