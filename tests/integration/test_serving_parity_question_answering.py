"""Question answering as the pipeline of transformers 4 has it; version 5 has none any more.

So an older transformers is installed beside the environment, and answers in a
process of its own. The model is the same random one on both sides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.serving_models import Made, make
from tests.integration.serving_texts import SENTENCES

PACKAGES = Path(__file__).parents[2] / ".portside" / "packages"
REQUIREMENTS = ("transformers==4.57.6", "tokenizers==0.22.2", "huggingface-hub==0.36.2")

ORACLE = """
import json, sys
import transformers

folders, calls = json.load(sys.stdin)
answers = {}
for family, folder in folders.items():
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    config = json.load(open(folder + "/config.json"))
    model_class = getattr(transformers, config["architectures"][0])
    model = model_class.from_pretrained(folder)
    if config["model_type"] == "roberta":
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    pipeline = transformers.QuestionAnsweringPipeline(model=model, tokenizer=tokenizer)
    answers[family] = [pipeline(**item, **parameters) for item, parameters in calls]
json.dump(answers, sys.stdout)
"""

LONG = " ".join(text for text in SENTENCES[::2] if text.strip())
CONTEXTS = [*SENTENCES[:105:15], *(text for text in SENTENCES[105:] if text), LONG]
QUESTIONS = ["Where does Ada live?", "Who wrote to María José, and when? 😂", "東京?"]
ITEMS = [
    {"question": QUESTIONS[number % len(QUESTIONS)], "context": context}
    for number, context in enumerate(CONTEXTS)
]
PARAMETERS: list[dict[str, Any]] = [
    {},
    {"top_k": 3},
    {"handle_impossible_answer": True},
    {"handle_impossible_answer": True, "top_k": 2, "max_answer_len": 3},
    {"align_to_words": False, "max_answer_len": 30},
    {"max_seq_len": 64, "doc_stride": 16, "top_k": 2},
    {"max_seq_len": 100},
]
CALLS = [(item, parameters) for parameters in PARAMETERS for item in ITEMS]
FAMILIES = ("bert", "roberta")


@pytest.fixture(scope="session")
def older_transformers() -> Path:
    """The folder in which transformers 4 is installed, filled once; skips where it cannot be."""
    folder = PACKAGES / REQUIREMENTS[0].replace("==", "-")
    if folder.exists():
        return folder
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PACKAGES, prefix=".install-") as scratch:
        made = Path(scratch) / "made"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--only-binary=:all:", "--target", str(made), *REQUIREMENTS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"transformers 4 cannot be installed: {done.stderr.strip()}")
        made.rename(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    folder = tmp_path_factory.mktemp("models")
    return {
        family: make(folder / family, family=family, head="ForQuestionAnswering")
        for family in FAMILIES
    }


@pytest.fixture(scope="module")
def expected(models: dict[str, Made], older_transformers: Path) -> dict[str, list[Any]]:
    """By family, for each of `CALLS`; all in one process, which takes long to start."""
    folders = {family: str(made.folder) for family, made in models.items()}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ORACLE],
        input=json.dumps([folders, CALLS]),
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(older_transformers), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, list[Any]] = json.loads(done.stdout)
    return answers


def as_list(answer: Any) -> list[dict[str, Any]]:
    answers = answer if isinstance(answer, list) else [answer]
    return [asdict(one) if is_dataclass(one) else dict(one) for one in answers]  # type: ignore[arg-type]  # an instance


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_answers(family: str, models: dict[str, Made], expected: dict[str, list[Any]]):
    handler = models[family].handler()

    places = set()
    for (item, parameters), theirs in zip(CALLS, expected[family], strict=True):
        answer: Any = handler.predict({"inputs": item, "parameters": parameters})
        found, wanted = as_list(answer), as_list(theirs)
        # Where too little can be an answer, the pipeline makes up spans that end before they
        # begin, with a score of nothing.
        wanted = [span for span in wanted if span["score"] > 0 or len(wanted) == 1]
        scores = [span.pop("score") for span in found]
        assert scores == pytest.approx([span.pop("score") for span in wanted], abs=1e-4), item
        assert found == wanted, item
        # The pipeline gives a lone answer bare, however many were asked for.
        assert isinstance(answer, list) == (parameters.get("top_k", 1) > 1), item
        places |= {(span["start"], span["end"]) for span in found}
    assert len(places) > len(ITEMS), "the same place for all is no comparison"
