"""An encoder learns to name entities: token classification with transformers' Trainer.

    sentences ──align──▶ subtokens and labels ──Trainer──▶ the epoch with the best dev F1
                (one label a word)             (early stopping)       └─▶ weights rounded ─▶ scored

The tokenizer cuts words into pieces, and labels belong to words. So the first
piece of each word carries the word's label, and the others carry -100, which
the loss leaves out. What is scored is whole entities (seqeval): one is right
if all its words and its type are.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from conll import OUTSIDE, InputError, Sentence, entity_types
from seqeval.metrics import classification_report
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    logging,
    set_seed,
)
from transformers.trainer_utils import PredictionOutput
from weight_rounding import round_weights

IGNORED = -100
"""The label that torch's cross entropy leaves out."""

ALL = "all types"
"""The name of the score over every entity, whatever its type (seqeval's micro average)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to train. `patience` is how many epochs in a row may bring no better dev F1."""

    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Of whole entities, each from 0 to 1; `entities` is how many there are to find."""

    precision: float
    recall: float
    f1: float
    entities: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """How far the model had come after so many epochs."""

    number: int
    train_loss: float
    dev_loss: float
    dev_f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The model after its best epoch, and how it came about; `scores` are by type and of `ALL`."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    settings: Settings
    epochs: tuple[Epoch, ...]
    scores: dict[str, Score]
    seconds: float


def fine_tune(
    pretrained: Path,
    *,
    train: Sequence[Sentence],
    dev: Sequence[Sentence],
    settings: Settings,
) -> Trained:
    """Train on `train`, and keep the epoch that does best on `dev`."""
    started = time.monotonic()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # has no types
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    set_seed(settings.seed)

    types = entity_types([*train, *dev])
    labels = [OUTSIDE, *(f"{mark}-{kind}" for kind in types for mark in "BI")]
    label_ids = {label: number for number, label in enumerate(labels)}
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    model = AutoModelForTokenClassification.from_pretrained(
        pretrained, id2label=dict(enumerate(labels)), label2id=label_ids
    )

    dev_pieces = [align(tokenizer, sentence, label_ids) for sentence in dev]
    with tempfile.TemporaryDirectory() as checkpoints:
        trainer = Trainer(
            model=model,
            args=training_arguments(settings, checkpoints),
            train_dataset=[align(tokenizer, sentence, label_ids) for sentence in train],
            eval_dataset=dev_pieces,
            data_collator=DataCollatorForTokenClassification(tokenizer),
            compute_metrics=lambda outcome: {"f1": score(outcome, labels)[ALL].f1},
            callbacks=[EarlyStoppingCallback(settings.patience), Progress()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        round_weights(model)  # of the best epoch: the Trainer has loaded it again
    return Trained(
        model=model,
        tokenizer=tokenizer,
        settings=settings,
        epochs=read_epochs(trainer.state.log_history),
        # The Trainer takes a list too, though its types do not say so.
        scores=score(trainer.predict(dev_pieces), labels),  # type: ignore[arg-type]
        seconds=time.monotonic() - started,
    )


def training_arguments(settings: Settings, checkpoints: str) -> TrainingArguments:
    """Every epoch is scored and kept, and the best one is what remains."""
    return TrainingArguments(
        output_dir=checkpoints,
        learning_rate=settings.learning_rate,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=32,
        num_train_epochs=settings.epochs,
        lr_scheduler_type="cosine",
        warmup_steps=0.1,  # of all steps
        weight_decay=0.01,
        # Sentences of like length share a batch, so that little of it is padding.
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch",
        logging_strategy="epoch",
        save_strategy="epoch",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="f1",
        seed=settings.seed,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
    )


def align(
    tokenizer: PreTrainedTokenizerBase, sentence: Sentence, label_ids: dict[str, int]
) -> dict[str, list[int]]:
    """The sentence as the model takes it: its pieces, and a label on each word's first one."""
    words = list(sentence.words)
    pieces = tokenizer(words, is_split_into_words=True)
    # A word of nothing but invisible characters has no piece, and its label would be lost.
    for lost in set(range(len(words))).difference(pieces.word_ids()):
        words[lost] = tokenizer.unk_token
    pieces = tokenizer(words, is_split_into_words=True)
    if len(pieces["input_ids"]) > tokenizer.model_max_length:
        raise InputError(
            f"{sentence.where}: the sentence has {len(pieces['input_ids'])} tokens, "
            f"and the model reads {tokenizer.model_max_length}",
            hint="divide the sentence with a blank line",
        )
    labels, before = [], None
    for word in pieces.word_ids():
        is_first = word is not None and word != before
        labels.append(label_ids[sentence.labels[word]] if is_first else IGNORED)
        before = word
    return {**pieces, "labels": labels}


def score(outcome: EvalPrediction | PredictionOutput, labels: Sequence[str]) -> dict[str, Score]:
    """How well whole entities are found: of each type, and of `ALL` together."""
    truth, said = [], []
    guesses = np.argmax(outcome.predictions, axis=-1)
    for right, guess in zip(np.asarray(outcome.label_ids), guesses, strict=True):
        is_word = right != IGNORED
        truth.append([labels[number] for number in right[is_word]])
        said.append([labels[number] for number in guess[is_word]])
    report = classification_report(truth, said, output_dict=True, zero_division=0)
    averages = {"micro avg": ALL, "macro avg": None, "weighted avg": None}
    return {
        kind: Score(
            precision=float(row["precision"]),
            recall=float(row["recall"]),
            f1=float(row["f1-score"]),
            entities=int(row["support"]),
        )
        for name, row in report.items()
        if (kind := averages.get(name, name)) is not None
    }


def read_epochs(history: Sequence[dict[str, Any]]) -> tuple[Epoch, ...]:
    """The Trainer's log: an entry with the loss and one with the scores for each epoch."""
    losses = [entry["loss"] for entry in history if "loss" in entry]
    scores = [entry for entry in history if "eval_f1" in entry]
    return tuple(
        Epoch(number=number, train_loss=loss, dev_loss=after["eval_loss"], dev_f1=after["eval_f1"])
        for number, (loss, after) in enumerate(zip(losses, scores, strict=True), start=1)
    )


class Progress(TrainerCallback):
    """A line for each epoch, and on a terminal the step within it."""

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the Trainer gives it
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - the Trainer gives it
        **_: object,
    ) -> None:
        if sys.stderr.isatty():
            print(f"\rstep {state.global_step} of {state.max_steps} ", end="", file=sys.stderr)

    def on_evaluate(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the Trainer gives it
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - the Trainer gives it
        **_: object,
    ) -> None:
        last = read_epochs(state.log_history)[-1]
        print(
            f"\repoch {last.number} of {state.num_train_epochs}: train loss {last.train_loss:.3f}, "
            f"dev loss {last.dev_loss:.3f}, dev F1 {last.dev_f1:.3f}",
            file=sys.stderr,
            flush=True,
        )
