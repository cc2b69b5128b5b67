"""Why a request was not answered: one class for each status that the caller can see.

    RequestError                   the root: the answer's `status`; `code` and `message` in its body
    ├── InvalidBodyError           400  not of its content type, or not what the handler expects
    ├── InvalidRequestError        400  a header or a path that makes no sense
    ├── NotFoundError              404  no such path, no such model
    ├── MethodNotAllowedError      405  right path, wrong method; `allow` names the right ones
    ├── NotAcceptableError         406  `Accept` leaves out every type that can be written
    ├── RequestTimeoutError        408  the request did not arrive whole in time
    ├── ConflictError              409  the model is loaded already
    ├── BodyTooLargeError          413  more bytes than the platform lets through
    ├── UnsupportedMediaTypeError  415  `Content-Type` names a type that cannot be read
    ├── OverloadedError            429  no room, or the answer would come too late; `retry_after_s`
    ├── HeadTooLargeError          431  more bytes before the body than any client sends
    ├── CallerGoneError            499  nobody is left to answer; for the log and the metrics
    ├── PredictionFailedError      500  the handler raised, or its result cannot be written
    ├── FatalError                 500  likewise, and no later request will fare better
    ├── LoadFailedError            500  a model of a multi-model endpoint cannot be loaded
    ├── NotReadyError              503  the model is still loading, or cannot go on
    ├── StoppedError               503  the instance was told to stop, and could not wait longer
    ├── TimedOutError              504  the handler did not answer within the deadline
    ├── OutOfMemoryError           507  no room for one more model
    └── RefusedError              4xx, 5xx  chosen by the user's own code (`handlers.refusal`)

SageMaker hands these on to its caller as a `ModelError` with the status and the
body as they are, so a message says what to change and never carries a traceback.
"""

from __future__ import annotations


class RequestError(Exception):
    """A request that ends in an error; the class fixes the status, the text says why."""

    status: int

    def __init__(self, message: str) -> None:
        super().__init__(message)
        # It may quote what cannot be written: a lone surrogate in a caller's JSON.
        self.message = message.encode(errors="replace").decode()

    @property
    def code(self) -> str:
        """The word by which programs tell errors apart, such as `InvalidBody`."""
        return type(self).__name__.removesuffix("Error")


class InvalidBodyError(RequestError):
    """The body is not of its content type, or not what was expected."""

    status = 400


class InvalidRequestError(RequestError):
    """A header or a path that makes no sense, or is not allowed here."""

    status = 400


class NotFoundError(RequestError):
    """No such path, or no such model."""

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


class RequestTimeoutError(RequestError):
    """The request did not arrive whole in time."""

    status = 408


class ConflictError(RequestError):
    """What should be made is there already."""

    status = 409


class BodyTooLargeError(RequestError):
    """The body is over the limit."""

    status = 413


class UnsupportedMediaTypeError(RequestError):
    """The body is of a type that cannot be read."""

    status = 415


class OverloadedError(RequestError):
    """There is no room for the request, or no time: it is refused before any work is done."""

    status = 429

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class HeadTooLargeError(RequestError):
    """The head of the request is larger than any client's."""

    status = 431


class CallerGoneError(RequestError):
    """The caller hung up, or reads no more; nobody sees the status, which is nginx's."""

    status = 499


class PredictionFailedError(RequestError):
    """The handler failed; its traceback is in the log, under the request's id."""

    status = 500


class FatalError(PredictionFailedError):
    """The handler failed for good: the instance has to be replaced. A handler may raise it."""


class LoadFailedError(RequestError):
    """A model cannot be loaded; nothing of it is left."""

    status = 500


class NotReadyError(RequestError):
    """The model is not loaded yet, or cannot go on."""

    status = 503


class StoppedError(RequestError):
    """The instance ends before the prediction does."""

    status = 503


class TimedOutError(RequestError):
    """The handler did not answer within the deadline."""

    status = 504


class OutOfMemoryError(RequestError):
    """There is no room for one more model."""

    status = 507
