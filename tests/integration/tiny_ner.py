"""A checkpoint that finds persons and places by hand-made weights: seconds to export and prove."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# In a process of its own: torch need not be loaded into the tests' one.
MAKE_CHECKPOINT = """
import sys, torch, transformers
from tokenizers import Tokenizer, models, pre_tokenizers

words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ada", "lives", "in", "oslo", "bo", "paints"]
tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
transformers.PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]",
).save_pretrained(sys.argv[1])
torch.manual_seed(1)
labels = ["O", "B-PER", "B-LOC"]
config = transformers.DistilBertConfig(
    vocab_size=40, dim=32, n_layers=1, n_heads=4, hidden_dim=64,
    id2label=dict(enumerate(labels)), label2id={label: n for n, label in enumerate(labels)})
model = transformers.DistilBertForTokenClassification(config)
with torch.no_grad():
    # A direction for each label, in the words and in the classifier.
    rows = model.base_model.embeddings.word_embeddings.weight
    rows[:, :3] = 0
    for word in range(len(words)):
        label = {"ada": 1, "bo": 1, "oslo": 2}.get(words[word], 0)
        rows[word, label] = 3
    model.classifier.weight.zero_()
    model.classifier.weight[:, :3] = torch.eye(3) * 3
model.save_pretrained(sys.argv[1])
"""


def make_checkpoint(folder: Path) -> None:
    """Leave it in `folder`: `ada` and `bo` are persons, `oslo` is a place."""
    command = [sys.executable, "-W", "ignore", "-c", MAKE_CHECKPOINT, str(folder)]
    subprocess.run(command, check=True, capture_output=True)
