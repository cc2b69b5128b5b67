"""The tokenizer of a checkpoint: `tokenizer.json`, or the files that one can be made of."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from portside.artifact.folder.json_file import read_object
from portside.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from portside.artifact.folder.content import Content, File

TOKENIZER: Final = "tokenizer.json"

_OF_SENTENCEPIECE: Final = (
    "spm.model",  # DeBERTa-v2
    "sentencepiece.bpe.model",  # XLM-RoBERTa, CamemBERT
    "spiece.model",  # ALBERT
)
VOCABULARIES: Final = (
    "vocab.txt",  # WordPiece: BERT, DistilBERT, ELECTRA
    "vocab.json",  # byte-level BPE, with merges.txt: RoBERTa
    *_OF_SENTENCEPIECE,
)
"""What transformers' slow tokenizers keep their tokens in."""

_MODEL_NAME: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""As the hub has them; anything else in a file of unknown origin is not put into a command."""

_SETTINGS: Final = (
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer_config.json",
)


def tokenizer_files(files: Sequence[File]) -> tuple[File, ...]:
    """All that says how texts become tokens."""
    names = {TOKENIZER, *VOCABULARIES, *_SETTINGS}
    return tuple(file for file in files if str(file.path) in names)


def needs_sentencepiece(files: Sequence[File]) -> bool:
    """Whether a `tokenizer.json` has yet to be made of a vocabulary that sentencepiece reads."""
    names = {str(file.path) for file in files}
    return TOKENIZER not in names and any(name in names for name in _OF_SENTENCEPIECE)


def check_tokenizer(content: Content, config: Mapping[str, Any], *, can_make: bool) -> None:
    """Whether there is a `tokenizer.json` that fits the model.

    `can_make` says that the export will make one out of a vocabulary. Raises `BuildError`.
    """
    names = {file.path for file in content.files}
    vocabularies = [name for name in VOCABULARIES if PurePosixPath(name) in names]
    if PurePosixPath(TOKENIZER) in names:
        _check_size(content.folder / TOKENIZER, config)
    elif not vocabularies:
        raise _no_tokenizer(content.folder, config)
    elif not can_make:
        raise BuildError(
            f"cannot package `{content.folder}`: it has no `{TOKENIZER}`, only the "
            f"`{vocabularies[0]}` of a slow tokenizer",
            hint=f"make one: `{_save_command(str(content.folder), content.folder)}`",
        )


def _no_tokenizer(folder: Path, config: Mapping[str, Any]) -> BuildError:
    trained_from = config.get("_name_or_path")
    is_name = isinstance(trained_from, str) and _MODEL_NAME.fullmatch(trained_from)
    source = str(trained_from) if is_name else "BASE_MODEL"
    return BuildError(
        f"cannot package `{folder}`: it has no `{TOKENIZER}`",
        hint="save the tokenizer of the model's training beside it: "
        f"`{_save_command(source, folder)}`",
    )


def _save_command(source: str, folder: Path) -> str:
    names = (json.dumps(text, ensure_ascii=False) for text in (source, str(folder)))
    code = "from transformers import AutoTokenizer; " + (
        "AutoTokenizer.from_pretrained({}).save_pretrained({})".format(*names)
    )
    return shlex.join(["python", "-c", code])


def _check_size(path: Path, config: Mapping[str, Any]) -> None:
    """A token beyond the embeddings, as of another model's tokenizer, fails at the first text."""
    match read_object(path), config:
        case {"model": {"vocab": dict(vocabulary)}}, {"vocab_size": int(rows)}:
            ids = [index for index in vocabulary.values() if isinstance(index, int)]
            tokens = max(ids, default=-1) + 1
        case {"model": {"vocab": list(vocabulary)}}, {"vocab_size": int(rows)}:
            tokens = len(vocabulary)
        case _:
            return
    if tokens > rows:
        raise BuildError(
            f"cannot package `{path.parent}`: its `{TOKENIZER}` knows {tokens} tokens and the "
            f"model {rows} (`vocab_size`): it is the tokenizer of another model",
            hint="save the tokenizer of the model's training beside it",
        )
