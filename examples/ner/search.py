"""Which settings learn best? optuna tries some, and each trial is a whole training.

The dev split judges all of them, so the best score is a little too good: the more
trials, the more of it is luck.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import optuna
from conll import Sentence
from fine_tuning import ALL, Settings, fine_tune


def best_settings(
    pretrained: Path,
    *,
    train: Sequence[Sentence],
    dev: Sequence[Sentence],
    settings: Settings,
    trials: int,
) -> Settings:
    """The settings with the best dev F1 of `trials`, the first of which are those given."""

    def dev_f1(trial: optuna.Trial) -> float:
        tried = replace(
            settings,
            learning_rate=trial.suggest_float("learning_rate", 5e-5, 1e-3, log=True),
            batch_size=trial.suggest_categorical("batch_size", [8, 16, 32]),
        )
        print(f"trial {trial.number + 1} of {trials}: {_told(tried)}", file=sys.stderr, flush=True)
        trained = fine_tune(pretrained, train=train, dev=dev, settings=tried)
        return trained.scores[ALL].f1

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=settings.seed)
    )
    study.enqueue_trial(
        {"learning_rate": settings.learning_rate, "batch_size": settings.batch_size}
    )
    study.optimize(dev_f1, n_trials=trials)
    best = replace(settings, **study.best_params)
    print(f"best: {_told(best)}", file=sys.stderr, flush=True)
    return best


def _told(settings: Settings) -> str:
    return f"learning rate {settings.learning_rate:.1e}, batch size {settings.batch_size}"
