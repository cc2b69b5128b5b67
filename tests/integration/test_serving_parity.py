"""The same entities as transformers' pipeline, text by text, for every strategy.

Once with the trained model, once with random ones around real tokenizers, and once for
each kind of tokenizer with a model that labels at random, and so meets every order of
labels within a word. Long texts are held against the pipeline's own `stride`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tokenizers

from portside.serving.backends.onnx_runtime import OnnxRuntime
from portside.serving.checkpoint import Checkpoint, Task, read_checkpoint
from portside.serving.handlers.task import OUTPUTS, Backend, TaskHandler, make_task
from portside.serving.tasks.strategy import AggregationStrategy
from tests.integration.serving_models import make
from tests.integration.serving_texts import SENTENCES, tweets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Pipeline = Callable[..., list[dict[str, object]]]

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC", "E-mail")

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def make_handler(checkpoint: Checkpoint, backend: Backend) -> TaskHandler:
    task = make_task(checkpoint, strategy=AggregationStrategy.AVERAGE)
    return TaskHandler(checkpoint, task, backend)


def make_pipeline(backend: Backend, config: object, tokenizer: object) -> Pipeline:
    """The real pipeline and tokenizer; only the model's forward pass is `backend`'s."""

    class Model(transformers.BertPreTrainedModel):
        def __init__(self, config: object) -> None:
            super().__init__(config)
            self.placeholder = torch.nn.Parameter(torch.zeros(1))

        def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
            feed = {name: inputs[name].numpy() for name in backend.input_names}
            return {"logits": torch.from_numpy(backend.run(feed)[0])}

    # The pipeline goes by the class's name to see that the model fits the task.
    Model.__name__ = "BertForTokenClassification"
    return transformers.TokenClassificationPipeline(model=Model(config), tokenizer=tokenizer)


def predict(handler: TaskHandler, texts: Sequence[str], **parameters: object) -> list[Any]:
    """The entities of each text as plain values."""
    answers: Any = handler.predict({"inputs": list(texts), "parameters": parameters})
    return [[asdict(entity) for entity in answer] for answer in answers]


def check_same(
    handler: TaskHandler,
    pipeline: Pipeline,
    texts: Sequence[str],
    *,
    strategy: AggregationStrategy,
) -> None:
    answers = predict(handler, texts, aggregation_strategy=strategy)
    assert sum(map(len, answers)) > len(texts) / 2, "too few entities to compare anything"
    for text, entities in zip(texts, answers, strict=True):
        expected = [dict(entity) for entity in pipeline(text, aggregation_strategy=strategy)]
        check_entities(entities, expected, text=text)


def check_entities(found: list[Any], expected: list[Any], *, text: str) -> None:
    scores = [float(entity.pop("score")) for entity in found]
    expected_scores = [float(entity.pop("score")) for entity in expected]
    assert found == expected, text
    assert scores == pytest.approx(expected_scores, abs=1e-4), text


# --- The trained model ----------------------------------------------------------


@pytest.fixture(scope="module")
def trained(rampart_model: Path) -> tuple[TaskHandler, Pipeline]:
    checkpoint = read_checkpoint(rampart_model)
    backend = OnnxRuntime(checkpoint.onnx_path, outputs=OUTPUTS[checkpoint.task])
    config = transformers.AutoConfig.from_pretrained(rampart_model)
    # Its own limit is none at all, and so is no help with long texts.
    tokenizer = transformers.AutoTokenizer.from_pretrained(rampart_model, model_max_length=512)
    return make_handler(checkpoint, backend), make_pipeline(backend, config, tokenizer)


@pytest.mark.parametrize("strategy", AggregationStrategy)
def test_trained_model_on_made_up_sentences(
    trained: tuple[TaskHandler, Pipeline], strategy: AggregationStrategy
):
    assert len(SENTENCES) >= 100

    check_same(*trained, SENTENCES, strategy=strategy)


@pytest.mark.parametrize("strategy", AggregationStrategy)
def test_trained_model_on_tweets(
    trained: tuple[TaskHandler, Pipeline], strategy: AggregationStrategy
):
    check_same(*trained, tweets()[::10], strategy=strategy)


def test_other_labels_ignored(trained: tuple[TaskHandler, Pipeline]):
    handler, pipeline = trained
    ignored = ["O", "GIVEN_NAME", "B-SURNAME"]

    for strategy in (AggregationStrategy.NONE, AggregationStrategy.SIMPLE):
        parameters = {"aggregation_strategy": strategy, "ignore_labels": ignored}
        [entities] = predict(handler, [SENTENCES[0]], **parameters)
        expected = [dict(entity) for entity in pipeline(SENTENCES[0], **parameters)]
        check_entities(entities, expected, text=SENTENCES[0])


def test_the_same_answers_from_several_threads(trained: tuple[TaskHandler, Pipeline]):
    """Each with windows of its own, which a tokenizer keeps as a state if it is let."""
    handler, _ = trained
    text = " ".join(SENTENCES[:25])
    strides = [0, 8, 64, 127, 255, 382] * 2

    def classify(stride: int) -> object:
        return predict(handler, [text], stride=stride)

    alone = [classify(stride) for stride in strides]
    with ThreadPoolExecutor(max_workers=6) as threads:
        assert list(threads.map(classify, strides)) == alone


STRIDE = 127
"""Portside's own for windows of 512 tokens, of which two are special."""
ROOM = 510


@pytest.mark.parametrize(
    "strategy", [strategy for strategy in AggregationStrategy if strategy != "none"]
)
def test_long_texts_away_from_cuts(
    trained: tuple[TaskHandler, Pipeline], rampart_model: Path, strategy: AggregationStrategy
):
    """With the pipeline's `stride` the windows are the same, and so is all that lies in one only.

    In an overlap the pipeline takes the longer or surer entity of the two windows, Portside the
    one of the window where its tokens have more context.
    """
    handler, pipeline = trained
    text = " ".join(SENTENCES[:100])
    overlaps = overlap_places(text, rampart_model)
    assert len(overlaps) >= 3

    [entities] = predict(handler, [text], aggregation_strategy=strategy)
    expected = [
        dict(entity) for entity in pipeline(text, aggregation_strategy=strategy, stride=STRIDE)
    ]

    spans, expected_spans = (
        [(entity["start"], entity["end"]) for entity in them] for them in (entities, expected)
    )
    assert all(end <= start for (_, end), (start, _) in pairwise(spans)), "an entity twice"
    outside, outside_expected = (
        [entity for entity in them if not touches(entity, overlaps)]
        for them in (entities, expected)
    )
    assert len(outside) > 50
    check_entities(outside, outside_expected, text=text)
    assert len(set(spans) & set(expected_spans)) > 0.95 * len(spans)


def overlap_places(text: str, folder: Path) -> list[tuple[int, int]]:
    """Where windows overlap, in characters."""
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    starts = range(ROOM - STRIDE, len(offsets), ROOM - STRIDE)
    return [
        (offsets[start][0], offsets[start + STRIDE - 1][1])
        for start in starts
        if start + STRIDE < len(offsets)
    ]


def touches(entity: Mapping[str, Any], places: Sequence[tuple[int, int]]) -> bool:
    return any(entity["end"] > start and entity["start"] < end for start, end in places)


# --- Random models of three families --------------------------------------------


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("family", ["bert", "distilbert", "roberta"])
def test_random_models_with_the_tokenizers_of_their_families(family: str, tmp_path: Path):
    numbers = {label: number for number, label in enumerate(LABELS)}
    made = make(
        tmp_path,
        family=family,
        head="ForTokenClassification",
        id2label=dict(enumerate(LABELS)),
        label2id=numbers,
    )
    pipeline = transformers.TokenClassificationPipeline(model=made.model, tokenizer=made.tokenizer)
    handler = made.handler()

    for strategy in AggregationStrategy:
        check_same(handler, pipeline, SENTENCES[::6], strategy=strategy)


# --- Every kind of tokenizer ----------------------------------------------------


class RandomBackend:
    """Labels each token by its id, at random, but always the same."""

    input_names = ("input_ids", "attention_mask")
    runs = 1

    def __init__(self, vocabulary_size: int) -> None:
        generator = np.random.default_rng(seed=7)
        shape = (vocabulary_size, len(LABELS))
        self._logits = generator.normal(scale=3, size=shape).astype(np.float32)

    def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> list[npt.NDArray[np.float32]]:
        return [self._logits[feed["input_ids"]]]


def wordpiece() -> tuple[tokenizers.Tokenizer, object]:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tokenizers.decoders.WordPiece()
    return tokenizer, tokenizers.trainers.WordPieceTrainer


def byte_level_bpe() -> tuple[tokenizers.Tokenizer, object]:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer, tokenizers.trainers.BpeTrainer


def metaspace_unigram() -> tuple[tokenizers.Tokenizer, object]:
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    return tokenizer, tokenizers.trainers.UnigramTrainer


def train(kind: Callable[[], tuple[tokenizers.Tokenizer, object]], path: Path) -> object:
    """Train a small tokenizer, write it to `path`, and return it as transformers wraps it."""
    tokenizer, trainer_class = kind()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    arguments = {"unk_token": "[UNK]"} if kind is metaspace_unigram else {}
    trainer = trainer_class(
        vocab_size=300, special_tokens=special, show_progress=False, **arguments
    )
    # Trained on a part only, so that the rest holds unknown letters.
    tokenizer.train_from_iterator(SENTENCES[:60], trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(path))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(path), unk_token="[UNK]", pad_token="[PAD]", model_max_length=512
    )


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("kind", [wordpiece, byte_level_bpe, metaspace_unigram])
@pytest.mark.parametrize("strategy", AggregationStrategy)
def test_random_labels_on_every_kind_of_tokenizer(
    tmp_path: Path,
    kind: Callable[[], tuple[tokenizers.Tokenizer, object]],
    strategy: AggregationStrategy,
):
    wrapped = train(kind, tmp_path / "tokenizer.json")
    checkpoint = Checkpoint(
        task=Task.TOKEN_CLASSIFICATION,
        onnx_path=tmp_path / "model.onnx",
        tokenizer_path=tmp_path / "tokenizer.json",
        labels=LABELS,
        max_tokens=512,
        unknown_token="[UNK]",
    )
    backend = RandomBackend(len(wrapped))
    config = transformers.BertConfig(id2label=dict(enumerate(LABELS)))

    check_same(
        make_handler(checkpoint, backend),
        make_pipeline(backend, config, wrapped),
        SENTENCES,
        strategy=strategy,
    )
