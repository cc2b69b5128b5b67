"""Fine-tune MiniLM to find named entities, in your sentences or in ours: `python train.py`.

    FILE ──conll──▶ sentences ──fine_tuning──▶ model ──model_card──▶ OUTPUT/
                    (checked)    (Trainer)

    OUTPUT/model/          a Hugging Face checkpoint, its card and its curves
    OUTPUT/samples.conll   the sentences that it was scored on
    OUTPUT/portside.toml

OUTPUT appears whole or not at all, and `portside deploy OUTPUT` takes it as it is.
What train.py needs: `pip install -r requirements.txt`.
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from conll import InputError, Sentence, entity_types, read_sentences, write_sentences
from fetch_model import MINILM, fetch

if TYPE_CHECKING:
    from fine_tuning import Trained

HERE = Path(__file__).parent
PRETRAINED = HERE / ".portside" / "minilm"

HELD_OUT = 5
"""Without a dev file every fifth sentence is kept from training, to score on."""

PROJECT = """\
# `portside package` and `portside deploy` take this folder as it is; the endpoint bears its name.

[model]
path = "model"
samples = "samples.conll"         # the dev split: the artifact is proven on it

[endpoint]
kind = "serverless"
memory_size_mb = 2048
max_concurrency = 5

[endpoint.environment]
# In training the first piece of each word had the word's label.
PORTSIDE_AGGREGATION_STRATEGY = "first"
"""


def main() -> int:
    """The exit code: 2 where something that was given is wrong."""
    is_ended = False

    def end(*_: object) -> NoReturn:
        nonlocal is_ended
        is_ended = True
        raise KeyboardInterrupt  # so that what was begun is removed

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        train(parse_arguments())
    except InputError as error:
        print(f"error: {error}\n\nhint: {error.hint}", file=sys.stderr)
        return 2
    except BaseException:
        # Amid an import of NumPy's it becomes an `ImportError`.
        if not is_ended:
            raise
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    return 0


def parse_arguments() -> argparse.Namespace:
    """The command line; its defaults suit our sixty sentences, the README has others."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--train",
        metavar="FILE",
        type=Path,
        default=HERE / "sentences.conll",
        help="sentences to learn from, a word and its label on each line",
    )
    parser.add_argument(
        "--dev",
        metavar="FILE",
        type=Path,
        help="sentences to score on (default: every fifth of --train)",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=HERE / "ner-minilm",
        help="the folder to make (default: %(default)s)",
    )
    parser.add_argument("--data-license", metavar="TEXT", help="for the model card")
    for name, default, parse, meaning in (
        ("--epochs", 10, count, "how often to read every sentence, at most"),
        ("--patience", 3, count, "end after so many epochs without a better dev F1"),
        ("--batch-size", 16, count, "sentences a step"),
        ("--learning-rate", 3e-4, rate, "AdamW's, at its highest"),
        ("--seed", 42, int, "the same one gives the same model on the same machine"),
    ):
        text = f"{meaning} (default: %(default)s)"
        parser.add_argument(name, metavar="N", type=parse, default=default, help=text)
    parser.add_argument(
        "--search", metavar="N", type=count, help="try N settings with optuna, then use the best"
    )
    return parser.parse_args()


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a whole number from 1")
    return int(text)


def rate(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number between 0 and 1")
    return number


def train(options: argparse.Namespace) -> None:
    """Read, learn, write."""
    sentences, dev = read_corpus(options.train, options.dev)
    check_installed()
    with whole_or_nothing(options.output) as project:
        fetch(PRETRAINED, model=MINILM)
        print(f"{len(sentences)} sentences to learn from, {len(dev)} to score on", flush=True)
        trained = learn(sentences, dev, options=options)
        write_project(project, trained, train=sentences, dev=dev, options=options)
    print(f"the model and its card are in {options.output / 'model'}")
    print(f"next: portside deploy {options.output}")


def read_corpus(file: Path, dev_file: Path | None) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences to learn from, and those to score on."""
    sentences = read_sentences(file)
    if dev_file is not None:
        return sentences, read_sentences(dev_file)
    dev = sentences[HELD_OUT - 1 :: HELD_OUT]
    if not entity_types(dev):
        raise InputError(
            f"`{file}` has too few entities to score on every fifth of its sentences",
            hint="name sentences to score on with `--dev FILE`",
        )
    del sentences[HELD_OUT - 1 :: HELD_OUT]
    return sentences, dev


def check_installed() -> None:
    """Said before anything is fetched or trained; raises `InputError`."""
    for package in ("accelerate", "matplotlib", "optuna", "seqeval", "torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"`{package}` is not installed",
                hint=f"{sys.executable} -m pip install -r {HERE / 'requirements.txt'}",
            )


def learn(
    sentences: Sequence[Sentence], dev: Sequence[Sentence], *, options: argparse.Namespace
) -> Trained:
    """Train with the settings that are asked for, or with the best of a search."""
    # Loads torch, which takes seconds: what is wrong with the input was said before.
    from fine_tuning import Settings, fine_tune  # noqa: PLC0415

    settings = Settings(
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        epochs=options.epochs,
        patience=options.patience,
        seed=options.seed,
    )
    if options.search:
        from search import best_settings  # noqa: PLC0415 - as above

        settings = best_settings(
            PRETRAINED, train=sentences, dev=dev, settings=settings, trials=options.search
        )
    return fine_tune(PRETRAINED, train=sentences, dev=dev, settings=settings)


def write_project(
    project: Path,
    trained: Trained,
    *,
    train: Sequence[Sentence],
    dev: Sequence[Sentence],
    options: argparse.Namespace,
) -> None:
    """The checkpoint with its card, the samples, and the `portside.toml` that names both."""
    from model_card import Corpus, score_table, write_card  # noqa: PLC0415 - as above

    corpus = Corpus(
        train=f"`{options.train.name}`",
        dev=f"`{options.dev.name}`" if options.dev else "every fifth sentence of the same file",
        train_sentences=len(train),
        dev_sentences=len(dev),
        license=options.data_license,
    )
    trained.model.save_pretrained(project / "model")
    trained.tokenizer.save_pretrained(project / "model")
    write_card(project / "model", trained, corpus=corpus)
    write_sentences(project / "samples.conll", dev)
    (project / "portside.toml").write_text(PROJECT, encoding="utf-8")
    print(f"\n{score_table(trained)}\n")


@contextmanager
def whole_or_nothing(folder: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when it is full; raises `InputError`."""
    if folder.exists():
        raise InputError(
            f"`{folder}` is there already",
            hint=f"name another folder with `--output`, or `rm -r {folder}`",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-")
    except OSError as error:
        raise InputError(
            f"cannot make `{folder}`: {error.strerror}", hint="name another folder with `--output`"
        ) from error
    with scratch as parent:
        made = Path(parent) / folder.name
        made.mkdir()
        yield made
        made.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
