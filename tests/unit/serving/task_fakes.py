"""A small checkpoint and a backend that knows its answers by heart, for the tests of tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from portside.serving.checkpoint import Checkpoint, Task
from portside.serving.handlers.task import TaskHandler, make_task
from portside.serving.tasks.strategy import AggregationStrategy

if TYPE_CHECKING:
    import numpy.typing as npt

    Logits = Callable[[npt.NDArray[np.int64]], Sequence[Any]]

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "Ada", "Love", "##lace", "met", "Bob", ".", "London")
IDS = {word: number for number, word in enumerate(WORDS)}

SPECIAL = processors.TemplateProcessing(
    single="[CLS] $A [SEP]",
    pair="[CLS] $A [SEP] $B:1 [SEP]:1",
    special_tokens=[("[CLS]", IDS["[CLS]"]), ("[SEP]", IDS["[SEP]"])],
)


def save_tokenizer(path: Path, *, special: object = SPECIAL) -> Path:
    tokenizer = Tokenizer(models.WordPiece(IDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    if special is not None:
        tokenizer.post_processor = special
    # As checkpoints come: set to how the model was trained, which must not matter here.
    tokenizer.enable_padding(length=99)
    tokenizer.enable_truncation(3)
    tokenizer.save(str(path))
    return path


def make_checkpoint(folder: Path, task: Task, **changes: Any) -> Checkpoint:
    checkpoint = Checkpoint(
        task=task,
        onnx_path=folder / "model.onnx",
        tokenizer_path=save_tokenizer(folder / "tokenizer.json"),
        max_tokens=64,
    )
    return replace(checkpoint, **changes)


@dataclass
class FakeBackend:
    """Answers with what `logits` makes of the ids; remembers what it was fed."""

    logits: Logits
    input_names: Sequence[str] = ("input_ids", "attention_mask", "token_type_ids")
    runs: int = 1
    feeds: list[dict[str, Any]] = field(default_factory=list)

    def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> Sequence[npt.NDArray[np.float32]]:
        self.feeds.append(dict(feed))
        return [np.asarray(array, dtype=np.float32) for array in self.logits(feed["input_ids"])]


def make_handler(
    checkpoint: Checkpoint, backend: FakeBackend, *, default_accept: str | None = None
) -> TaskHandler:
    task = make_task(checkpoint, strategy=AggregationStrategy.AVERAGE)
    handler = TaskHandler(checkpoint, task, backend, default_accept=default_accept)
    backend.feeds.clear()
    return handler
