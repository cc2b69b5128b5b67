"""A checkpoint's tokenizer: texts to windows, windows to tokens, token texts to words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from tokenizers import Encoding, Tokenizer

from portside.errors import PortsideError
from portside.serving.tasks.aggregation import Token

if TYPE_CHECKING:
    from portside.serving.checkpoint import Checkpoint


class TextTokenizer:
    """`tokenizer.json`, set to cut texts at the model's longest input."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        path = checkpoint.tokenizer_path
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
            # The file may ask for padding or a shorter cut, as it was used in training.
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(checkpoint.max_tokens)
        except Exception as error:  # tokenizers raises bare Exception for a broken file
            raise PortsideError(f"cannot load `{path}`: {error}") from error
        model = self._tokenizer.model
        self._has_subword_prefix = bool(getattr(model, "continuing_subword_prefix", None))
        unknown = checkpoint.unknown_token or getattr(model, "unk_token", None)
        self._unknown_id = self._tokenizer.token_to_id(unknown) if unknown else None
        self._decoder = self._tokenizer.decoder

    def windows(self, texts: Sequence[str]) -> list[list[Encoding]]:
        """For each text the pieces of it that the model can read, special tokens included.

        Mostly one; none for a text without tokens.
        """
        encodings = self._tokenizer.encode_batch(list(texts))
        pieces = ((encoding, *encoding.overflowing) for encoding in encodings)
        return [[piece for piece in windows if len(piece)] for windows in pieces]

    def tokens(self, text: str, windows: Sequence[Encoding]) -> list[Token]:
        """The tokens of a text over all its windows, without the special ones."""
        return list(self._tokens(text, windows))

    def join(self, token_texts: list[str]) -> str:
        """The text that tokens stand for: `["love", "##lace"]` is `lovelace`."""
        if self._decoder is None:
            return " ".join(token_texts)
        return str(self._decoder.decode(token_texts))

    def _tokens(self, text: str, windows: Sequence[Encoding]) -> Iterator[Token]:
        columns = (
            zip(window.ids, window.tokens, window.offsets, window.special_tokens_mask, strict=True)
            for window in windows
        )
        for index, (token_id, token, span, is_special) in enumerate(chain.from_iterable(columns)):
            if not is_special:
                yield self._token(text, token, token_id=token_id, span=span, index=index)

    def _token(
        self, text: str, token: str, *, token_id: int, span: tuple[int, int], index: int
    ) -> Token:
        """How a token is written and whether it continues a word, by the rules of the pipeline.

        With a prefix such as `##` a continuing token is longer than its place in the text
        (and so, falsely, is one that normalization made longer). Without one a token
        continues a word if no space stands before it or is part of it.
        """
        start, end = span
        if token_id == self._unknown_id:
            token, is_subword = text[start:end], False
        elif self._has_subword_prefix:
            is_subword = len(token) != end - start
        else:
            is_subword = start > 0 and " " not in text[start - 1 : start + 1]
        return Token(text=token, start=start, end=end, index=index, is_subword=is_subword)
