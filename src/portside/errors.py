"""Errors that a user can act on: what was tried, why it failed, the next step.

    PortsideError          exit 1   something the user can mend went wrong
    ├── UsageError         exit 2   the command line is wrong
    ├── ConfigError        exit 2   `portside.toml` is wrong; carries the key's path
    ├── MissingToolError   exit 2   a program or an extra is not installed
    ├── BuildError         exit 1   a folder cannot become an artifact or an image
    ├── RemoteError        exit 1   AWS (or the local AWS) refused; carries its code and request id
    └── DeployError        exit 1   a step failed; earlier ones stay; run again to resume

Anything else that reaches the command line is a bug (exit 70). A message ends
without a full stop; the hint is one imperative sentence with the exact command
or key, kept apart so that it is printed last and can be tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class PortsideError(Exception):
    """The root: a message (what was tried, why it failed) and a hint (the way on)."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PortsideError):
    """The command was called in a way that cannot work."""

    exit_code = 2


class ConfigError(PortsideError):
    """A value in `portside.toml` (or `[tool.portside]`) is wrong; `path` names the key."""

    exit_code = 2

    def __init__(self, message: str, *, path: str = "", hint: str | None = None) -> None:
        super().__init__(f"`{path}`: {message}" if path else message, hint=hint)
        self.path = path


class MissingToolError(PortsideError):
    """A program or an optional dependency that this command needs is not installed."""

    exit_code = 2


class BuildError(PortsideError):
    """A folder cannot be made into an artifact or an image."""


class RemoteError(PortsideError):
    """A service answered with an error."""

    def __init__(
        self,
        message: str,
        *,
        service: str,
        operation: str,
        code: str,
        request_id: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.service = service
        self.operation = operation
        self.code = code
        self.request_id = request_id


class DeployError(PortsideError):
    """A step of a deployment failed; what came before it stays, and running again resumes.

    `endpoint` names the endpoint whose instances may have printed why.
    """

    def __init__(self, message: str, *, endpoint: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.endpoint = endpoint


@contextmanager
def hinting(hint: str) -> Iterator[None]:
    """Around what fails in many ways with one way on: an error without a hint gets this one."""
    try:
        yield
    except PortsideError as error:
        error.hint = error.hint or hint
        raise
