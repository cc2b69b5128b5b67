"""Why a request was not answered: one class for each status that the caller can see.

    RequestError                   the root: the answer's `status`; `code` and `message` in its body
    ├── InvalidBodyError           400  not JSON, or not a body that the task understands
    ├── NotFoundError              404  no such path
    ├── MethodNotAllowedError      405  right path, wrong method; `allow` names the right ones
    ├── NotAcceptableError         406  `Accept` leaves out every type that can be written
    ├── BodyTooLargeError          413  more bytes than the platform lets through
    ├── UnsupportedMediaTypeError  415  `Content-Type` names a type that cannot be read
    ├── PredictionFailedError      500  the handler raised, or its result cannot be written
    ├── NotReadyError              503  the model is still loading
    └── StoppedError               503  the instance was told to stop, and could not wait longer

SageMaker hands these on to its caller as a `ModelError` with the status and the
body as they are, so a message says what to change and never carries a traceback.
"""

from __future__ import annotations

from typing import ClassVar


class RequestError(Exception):
    """A request that ends in an error; the class fixes the status, the text says why."""

    status: ClassVar[int]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def code(self) -> str:
        """The word by which programs tell errors apart, such as `InvalidBody`."""
        return type(self).__name__.removesuffix("Error")


class InvalidBodyError(RequestError):
    """The body is not JSON, or not what was expected."""

    status = 400


class NotFoundError(RequestError):
    """The path is neither `/ping` nor `/invocations`."""

    status = 404


class MethodNotAllowedError(RequestError):
    """The path exists, but not for this method."""

    status = 405

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class NotAcceptableError(RequestError):
    """No type that can be written is acceptable to the caller."""

    status = 406


class BodyTooLargeError(RequestError):
    """The body is over the limit."""

    status = 413


class UnsupportedMediaTypeError(RequestError):
    """The body is of a type that cannot be read."""

    status = 415


class PredictionFailedError(RequestError):
    """The handler failed; its traceback is in the log, under the request's id."""

    status = 500


class NotReadyError(RequestError):
    """The model is not loaded yet."""

    status = 503


class StoppedError(RequestError):
    """The instance ends before the prediction does."""

    status = 503
