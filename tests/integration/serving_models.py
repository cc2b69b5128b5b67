"""Models for the tests of tasks, small and random, around real tokenizers; no model hub."""

from __future__ import annotations

import inspect
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import tokenizers

from portside.serving.checkpoint import read_checkpoint
from portside.serving.handlers.task import OUTPUTS, TaskHandler, make_task
from portside.serving.tasks.strategy import AggregationStrategy
from tests.integration.encoder import fetch_encoder
from tests.integration.serving_texts import SENTENCES

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt


def minilm() -> Path:
    """The folder of a real sentence-transformers model, fetched once; skips where it cannot be."""
    return fetch_encoder()


@dataclass(frozen=True, kw_only=True)
class Made:
    """A checkpoint as transformers has it in memory and as it lies in a folder."""

    folder: Path
    model: Any
    tokenizer: Any

    def handler(self) -> TaskHandler:
        """Portside's task around transformers' own model, so that only the task is compared."""
        checkpoint = read_checkpoint(self.folder)
        task = make_task(checkpoint, strategy=AggregationStrategy.AVERAGE)
        backend = TorchBackend(self.model, self.tokenizer, outputs=OUTPUTS[checkpoint.task])
        return TaskHandler(checkpoint, task, backend)


class TorchBackend:
    """A backend that is transformers' model itself."""

    runs = 1

    def __init__(self, model: Any, tokenizer: Any, *, outputs: Sequence[str]) -> None:
        self._model = model
        self._outputs = outputs
        accepted = inspect.signature(model.forward).parameters
        self.input_names = [name for name in tokenizer.model_input_names if name in accepted]

    def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> Sequence[npt.NDArray[np.float32]]:
        with torch.no_grad():
            outputs = self._model(**{name: torch.from_numpy(feed[name]) for name in feed})
        return [outputs[name].numpy() for name in self._outputs]


def wordpiece(folder: Path) -> Any:
    """BERT's real vocabulary, uncased."""
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(minilm() / name, folder / name)
    return transformers.AutoTokenizer.from_pretrained(folder)


def byte_level_bpe(folder: Path) -> Any:
    """A small tokenizer of RoBERTa's kind, trained on the spot."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = tokenizers.processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False, trim_offsets=True
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"cls_token": "<s>", "bos_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>"}
    names |= {"eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
        **names,
    )


_TOKENIZERS = {"bert": wordpiece, "distilbert": wordpiece, "roberta": byte_level_bpe}
_SIZES: dict[str, dict[str, Any]] = {
    "bert": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    },
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    "roberta": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
}
_CLASSES = {"bert": "Bert", "distilbert": "DistilBert", "roberta": "Roberta"}


def make(folder: Path, *, family: str, head: str, seed: int = 1, **config: Any) -> Made:
    """A random model of a family, such as `bert`, with a head, such as `ForQuestionAnswering`.

    Its weights are spread wide, so that each token has a say in the answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _TOKENIZERS[family](folder)
    torch.manual_seed(seed)
    name = _CLASSES[family]
    made_config = getattr(transformers, f"{name}Config")(
        vocab_size=len(tokenizer), initializer_range=0.4, **_SIZES[family], **config
    )
    model = getattr(transformers, f"{name}{head}")(made_config).eval()
    model.save_pretrained(folder)
    (folder / "model.onnx").write_bytes(b"")
    return Made(folder=folder, model=model, tokenizer=tokenizer)
