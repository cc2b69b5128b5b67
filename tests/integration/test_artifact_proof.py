"""A whole `portside package` of a checkpoint: exported, quantized, proven on samples, reported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portside.archive import unpack

# In a process of its own: torch need not be loaded into the tests' one.
MAKE_CHECKPOINT = """
import sys, torch, transformers
from tokenizers import Tokenizer, models, pre_tokenizers

words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ada", "lives", "in", "oslo", "bo", "paints"]
tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
transformers.PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]",
).save_pretrained(sys.argv[1])
torch.manual_seed(1)
# A question's answer has two scores for each token: where it begins and where it ends.
labels = ["O", "B-PER", "B-LOC"][: 2 if "Question" in sys.argv[2] else 3]
config = transformers.DistilBertConfig(
    vocab_size=40, dim=32, n_layers=1, n_heads=4, hidden_dim=64,
    id2label=dict(enumerate(labels)), label2id={label: n for n, label in enumerate(labels)})
model = getattr(transformers, sys.argv[2])(config)
with torch.no_grad():
    # A direction for each label, in the words and in the classifier.
    rows = model.base_model.embeddings.word_embeddings.weight
    rows[:, :3] = 0
    for word in range(len(words)):
        label = {"ada": 1, "bo": 1, "oslo": 2}.get(words[word], 0)
        rows[word, label] = 3
    if hasattr(model, "classifier"):
        model.classifier.weight.zero_()
        model.classifier.weight[:, :3] = torch.eye(3) * 3
model.save_pretrained(sys.argv[1])
"""

SAMPLES = "ada\tB-PER\nlives\tO\nin\tO\noslo\tB-LOC\n\nbo\tB-PER\npaints\tB-LOC\n"
"""The last label is one that the model does not find."""

TOML = """
[model]
path = "model"
precision = "int8"
samples = "dev.conll"
[model.gate]
agreement = 0.9
"""


def make_checkpoint(folder: Path, architecture: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", MAKE_CHECKPOINT, str(folder), architecture]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    make_checkpoint(folder / "model", "DistilBertForTokenClassification")
    (folder / "dev.conll").write_text(SAMPLES)
    (folder / "portside.toml").write_text(TOML)
    return folder


@pytest.fixture(scope="module")
def packaged(project: Path) -> subprocess.CompletedProcess[str]:
    return package(project, "--json")


def package(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portside", "package", str(project), *options],
        capture_output=True,
        text=True,
        check=False,
    )


def forms(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from report["candidates"]


def test_int8_goes_in_with_its_proof(project: Path, packaged: subprocess.CompletedProcess[str]):
    assert packaged.returncode == 0, packaged.stderr

    made = json.loads(packaged.stdout)
    report = made["report"]
    assert report["chosen"] == "int8"
    assert [form["name"] for form in forms(report)] == ["fp32", "int8"]
    assert report["samples"] == {"source": "dev.conll", "texts": 2, "labeled": True}
    # Of four entities the model finds three, and nothing else.
    for form in forms(report):
        assert form["f1_before_points"] == form["f1_after_points"] == pytest.approx(600 / 7)
        assert form["agreement"] == 1
    fp32, int8 = forms(report)
    assert fp32["largest_difference"] < 1e-3 < int8["largest_difference"]
    assert int8["size_bytes"] < fp32["size_bytes"]
    folder = project / ".portside"
    assert json.loads((folder / "report.json").read_text()) == report
    assert "int8" in (folder / "report.html").read_text()


def test_the_artifact_answers(
    project: Path, packaged: subprocess.CompletedProcess[str], tmp_path: Path
):
    unpack(Path(json.loads(packaged.stdout)["path"]), tmp_path / "model")
    ask = (
        "import sys; from pathlib import Path;"
        "from portside.serving.handlers.task import load_task;"
        "print([(e.entity_group, e.word) for e in load_task(Path(sys.argv[1]))"
        ".predict('bo lives in oslo')])"
    )

    done = subprocess.run(
        [sys.executable, "-c", ask, str(tmp_path / "model")],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "[('PER', 'bo'), ('LOC', 'oslo')]"


def test_again_it_asks_nothing_anew_and_makes_the_same_bytes(
    project: Path, packaged: subprocess.CompletedProcess[str]
):
    before = json.loads(packaged.stdout)
    kept = sorted(path.name for path in (project / ".portside").iterdir())

    again = json.loads(package(project, "--json").stdout)

    assert again["digest"] == before["digest"]
    assert again["report"]["candidates"] == before["report"]["candidates"]
    assert sorted(path.name for path in (project / ".portside").iterdir()) == kept


def test_other_labels_are_another_proof(
    project: Path, packaged: subprocess.CompletedProcess[str], tmp_path: Path
):
    other = tmp_path / "project"
    shutil.copytree(project, other)
    config = other / "model/config.json"
    config.write_text(config.read_text().replace('"B-LOC"', '"B-ORG"'))

    report = json.loads(package(other, "--json").stdout)["report"]

    # `oslo` is no organization, so two are right of four that were found and four that are there.
    before = json.loads(packaged.stdout)["report"]["candidates"][0]["f1_before_points"]
    assert report["candidates"][0]["f1_before_points"] < before


@pytest.mark.parametrize(
    ("architecture", "samples"),
    [
        ("DistilBertForSequenceClassification", '{"text": "ada lives", "label": "B-PER"}\n"oslo"'),
        ("DistilBertForQuestionAnswering", '{"question": "bo", "context": "ada lives in oslo"}'),
        ("DistilBertModel", '"ada lives in oslo"'),
    ],
)
def test_each_task_is_proven(tmp_path: Path, architecture: str, samples: str):
    make_checkpoint(tmp_path / "model", architecture)
    (tmp_path / "samples.jsonl").write_text(samples)
    (tmp_path / "portside.toml").write_text(
        '[model]\nprecision = "fp32"\nsamples = "samples.jsonl"'
    )

    done = package(tmp_path, "--json")

    assert done.returncode == 0, done.stderr
    [fp32] = forms(json.loads(done.stdout)["report"])
    assert fp32["verdict"] == "chosen"
    assert fp32["agreement"] == pytest.approx(1)


def test_samples_that_the_model_cannot_answer_are_an_error_with_a_log(project: Path):
    samples = project / "bodies.jsonl"
    samples.write_text('{"question": "Who?", "context": "ada"}\n')

    done = package(project, "--samples", str(samples))

    assert done.returncode == 1
    assert "cannot ask" in done.stderr
    [log] = (project / ".portside").glob("answers-*.log")
    assert str(log) in done.stderr
