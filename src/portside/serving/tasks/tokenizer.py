"""A checkpoint's tokenizer: texts to inputs that the model can read.

    text ──tokenize──▶ tokens ──cut──▶ pieces ──wrap──▶ inputs, with special tokens around each

Cutting is done here and not by the tokenizer's own settings: those are one state
for all threads, and each request may ask for another cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Tokenizer, processors

from portside.errors import PortsideError

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Encoding


class TextTokenizer:
    """`tokenizer.json`; may be used by several threads at once."""

    def __init__(self, path: Path) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception for a broken file
            raise PortsideError(f"cannot load `{path}`: {error}") from error
        # The file may ask for padding or a shorter cut, as it was used in training.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        # Applied to each piece, and so not to the whole text before. Without one, tokenizers
        # itself puts pairs together as this template does.
        self._processor = self._tokenizer.post_processor or processors.TemplateProcessing(
            single="$A", pair="$A $B:1"
        )
        self._tokenizer.post_processor = None
        model = self._tokenizer.model
        self.continuing_prefix: str | None = getattr(model, "continuing_subword_prefix", None)
        """What marks a token that continues a word, such as `##`; None where nothing does."""
        self.unknown_token: str | None = getattr(model, "unk_token", None)

    def tokenize(self, text: str) -> Encoding:
        """All tokens of a text, without special ones."""
        return self._tokenizer.encode(text)

    def wrap(self, first: Encoding, second: Encoding | None = None) -> Encoding:
        """One text or a pair as an input, with the special tokens that belong to it."""
        return self._processor.process(first, second)

    def special_tokens(self, *, is_pair: bool = False) -> int:
        """How many special tokens `wrap` adds."""
        return int(self._processor.num_special_tokens_to_add(is_pair))

    def token_id(self, token: str) -> int | None:
        """The id of a token, None for one that it does not know."""
        return self._tokenizer.token_to_id(token)

    def join(self, token_texts: list[str]) -> str:
        """The text that tokens stand for: `["love", "##lace"]` is `lovelace`."""
        decoder = self._tokenizer.decoder
        return str(decoder.decode(token_texts)) if decoder else " ".join(token_texts)


def cut(tokens: Encoding, room: int, *, stride: int = 0) -> list[Encoding]:
    """Pieces of at most `room` tokens, each beginning with the last `stride` of the one before.

    `stride` is less than `room`. Changes `tokens` itself, which becomes the first piece.
    """
    if len(tokens) <= room:
        return [tokens]
    tokens.truncate(room, stride=stride)
    return [tokens, *tokens.overflowing]


def max_stride(room: int) -> int:
    """How much pieces of `room` tokens may overlap.

    With three quarters there is four times as much to read, with more a long text fills the memory.
    """
    return max(room * 3 // 4, 0)
