"""Text classification, zero-shot classification and feature extraction, as transformers has them.

The model is transformers' own on both sides, random and small, so that only
what stands around it is compared: tokenizers, padding, scores, parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.integration.serving_models import Made, make, minilm
from tests.integration.serving_texts import SENTENCES, tweets

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

if TYPE_CHECKING:
    from pathlib import Path

NLI = {0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"}
MOODS = dict(enumerate(["joy", "fear", "anger", "calm", "doubt"]))

# A text without a token is one that transformers refuses for zero-shot classification.
TEXTS = [text for text in SENTENCES if text]


def numbered(labels: dict[int, str]) -> dict[str, Any]:
    return {"id2label": labels, "label2id": {name: number for number, name in labels.items()}}


def check_labels(answer: Any, expected: Any) -> None:
    """The same labels in the same order, with scores within 1e-4."""
    assert [label.label for label in answer] == [label["label"] for label in expected]
    scores = [label["score"] for label in expected]
    assert [label.score for label in answer] == pytest.approx(scores, abs=1e-4)


# --- Text classification --------------------------------------------------------


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("bert", numbered(MOODS)), id="bert, several labels"),
        pytest.param(("bert", {"num_labels": 2}), id="bert, labels without names"),
        pytest.param(("distilbert", {"num_labels": 1}), id="distilbert, one label"),
        pytest.param(
            ("distilbert", {"problem_type": "regression", "num_labels": 1}), id="regression"
        ),
        pytest.param(
            ("roberta", {"problem_type": "multi_label_classification", **numbered(MOODS)}),
            id="roberta, several labels at once",
        ),
    ],
)
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    family, config = request.param
    folder = tmp_path_factory.mktemp("classifier")
    return make(folder, family=family, head="ForSequenceClassification", **config)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"top_k": 2},
        {"top_k": None, "function_to_apply": "softmax"},
        {"top_k": 1, "function_to_apply": "sigmoid"},
        {"function_to_apply": "none"},
    ],
)
def test_the_same_labels(classifier: Made, parameters: dict[str, Any]):
    pipeline = transformers.TextClassificationPipeline(
        model=classifier.model, tokenizer=classifier.tokenizer
    )
    texts = [*SENTENCES[:105:8], *SENTENCES[105:]]

    answers: Any = classifier.handler().predict({"inputs": texts, "parameters": parameters})

    for answer, expected in zip(answers, pipeline(texts, **parameters), strict=True):
        if "top_k" in parameters:
            check_labels(answer, expected)
        else:
            check_labels([answer], [expected])


def test_the_same_labels_of_tweets(classifier: Made):
    pipeline = transformers.TextClassificationPipeline(
        model=classifier.model, tokenizer=classifier.tokenizer
    )
    texts = tweets()[::25]

    answers: Any = classifier.handler().predict({"strings": texts})

    check_labels(answers, pipeline(texts))


def test_the_same_shape_for_one_text_and_for_a_pair(classifier: Made):
    pipeline = transformers.TextClassificationPipeline(
        model=classifier.model, tokenizer=classifier.tokenizer
    )
    handler = classifier.handler()
    text, pair = "Ada lives in London", {"text": "Ada lives", "text_pair": "in London 😂"}

    check_labels(handler.predict({"inputs": text}), pipeline(text))
    check_labels([handler.predict({"inputs": pair})], [pipeline(pair)])
    check_labels(handler.predict({"inputs": [pair, pair]}), pipeline([pair, pair]))


@pytest.mark.parametrize("pair", [None, "Ada met Bob in London. " * 9, "Ada met Bob. " * 400])
def test_the_same_labels_of_what_is_cut_short(classifier: Made, pair: str | None):
    pipeline = transformers.TextClassificationPipeline(
        model=classifier.model, tokenizer=classifier.tokenizer
    )
    long = {"text": "The quick brown fox lives in London and met Bob. " * 200}
    if pair:
        long["text_pair"] = pair

    answer = classifier.handler().predict({"inputs": long})

    check_labels([answer], [pipeline(long, truncation=True)])


# --- Zero-shot classification ---------------------------------------------------


@pytest.fixture(scope="module", params=["bert", "distilbert", "roberta"])
def nli(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("nli")
    return make(folder, family=request.param, head="ForSequenceClassification", **numbered(NLI))


@pytest.mark.parametrize(
    "parameters",
    [
        {"candidate_labels": ["music", "travel", "the weather in 東京"]},
        {"candidate_labels": "music, travel,politics", "multi_label": True},
        {"candidate_labels": ["places"]},
        {"candidate_labels": ["a", "b"], "hypothesis_template": "Is it {}? 😂"},
    ],
)
def test_the_same_rankings(nli: Made, parameters: dict[str, Any]):
    pipeline = transformers.ZeroShotClassificationPipeline(model=nli.model, tokenizer=nli.tokenizer)
    # One longer than the model can read; the others as they come.
    texts = [*TEXTS[::6], "The quick brown fox met Bob in London. " * 100]

    answers: Any = nli.handler().predict({"inputs": texts, "parameters": parameters})

    for answer, expected in zip(answers, pipeline(texts, **parameters), strict=True):
        scores = expected.pop("scores")
        assert (answer.sequence, answer.labels) == (expected["sequence"], expected["labels"])
        assert answer.scores == pytest.approx(scores, abs=1e-4)


def test_rankings_differ_between_texts(nli: Made):
    """Or else nothing was compared above."""
    parameters = {"candidate_labels": ["music", "travel", "weather"]}

    answers: Any = nli.handler().predict({"inputs": TEXTS[:30], "parameters": parameters})

    assert len({tuple(answer.labels) for answer in answers}) > 1


def test_without_candidates_the_models_own_labels(nli: Made):
    pipeline = transformers.TextClassificationPipeline(model=nli.model, tokenizer=nli.tokenizer)

    answer = nli.handler().predict({"inputs": "Ada lives in London"})

    check_labels(answer, pipeline("Ada lives in London"))


# --- Feature extraction ---------------------------------------------------------


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The real sentence-transformers model."""
    folder = tmp_path_factory.mktemp("encoder")
    for path in minilm().rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(minilm())
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    (folder / "model.onnx").write_bytes(b"")
    return Made(
        folder=folder,
        model=transformers.AutoModel.from_pretrained(folder).eval(),
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
    )


def test_the_same_token_vectors(encoder: Made):
    pipeline = transformers.FeatureExtractionPipeline(
        model=encoder.model, tokenizer=encoder.tokenizer
    )
    texts = SENTENCES[::6]
    parameters = {"pooling": "none"}

    answers: Any = encoder.handler().predict({"inputs": texts, "parameters": parameters})

    for answer, expected in zip(answers, pipeline(texts), strict=True):
        np.testing.assert_allclose(answer, expected, atol=1e-4)


def test_an_encoder_without_pooling_gives_token_vectors(tmp_path: Path):
    made = make(tmp_path, family="roberta", head="Model")
    pipeline = transformers.FeatureExtractionPipeline(model=made.model, tokenizer=made.tokenizer)

    answer: Any = made.handler().predict({"inputs": "Ada lives in 東京"})

    np.testing.assert_allclose(answer, pipeline("Ada lives in 東京"), atol=1e-4)


@pytest.mark.parametrize("pooling", [None, "mean", "cls", "max"])
@pytest.mark.parametrize("normalize", [None, False])
def test_vectors_are_pooled_as_sentence_transformers_does(
    encoder: Made, pooling: str | None, normalize: bool | None
):
    """Against its formulas, written out with torch."""
    texts = SENTENCES[::6]
    tokens = encoder.tokenizer(
        texts, padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    with torch.no_grad():
        vectors = encoder.model(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    expected = {
        "mean": (vectors * mask).sum(1) / mask.sum(1),
        "cls": vectors[:, 0],
        "max": vectors.masked_fill(mask == 0, -1e9).max(1).values,
    }[pooling or "mean"]
    if normalize is None:
        expected = torch.nn.functional.normalize(expected)

    answers: Any = encoder.handler().predict(
        {"inputs": texts, "parameters": {"pooling": pooling, "normalize": normalize}}
    )

    np.testing.assert_allclose(np.stack(answers), expected.numpy(), atol=1e-4)


def test_long_texts_are_cut_where_the_checkpoint_says(encoder: Made):
    answer: Any = encoder.handler().predict(
        {"inputs": "Ada lives in London. " * 400, "parameters": {"pooling": "none"}}
    )

    assert answer.shape == (1, 256, 384)


def test_like_sentences_are_near_each_other(encoder: Made):
    answers: Any = encoder.handler().predict(
        {"strings": ["A man eats food.", "Somebody is eating.", "The stock market fell."]}
    )

    vectors = np.stack(answers)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.5 > likeness[0, 2]
