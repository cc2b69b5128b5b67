"""What a competent person writes by hand: an ONNX graph, its tokenizer, entities out of logits.

Shared by the peers that bring a server but no model code. The rules for
entities are those of the transformers pipeline with aggregation strategy
`average`, for a WordPiece tokenizer.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer


class Word(NamedTuple):
    """A word: its best label, and its tokens."""

    label: str
    score: float
    first: int
    end: int

    @property
    def kind(self) -> str:
        """The label without `B-` or `I-`."""
        return self.label.rpartition("-")[2]


class Ner:
    """A token classification model in a folder: `config.json`, `tokenizer.json`, `model.onnx`."""

    def __init__(self, model_dir: str) -> None:
        folder = Path(model_dir)
        config = json.loads((folder / "config.json").read_text())
        self.labels = [config["id2label"][str(n)] for n in range(len(config["id2label"]))]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(config["max_position_embeddings"])
        self.tokenizer.enable_padding()
        self.session = onnxruntime.InferenceSession(
            folder / "model.onnx", providers=["CPUExecutionProvider"]
        )
        self.inputs = {node.name for node in self.session.get_inputs()}

    def predict(self, strings: list[str]) -> list[list[dict[str, Any]]]:
        """The entities of each text, all in one padded batch."""
        encodings = self.tokenizer.encode_batch(strings)
        feed = {
            "input_ids": np.array([encoding.ids for encoding in encodings]),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings]),
        }
        feed = {name: array for name, array in feed.items() if name in self.inputs}
        logits = self.session.run(["logits"], feed)[0]
        scores = np.exp(logits - logits.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        return [
            self._entities(encoding, rows) for encoding, rows in zip(encodings, scores, strict=True)
        ]

    def _entities(self, encoding: Encoding, scores: np.ndarray) -> list[dict[str, Any]]:
        kept = [n for n, special in enumerate(encoding.special_tokens_mask) if not special]
        starts = [n for n in kept if not encoding.tokens[n].startswith("##")]
        groups: list[list[Word]] = []
        for first, end in pairwise([*starts, kept[-1] + 1] if kept else []):
            row = scores[first:end].mean(axis=0)
            best = int(row.argmax())
            word = Word(self.labels[best], float(row[best]), first, end)
            if groups and not word.label.startswith("B-") and word.kind == groups[-1][0].kind:
                groups[-1].append(word)
            else:
                groups.append([word])
        return [self._entity(encoding, group) for group in groups if group[0].kind != "O"]

    def _entity(self, encoding: Encoding, group: list[Word]) -> dict[str, Any]:
        first, end = group[0].first, group[-1].end
        return {
            "entity_group": group[0].kind,
            "score": sum(word.score for word in group) / len(group),
            "word": self.tokenizer.decode(encoding.ids[first:end]),
            "start": encoding.offsets[first][0],
            "end": encoding.offsets[end - 1][1],
        }
