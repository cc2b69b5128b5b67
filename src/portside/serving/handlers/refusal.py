"""Statuses that the user's code chooses by what it raises.

    RequestError and its classes         as they are
    status_code and message              the toolkit's `BaseInferenceToolkitError` and its like
    error_code and message               `PredictionException` of AWS's model server
    UnsupportedFormatError               the toolkit's, and 500 there: 415, while writing 406

Anything else is a fault of the handler; the batcher logs it and answers 500.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from portside.serving.error import RequestError

if TYPE_CHECKING:
    from types import TracebackType

_STATUS_NAMES: Final = ("status_code", "error_code")


class RefusedError(RequestError):
    """The user's code refused the request with a status of its own choice."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Refusals:
    """Around a call of the user's code: what carries a status is raised as a RequestError.

    A class and not a generator with `contextmanager`, which takes a microsecond more.
    """

    def __init__(self, *, unsupported: int) -> None:
        self._unsupported = unsupported

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Raise another error in the place of one that carries a status."""
        if not isinstance(error, Exception) or isinstance(error, RequestError):
            return
        refused = _refused(error, unsupported=self._unsupported)
        if refused is not None:
            raise refused from error


while_reading: Final = Refusals(unsupported=415)
while_writing: Final = Refusals(unsupported=406)


def _refused(error: Exception, *, unsupported: int) -> RefusedError | None:
    # By name: the toolkit need not be installed here, nor be what defines the class.
    if any(kind.__name__ == "UnsupportedFormatError" for kind in type(error).__mro__):
        return RefusedError(str(error), status=unsupported)
    message = getattr(error, "message", None)
    for name in _STATUS_NAMES:
        status = getattr(error, name, None)
        if isinstance(message, str) and isinstance(status, int) and 400 <= status <= 599:
            return RefusedError(message, status=status)
    return None
