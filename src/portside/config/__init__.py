"""`portside.toml` (or `[tool.portside]` in `pyproject.toml`) to typed, checked values.

Every key is optional: a folder with a model and no file at all is a project too.
A message names the key's path, and a key that is nearly right is suggested.
`project` is the way in; `section` has all keys.
"""

from portside.config.project import FILE_NAME, Endpoint, Project, load, name_of
from portside.config.section import (
    EndpointKind,
    EndpointSection,
    FileSection,
    GateSection,
    HandlerSection,
    ImageSection,
    ModelSection,
    Realtime,
    Serverless,
)

__all__ = [
    "FILE_NAME",
    "Endpoint",
    "EndpointKind",
    "EndpointSection",
    "FileSection",
    "GateSection",
    "HandlerSection",
    "ImageSection",
    "ModelSection",
    "Project",
    "Realtime",
    "Serverless",
    "load",
    "name_of",
]
