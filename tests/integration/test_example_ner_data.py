"""The example's files of labeled words, and how labels of words become labels of their pieces."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.serving_models import minilm

EXAMPLE = Path(__file__).parents[2] / "examples" / "ner"
LABELS = ("O", "B-person", "I-person")

words = st.text(min_size=1).filter(lambda text: len(text.split()) == 1 and text == text.strip())
rows = st.lists(st.tuples(words, st.sampled_from(LABELS)), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def conll() -> Iterator[Any]:
    """The script's own modules are found beside it, as Python finds them when it runs."""
    sys.path.insert(0, str(EXAMPLE))
    yield importlib.import_module("conll")
    sys.path.remove(str(EXAMPLE))


def sentence(conll: Any, pairs: list[tuple[str, str]]) -> Any:
    given_words, labels = zip(*pairs, strict=True)
    return conll.Sentence(words=given_words, labels=labels, where="here")


# --- Files ----------------------------------------------------------------------


@given(sentences=st.lists(rows, min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_back(
    conll: Any, tmp_path: Path, sentences: list[list[tuple[str, str]]]
) -> None:
    sentences[0][0] = ("Ada", "B-person")
    made = [sentence(conll, pairs) for pairs in sentences]

    conll.write_sentences(tmp_path / "file.conll", made)
    read = conll.read_sentences(tmp_path / "file.conll")

    assert [(one.words, one.labels) for one in read] == [(one.words, one.labels) for one in made]


@pytest.mark.parametrize(
    "text",
    [
        "Ada B-person\nsleeps O\n\nBob B-person\n",
        "Ada\tB-person\nsleeps\tO\n\t\nBob\tB-person",
        "\ufeff\r\nAda   B-person\r\nsleeps  O \r\n \r\n\r\nBob B-person\r\n\r\n",
    ],
)
def test_tabs_spaces_and_line_ends_do_not_matter(conll: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.conll"
    path.write_text(text, encoding="utf-8", newline="")

    first, second = conll.read_sentences(path)

    assert (first.words, first.labels) == (("Ada", "sleeps"), ("B-person", "O"))
    assert second.words == ("Bob",)
    line = text.replace("\r", "").split("Bob")[0].count("\n") + 1
    assert second.where == f"`{path}` line {line}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("Ada O\n", "has no entity in it"),
        ("Ada B-person\n\nsleeps\n", "line 3: 1 column in place"),
        ("Ada\t\n", "line 1: 1 column in place"),
        ("Ada NNP B-NP B-person\n", "line 1: 4 columns in place"),
        ("Ada B-person\nsleeps X\n", "line 2: `X` is not a label"),
        ("Ada person\n", "line 1: `person` is not a label"),
        ("Ada B-\n", "line 1: `B-` is not a label"),
    ],
)
def test_a_wrong_line_is_named(conll: Any, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "file.conll"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(conll.InputError, match=said) as caught:
        conll.read_sentences(path)

    assert f"`{path}`" in str(caught.value)
    assert caught.value.hint


def test_a_file_that_cannot_be_read_is_named(conll: Any, tmp_path: Path) -> None:
    (tmp_path / "latin1.conll").write_bytes("Zoë B-person\n".encode("latin1"))

    for name, said in (("none.conll", "No such file"), ("latin1.conll", "not UTF-8")):
        with pytest.raises(conll.InputError, match=f"{name}`: .*{said}"):
            conll.read_sentences(tmp_path / name)


def test_the_sentences_that_ship_are_enough_to_learn_and_to_score(conll: Any) -> None:
    sentences = conll.read_sentences(EXAMPLE / "sentences.conll")

    assert len(sentences) == 60
    assert conll.entity_types(sentences[4::5]) == conll.entity_types(sentences)


def test_wnut_is_read_whole(conll: Any) -> None:
    data = EXAMPLE.parents[2] / "shared" / "data" / "wnut17"
    if not data.exists():
        pytest.skip("the WNUT 2017 data are not here")

    sentences = conll.read_sentences(data / "dev.conll")

    assert len(sentences) == 1009
    assert sum(label.startswith("B-") for one in sentences for label in one.labels) == 836


# --- Pieces ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def fine_tuning(conll: Any) -> Any:
    pytest.importorskip("accelerate", reason="training needs examples/ner/requirements.txt")
    pytest.importorskip("seqeval", reason="training needs examples/ner/requirements.txt")
    return importlib.import_module("fine_tuning")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return importlib.import_module("transformers").AutoTokenizer.from_pretrained(minilm())


@given(pairs=rows)
@settings(deadline=None)
def test_each_word_has_one_label_on_its_first_piece(
    conll: Any, fine_tuning: Any, tokenizer: Any, pairs: list[tuple[str, str]]
) -> None:
    label_ids = {label: number for number, label in enumerate(LABELS)}

    pieces = fine_tuning.align(tokenizer, sentence(conll, pairs), label_ids)

    kept = [number for number in pieces["labels"] if number != fine_tuning.IGNORED]
    assert [LABELS[number] for number in kept] == [label for _, label in pairs]
    starts = [n for n, number in enumerate(pieces["labels"]) if number != fine_tuning.IGNORED]
    tokens = tokenizer.convert_ids_to_tokens(pieces["input_ids"])
    assert not [tokens[n] for n in starts if tokens[n].startswith("##")]
    assert starts[0] == 1
    assert len(pieces["labels"]) == len(pieces["input_ids"]) == len(pieces["attention_mask"])


def test_pieces_after_the_first_have_no_say(conll: Any, fine_tuning: Any, tokenizer: Any) -> None:
    pairs = [("Valparaiso", "B-person"), ("\u200b", "O"), ("sleeps", "O")]

    pieces = fine_tuning.align(
        tokenizer, sentence(conll, pairs), {"O": 0, "B-person": 1, "I-person": 2}
    )

    tokens = tokenizer.convert_ids_to_tokens(pieces["input_ids"])
    assert tokens == ["[CLS]", "val", "##para", "##iso", "[UNK]", "sleeps", "[SEP]"]
    assert pieces["labels"] == [-100, 1, -100, -100, 0, 0, -100]


def test_a_sentence_longer_than_the_model_reads_is_named(
    conll: Any, fine_tuning: Any, tokenizer: Any
) -> None:
    pairs = [("word", "O")] * 511

    with pytest.raises(conll.InputError, match=r"here: the sentence has 513 tokens, .* reads 512"):
        fine_tuning.align(tokenizer, sentence(conll, pairs), {"O": 0})

    assert len(fine_tuning.align(tokenizer, sentence(conll, pairs[:-1]), {"O": 0})["labels"]) == 512


def test_an_entity_counts_only_whole(fine_tuning: Any) -> None:
    np = importlib.import_module("numpy")
    ignored = fine_tuning.IGNORED
    truth = np.array([[ignored, 1, ignored, 2, 0, 1, ignored]])
    said = np.array([[0, 1, 0, 0, 0, 1, 2]])
    outcome = importlib.import_module("transformers").EvalPrediction(
        predictions=np.eye(len(LABELS))[said], label_ids=truth
    )

    scores = fine_tuning.score(outcome, LABELS)

    # Of "Ada Lovelace … Bob" the model found "Ada" and "Bob".
    assert set(scores) == {"person", fine_tuning.ALL}
    assert scores["person"] == scores[fine_tuning.ALL]
    assert (scores["person"].precision, scores["person"].recall) == (0.5, 0.5)
    assert scores["person"].entities == 2
