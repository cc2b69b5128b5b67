"""Bodies to answers around a small tokenizer, with a backend that knows names by heart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from portside.errors import PortsideError
from portside.serving.checkpoint import Checkpoint, Task
from portside.serving.error import InvalidBodyError
from portside.serving.tasks.strategy import AggregationStrategy
from portside.serving.tasks.token_classification import TokenClassification

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Ada", "Love", "##lace", "met", "Bob", "."]
VOCABULARY = {word: index for index, word in enumerate(WORDS)}
LABELS = ("O", "B-PER", "I-PER")
LABEL_OF = {"Ada": 1, "Love": 2, "##lace": 2, "Bob": 1}


@dataclass
class KnowingBackend:
    """Sure of the labels of names; remembers the shape of every batch."""

    input_names: Sequence[str] = ("input_ids", "attention_mask", "token_type_ids")
    width: int = len(LABELS)
    feeds: list[dict[str, Any]] = field(default_factory=list)

    def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> npt.NDArray[np.float32]:
        self.feeds.append(dict(feed))
        ids = feed["input_ids"]
        logits = np.zeros((*ids.shape, self.width), dtype=np.float32)
        for place, token_id in np.ndenumerate(ids):
            logits[(*place, LABEL_OF.get(WORDS[token_id], 0))] = 9
        return logits


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    tokenizer = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # As checkpoints come: set to how the model was trained, which must not matter here.
    tokenizer.enable_padding(length=99)
    tokenizer.enable_truncation(3)
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return Checkpoint(
        task=Task.TOKEN_CLASSIFICATION,
        onnx_path=tmp_path / "model.onnx",
        tokenizer_path=path,
        labels=LABELS,
        max_tokens=512,
        pad_token_id=0,
        unknown_token=None,
    )


def make(checkpoint: Checkpoint, backend: KnowingBackend | None = None) -> TokenClassification:
    strategy = AggregationStrategy.AVERAGE
    return TokenClassification(checkpoint, backend or KnowingBackend(), strategy=strategy)


def words(answer: Any) -> list[str]:
    return [entity.word for entity in answer]


def test_strings_get_a_list_each_in_their_order(checkpoint: Checkpoint):
    answer: Any = make(checkpoint).predict({"strings": ["Bob met Ada Lovelace.", "", "Ada"]})

    assert [words(entities) for entities in answer] == [["Bob", "Ada Lovelace"], [], ["Ada"]]
    assert (answer[0][1].start, answer[0][1].end) == (8, 20)


def test_one_input_gets_its_list_bare(checkpoint: Checkpoint):
    assert words(make(checkpoint).predict({"inputs": "Ada met Bob"})) == ["Ada", "Bob"]


def test_no_texts_no_answers(checkpoint: Checkpoint):
    assert make(checkpoint).predict({"strings": []}) == []


def test_a_text_without_a_single_token_has_no_entities(checkpoint: Checkpoint):
    tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer_path))
    tokenizer.post_processor = None
    tokenizer.save(str(checkpoint.tokenizer_path))
    backend = KnowingBackend()

    answer: Any = make(checkpoint, backend).predict({"strings": ["", "Ada", " "]})

    assert [words(entities) for entities in answer] == [[], ["Ada"], []]
    assert all(feed["input_ids"].size for feed in backend.feeds)


def test_the_strategy_of_the_request_wins(checkpoint: Checkpoint):
    parameters = {"aggregation_strategy": "none"}

    answer = make(checkpoint).predict({"inputs": "Lovelace", "parameters": parameters})

    assert words(answer) == ["Love", "##lace"]


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"aggregation_strategy": "best"}, "is `best`, not one of `none`, `simple`"),
        ({"aggregation_strategy": ["max"]}, "not one of"),
        ({"stride": 3, "top_k": 1}, "got `stride`, `top_k`"),
    ],
)
def test_wrong_parameters_are_refused(
    checkpoint: Checkpoint, parameters: dict[str, object], part: str
):
    with pytest.raises(InvalidBodyError) as caught:
        make(checkpoint).predict({"inputs": "Ada", "parameters": parameters})

    assert part in caught.value.message


def test_batches_hold_texts_of_like_length(checkpoint: Checkpoint):
    backend = KnowingBackend()
    task = make(checkpoint, backend)
    backend.feeds.clear()

    texts = ["Ada " * 50 if number % 2 else "Bob" for number in range(16)]
    answer: Any = task.predict({"strings": texts})

    assert [feed["input_ids"].shape for feed in backend.feeds] == [(8, 3), (8, 52)]
    assert [len(entities) for entities in answer] == [1, 50] * 8


def test_shorter_texts_are_padded_and_masked(checkpoint: Checkpoint):
    backend = KnowingBackend()
    task = make(replace(checkpoint, pad_token_id=9), backend)

    task.predict({"strings": ["Ada", "Ada met Bob"]})

    feed = backend.feeds[-1]
    assert feed["input_ids"].tolist() == [[2, 4, 3, 9, 9], [2, 4, 7, 8, 3]]
    assert feed["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert not feed["token_type_ids"].any()


def test_a_model_without_token_types_is_not_fed_any(checkpoint: Checkpoint):
    backend = KnowingBackend(input_names=("input_ids", "attention_mask"))

    make(checkpoint, backend).predict({"inputs": "Ada"})

    assert set(backend.feeds[-1]) == {"input_ids", "attention_mask"}


def test_a_long_text_is_read_in_windows_and_an_entity_across_a_cut_stays_whole(
    checkpoint: Checkpoint,
):
    backend = KnowingBackend()
    text = "met Bob . met Ada Lovelace met Bob"  # a cut between Love and ##lace
    task = make(replace(checkpoint, max_tokens=8), backend)

    answer: Any = task.predict({"inputs": text})

    assert max(feed["input_ids"].shape[1] for feed in backend.feeds) == 8
    assert words(answer) == ["Bob", "Ada Lovelace", "Bob"]
    assert [text[entity.start : entity.end] for entity in answer] == words(answer)


def test_places_of_tokens_count_on_over_windows(checkpoint: Checkpoint):
    parameters = {"aggregation_strategy": "none"}
    task = make(replace(checkpoint, max_tokens=4))

    answer: Any = task.predict({"inputs": "Ada met Bob", "parameters": parameters})

    # [CLS] Ada met [SEP] [CLS] Bob [SEP]
    assert [(entity.word, entity.index) for entity in answer] == [("Ada", 1), ("Bob", 5)]


def test_unknown_words_are_written_as_in_the_text(checkpoint: Checkpoint):
    class AllNames(KnowingBackend):
        def run(self, feed: Mapping[str, npt.NDArray[np.int64]]) -> npt.NDArray[np.float32]:
            row = np.array([0, 1, 0], dtype=np.float32)
            return np.broadcast_to(row, (*feed["input_ids"].shape, 3))

    assert words(make(checkpoint, AllNames()).predict({"inputs": "Zoë met"})) == ["Zoë", "met"]


def test_the_model_is_warmed_before_the_first_request(checkpoint: Checkpoint):
    backend = KnowingBackend()

    make(checkpoint, backend)

    assert len(backend.feeds) == 1


def test_a_model_with_other_labels_than_its_config_is_refused(checkpoint: Checkpoint):
    with pytest.raises(PortsideError, match=r"scores 4 labels.*names 3"):
        make(checkpoint, KnowingBackend(width=4))


def test_a_model_that_wants_more_than_text_is_refused(checkpoint: Checkpoint):
    backend = KnowingBackend(input_names=("input_ids", "pixel_values"))

    with pytest.raises(PortsideError, match="`pixel_values`"):
        make(checkpoint, backend)


def test_a_broken_tokenizer_is_refused(checkpoint: Checkpoint):
    checkpoint.tokenizer_path.write_text("{}")

    with pytest.raises(PortsideError, match=r"cannot load `.*tokenizer\.json`"):
        make(checkpoint)
