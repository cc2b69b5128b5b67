"""A model of a multi-model endpoint on its way in and out; the part that is done in threads.

    in     size on disk ─▶ room for it? ─▶ its own modules, its handler ─▶ room still?
    out    batcher closed ─▶ handler closed ─▶ memory given back

Whatever goes wrong on the way in, nothing is left of it: its traceback goes to
the log, and the error that is raised refers to no frame that held a part of the
model.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from portside.errors import PortsideError
from portside.serving.error import (
    InvalidRequestError,
    LoadFailedError,
    NotFoundError,
    OutOfMemoryError,
    RequestError,
)
from portside.serving.import_scope import import_scope
from portside.serving.memory import is_out_of_memory, release_memory

if TYPE_CHECKING:
    from portside.serving.invocation import BatchLimit, Handler, Invocation, Job
    from portside.serving.memory import MemoryBudget

Argument = TypeVar("Argument")
Result = TypeVar("Result")

_logger: Final = logging.getLogger(__name__)


class Closable(Protocol):
    """A handler, or the batcher around one."""

    def close(self) -> None:
        """Blocks until it holds nothing any more."""
        ...


# --- In -------------------------------------------------------------------------


def check_folder(url: str, *, root: Path) -> None:
    """Raise InvalidRequestError for a folder not below `root`, NotFoundError for none at all."""
    try:
        folder = Path(url).resolve()
        is_inside = folder.is_relative_to(root.resolve())
        is_there = is_inside and folder.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, a null character
        raise InvalidRequestError(f"cannot load `{url}`: {error}") from error
    if not is_inside:
        raise InvalidRequestError(f"cannot load `{url}`: it does not lie in `{root}`")
    if not is_there:
        raise NotFoundError(f"cannot load `{url}`: no such folder")


def load_model(
    model_dir: Path, *, load: Callable[[Path], Handler], budget: MemoryBudget
) -> Handler:
    """The handler of a folder, within the budget.

    Raises OutOfMemoryError where there is no room, LoadFailedError with the reason for anything
    else. Blocks.
    """
    disk_bytes = _folder_bytes(model_dir)
    budget.check(disk_bytes)
    used_before = budget.used_bytes
    outcome = _load(model_dir, load)
    if not isinstance(outcome, RequestError):
        try:
            grown_bytes = budget.admit(disk_bytes, used_before_bytes=used_before)
        except OutOfMemoryError as error:
            close_quietly(outcome)
            outcome = error.with_traceback(None)
        else:
            _note_loaded(model_dir, disk_bytes=disk_bytes, grown_bytes=grown_bytes)
            return _ModelHandler(outcome)
    release_memory()
    raise outcome


def _load(model_dir: Path, load: Callable[[Path], Handler]) -> Handler | RequestError:
    """The handler, or why there is none: a new error, because the old one's frames hold memory."""
    try:
        with import_scope(model_dir):
            return load(model_dir)
    # The user's code may raise anything, and above this there is only the end of the thread.
    except BaseException as error:
        _logger.exception("the model in `%s` was not loaded", model_dir)
        reason = _reason(error)
        return OutOfMemoryError(reason) if is_out_of_memory(error) else LoadFailedError(reason)


def _reason(error: BaseException) -> str:
    if isinstance(error, PortsideError):
        return f"{error.message}; {error.hint}" if error.hint else error.message
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _folder_bytes(folder: Path) -> int:
    """Of all files below it; what cannot be read counts as nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += Path(place, name).stat().st_size
            except OSError:
                continue
    return total


def _note_loaded(model_dir: Path, *, disk_bytes: int, grown_bytes: int) -> None:
    fields = {"model_url": str(model_dir), "disk_bytes": disk_bytes, "grown_bytes": grown_bytes}
    _logger.info("model loaded", extra={"fields": fields})


class _ModelHandler:
    """A handler whose lack of memory is a 507: the platform then unloads another model.

    DG mms-container-apis asks it of models on GPUs.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    @property
    def batch_limit(self) -> BatchLimit:
        return self._handler.batch_limit

    def open(self, invocation: Invocation) -> Job:
        job = _guarded(self._handler.open, invocation)
        return job._replace(finish=partial(_guarded, job.finish))

    def run(self, inputs: Sequence[Any]) -> Sequence[Any]:
        return _guarded(self._handler.run, inputs)

    def close(self) -> None:
        self._handler.close()


def _guarded(function: Callable[[Argument], Result], argument: Argument) -> Result:
    try:
        return function(argument)
    except Exception as error:
        if not isinstance(error, RequestError) and is_out_of_memory(error):
            raise OutOfMemoryError(f"no memory for the prediction: {_reason(error)}") from error
        raise


# --- Out ------------------------------------------------------------------------


def close_quietly(closable: Closable) -> None:
    """Close it; what goes wrong is of interest to the log alone."""
    try:
        closable.close()
    except Exception:  # the user's code may raise anything
        _logger.exception("closing raised")
