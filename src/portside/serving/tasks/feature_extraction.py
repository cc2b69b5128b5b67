"""Feature extraction: texts to vectors.

    text ──tokenizer──▶ input ──graph──▶ a vector for each token ──pooling──▶ one vector

Without pooling the answer is that of transformers' pipeline: for each text an
array of shape (1, tokens, dimensions), special tokens included. With it, one
vector of shape (dimensions,), as sentence-transformers makes it. A text longer
than the model can read is cut short, unless `"truncation": false` asks for an
error instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

import numpy as np

from portside.serving.sentence_model import Pooling
from portside.serving.tasks.fitting import fit
from portside.serving.tasks.request import TEXT_BODIES, Parameters, read_request
from portside.serving.tasks.task import Work, answer_each

if TYPE_CHECKING:
    import numpy.typing as npt

    from portside.serving.checkpoint import Checkpoint
    from portside.serving.tasks.field import Field
    from portside.serving.tasks.task import Output
    from portside.serving.tasks.tokenizer import TextTokenizer

_LEAST_LENGTH: Final = 1e-12
"""A vector shorter than this is not stretched to length 1; torch's `normalize` has the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    pooling: Pooling
    normalize: bool
    truncation: bool


class FeatureExtraction:
    """Bodies to vectors, pooled as the checkpoint says or the request."""

    example: Final = {"strings": ["Ada Lovelace lived in London."]}

    def __init__(self, checkpoint: Checkpoint, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        self._pooling = checkpoint.pooling
        self._normalize = checkpoint.normalize
        self._max_tokens = checkpoint.max_tokens

    def open(self, body: Field) -> Work:
        """An array for each text."""
        names = ("pooling", "normalize", "truncation")
        request = read_request(body, expected=TEXT_BODIES, parameters=names)
        options = self._read_options(request.parameters)
        return answer_each(request, lambda item: self._extract(item, options))

    def _read_options(self, parameters: Parameters) -> _Options:
        pooling = parameters.choice("pooling", default=self._pooling)
        # The checkpoint means the pooled vector; those of tokens it leaves as they are.
        normalize = self._normalize and pooling is not Pooling.NONE
        return _Options(
            pooling=pooling,
            normalize=parameters.flag("normalize", default=normalize),
            truncation=parameters.flag("truncation", default=True),
        )

    def _extract(self, item: Field, options: _Options) -> Work:
        encoding = fit(
            self._tokenizer, item, max_tokens=self._max_tokens, truncation=options.truncation
        )

        def answer(outputs: Sequence[Output]) -> npt.NDArray[np.float32]:
            [[padded]] = outputs
            vectors = _pool(padded[: len(encoding)], options.pooling)
            return _normalize(vectors) if options.normalize else vectors

        return Work(inputs=[encoding], answer=answer)


def _pool(vectors: npt.NDArray[np.float32], pooling: Pooling) -> npt.NDArray[np.float32]:
    """One vector of those in the rows, or for no pooling an axis before them."""
    match pooling:
        case Pooling.MEAN:
            mean: npt.NDArray[np.float32] = vectors.mean(axis=0)
            return mean
        case Pooling.CLS:
            first: npt.NDArray[np.float32] = vectors[0]
            return first
        case Pooling.MAX:
            largest: npt.NDArray[np.float32] = vectors.max(axis=0)
            return largest
        case Pooling.NONE:
            return vectors[np.newaxis]
        case _:
            assert_never(pooling)


def _normalize(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each vector at length 1."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: npt.NDArray[np.float32] = vectors / np.maximum(lengths, _LEAST_LENGTH)
    return scaled
