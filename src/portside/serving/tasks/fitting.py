"""A text or a pair as a single input: what is too long is cut short, or refused if so wished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portside.serving.tasks.tokenizer import cut

if TYPE_CHECKING:
    from tokenizers import Encoding

    from portside.serving.tasks.field import Field
    from portside.serving.tasks.tokenizer import TextTokenizer


def fit(
    tokenizer: TextTokenizer,
    text: Field,
    pair: Field | None = None,
    *,
    max_tokens: int,
    truncation: bool,
) -> Encoding:
    """An input of at most `max_tokens`; without `truncation` a longer one is the caller's error."""
    pieces = [tokenizer.tokenize(field.text()) for field in (text, pair) if field is not None]
    room = max_tokens - tokenizer.special_tokens(is_pair=len(pieces) == 2)
    excess = sum(map(len, pieces)) - room
    if excess > 0 and not truncation:
        raise text.refuse(
            f"a text of at most {max_tokens} tokens",
            got=f"one of {max_tokens + excess}; leave `truncation` out to have it cut short",
        )
    if excess > 0:
        pieces = _cut_short(pieces, room)
    return tokenizer.wrap(*pieces)


def _cut_short(pieces: list[Encoding], room: int) -> list[Encoding]:
    """Cut the longer text only, or where that is not enough both to half of the room."""
    if len(pieces) == 1:
        return [cut(pieces[0], room)[0]]
    first, second = pieces
    shorter = min(len(first), len(second), room // 2)
    rooms = (room - shorter, shorter) if len(first) > len(second) else (shorter, room - shorter)
    return [cut(piece, most)[0] for piece, most in zip(pieces, rooms, strict=True)]
