"""NPY: one numpy array, read without a copy and never unpickled.

    magic, version, length │ {'descr': '<f4', 'fortran_order': False, 'shape': (3, 2)} │ bytes

numpy reads the header; the bytes behind it must be exactly as many as it announces. They
stay where they are, so the array is read-only like the body: `array.copy()` to change it.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final

from portside.serving.codecs.media_type import MediaType
from portside.serving.error import InvalidBodyError, PredictionFailedError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_KINDS: Final = "biufcSUmM"
"""Booleans, numbers, texts, times (`dtype.kind`); not objects, which are pickles, nor records."""


def read(body: bytes, _media_type: MediaType) -> Array:
    """The array of a body."""
    return parse(body, what="the body")


def write(value: object, _media_type: MediaType) -> bytes:
    """A result that numpy takes for an array of numbers or texts."""
    return dump(value, what="the result")


def parse(body: bytes, *, what: str) -> Array:
    """An array from its bytes; `what` they are, for the message if they are not."""
    try:
        return _parse(body)
    # A hostile header gets as far as Python's parser and numpy's types, which raise this and that.
    except Exception as error:
        reason = str(error).partition("\n")[0]  # numpy goes on to recommend pickles
        raise InvalidBodyError(f"{what} is not NPY: {reason}") from error


def _parse(body: bytes) -> Array:
    import numpy as np  # noqa: PLC0415 - slow to import, and most handlers of JSON do without

    file = io.BytesIO(body)
    match np.lib.format.read_magic(file):
        case (1, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        case (2, 0):
            shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(file)
        case version:
            raise ValueError(f"version {version} of the format; 1.0 and 2.0 can be read")
    _check(shape, dtype, announced_for=len(body) - file.tell())
    order: Any = "F" if is_fortran else "C"
    array: Array = np.ndarray(shape, dtype, buffer=body, offset=file.tell(), order=order)
    if dtype.kind == "U":
        _check_text(array)
    return array


def _check(shape: tuple[int, ...], dtype: np.dtype[Any], *, announced_for: int) -> None:
    if dtype.kind not in _KINDS or dtype.itemsize == 0:
        raise ValueError(f"an array of `{dtype}` cannot be read; send numbers or texts")
    announced = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or announced != announced_for:
        raise ValueError(f"its header announces {announced} bytes, and {announced_for} follow")


def _check_text(array: Array) -> None:
    """numpy would fail on what is no Unicode only when the text is used."""
    is_little = array.dtype.str.startswith("<")
    array.tobytes().decode("utf-32-le" if is_little else "utf-32-be")


def dump(value: object, *, what: str) -> bytes:
    """A value as an array's bytes; `what` it is, for the message if it is none."""
    import numpy as np  # noqa: PLC0415 - see above

    try:
        array = as_array(value)
        file = io.BytesIO()
        np.lib.format.write_array(file, array, allow_pickle=False)
    except (TypeError, ValueError, RuntimeError) as error:
        raise PredictionFailedError(f"cannot write {what} as NPY: {error}") from error
    return file.getvalue()


def as_array(value: object) -> Array:
    """A list, an array, a tensor or a number as a numpy array.

    Raises TypeError or ValueError for what is not numbers or texts of one shape.
    """
    import numpy as np  # noqa: PLC0415 - see above

    if hasattr(value, "detach"):  # a tensor of torch, which may be in a graph and on a GPU
        value = value.detach().cpu()
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise TypeError(f"`{type(value).__name__}` is not an array of numbers or texts")
    return array
