"""The same entities as transformers' pipeline, text by text, for every strategy.

Once with the trained model, and once for each kind of tokenizer with a model
that labels at random, and so meets every order of labels within a word.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tokenizers

from portside.serving.backends.onnx_runtime import OnnxRuntime
from portside.serving.checkpoint import Checkpoint, Task, read_checkpoint
from portside.serving.tasks.strategy import AggregationStrategy
from portside.serving.tasks.token_classification import Backend, TokenClassification

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    Pipeline = Callable[..., list[dict[str, object]]]

LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC", "E-mail")

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

NAMES = [
    "Ada Lovelace",
    "Jean-Baptiste Poquelin",
    "María José García",
    "BJÖRK GUÐMUNDSDÓTTIR",
    "Nguyễn Văn An",
    "O'Connor",
    "李小龙",
    "Зоя Космодемьянская",
    "ada lovelace",
]
PLACES = [
    "London",
    "10 Downing Street, Westminster",
    "São Paulo",
    "NEW YORK, NY 10001",
    "Llanfairpwllgwyngyll",
    "東京",
    "221B Baker St.",
]
FRAMES = [
    "{name} lives in {place}.",
    "From: {name} <ada.lovelace@example.com>; to {place}, tel. +44 20 7946 0958!",
    "“{name}” — {place}… (really?)",
    "{place}'s own {name} 😂🎉 wrote to {name}",
    "\t{name}\n\n{place}   ",
]
ODD = [
    "",
    " ",
    "\n\t ",
    ".",
    "😂",
    "👩‍👩‍👧‍👦 family in Paris",
    "é",  # a letter and its accent apart
    "İstanbul'da Ali Işık",  # noqa: RUF001 - a letter that grows in lower case
    "ﬁne ligatures by Bob",
    "\u200bzero\u200bwidth Bob",
    "a\x00b Bob",
    "[SEP] Bob [MASK] [UNK] Smith [CLS]",
    "##lace love ##lace Bob",
    "don't can't Bob's isn't . , ! ?",
    "Bob Bob Bob Bob",
    "BobSmith@example.com,https://bob.example/~smith?q=1#x",
    "x" * 150 + " Bob",  # one word too long for the vocabulary
    "123-45-6789 4111 1111 1111 1111 DE89370400440532013000",
    "Ｆｕｌｌｗｉｄｔｈ Ｂｏｂ",  # noqa: RUF001 - letters that normalization replaces
    "عبد الله يعيش في دبي",
    "नरेंद्र मोदी दिल्ली में रहते हैं",
]
SENTENCES = [
    frame.format(name=name, place=place)
    for frame, name, place in itertools.product(FRAMES, NAMES, PLACES)
][::3] + ODD


def make_task(checkpoint: Checkpoint, backend: Backend) -> TokenClassification:
    return TokenClassification(checkpoint, backend, strategy=AggregationStrategy.AVERAGE)


def make_pipeline(backend: Backend, config: object, tokenizer: object) -> Pipeline:
    """The real pipeline and tokenizer; only the model's forward pass is `backend`'s."""

    class Model(transformers.BertPreTrainedModel):
        def __init__(self, config: object) -> None:
            super().__init__(config)
            self.placeholder = torch.nn.Parameter(torch.zeros(1))

        def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
            feed = {name: inputs[name].numpy() for name in backend.input_names}
            return {"logits": torch.from_numpy(backend.run(feed))}

    # The pipeline goes by the class's name to see that the model fits the task.
    Model.__name__ = "BertForTokenClassification"
    return transformers.TokenClassificationPipeline(model=Model(config), tokenizer=tokenizer)


def check_same(
    task: TokenClassification,
    pipeline: Pipeline,
    texts: Sequence[str],
    *,
    strategy: AggregationStrategy,
) -> None:
    answers = task.classify(texts, strategy=strategy)
    assert sum(map(len, answers)) > len(texts) / 2, "too few entities to compare anything"
    for text, answer in zip(texts, answers, strict=True):
        entities = [asdict(entity) for entity in answer]
        expected = [dict(entity) for entity in pipeline(text, aggregation_strategy=strategy)]
        scores = [entity.pop("score") for entity in entities]
        expected_scores = [float(entity.pop("score")) for entity in expected]

        assert entities == expected, text
        assert scores == pytest.approx(expected_scores, abs=1e-4), text


# --- The trained model ----------------------------------------------------------


@pytest.fixture(scope="module")
def trained(rampart_model: Path) -> tuple[TokenClassification, Pipeline]:
    checkpoint = read_checkpoint(rampart_model)
    backend = OnnxRuntime(checkpoint.onnx_path)
    config = transformers.AutoConfig.from_pretrained(rampart_model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(rampart_model)
    return make_task(checkpoint, backend), make_pipeline(backend, config, tokenizer)


WNUT17_DEV = Path(__file__).parents[3] / "shared" / "data" / "wnut17" / "dev.conll"
"""Beside the checkout, where a machine has it."""


@pytest.mark.parametrize("strategy", AggregationStrategy)
def test_trained_model_on_made_up_sentences(
    trained: tuple[TokenClassification, Pipeline], strategy: AggregationStrategy
):
    assert len(SENTENCES) >= 100

    check_same(*trained, SENTENCES, strategy=strategy)


@pytest.mark.parametrize("strategy", AggregationStrategy)
def test_trained_model_on_tweets(
    trained: tuple[TokenClassification, Pipeline], strategy: AggregationStrategy
):
    """On real text with real noise: every fifth tweet of WNUT 2017's development set."""
    if not WNUT17_DEV.is_file():
        pytest.skip(f"the development set of WNUT 2017 is not at {WNUT17_DEV}")
    sentences = WNUT17_DEV.read_text(encoding="utf-8").strip().split("\n\n")
    texts = [
        " ".join(line.split("\t")[0] for line in sentence.splitlines())
        for sentence in sentences[::5]
    ]

    check_same(*trained, texts, strategy=strategy)


# --- Every kind of tokenizer ----------------------------------------------------


class RandomBackend:
    """Labels each token by its id, at random, but always the same."""

    input_names = ("input_ids", "attention_mask")

    def __init__(self, vocabulary_size: int) -> None:
        generator = np.random.default_rng(seed=7)
        shape = (vocabulary_size, len(LABELS))
        self._logits = generator.normal(scale=3, size=shape).astype(np.float32)

    def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> npt.NDArray[np.float32]:
        logits: npt.NDArray[np.float32] = self._logits[feed["input_ids"]]
        return logits


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
        pad_token_id=0,
        unknown_token="[UNK]",
    )
    backend = RandomBackend(len(wrapped))
    config = transformers.BertConfig(id2label=dict(enumerate(LABELS)))

    check_same(
        make_task(checkpoint, backend),
        make_pipeline(backend, config, wrapped),
        SENTENCES,
        strategy=strategy,
    )
