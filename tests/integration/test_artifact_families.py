"""Every family and every task that is exported, as tiny random models, against torch's answers.

All models are made, exported and asked in one process: to import torch and transformers
takes longer than to export one of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from portside.artifact.folder.architecture import MODEL_TYPE_BY_FAMILY, TASK_BY_HEAD
from portside.artifact.folder.checkpoint import read_checkpoint
from portside.serving.handlers.task import load_task

if TYPE_CHECKING:
    import numpy.typing as npt

MAKE_AND_EXPORT = """
import json, sys, warnings
from dataclasses import asdict
from pathlib import Path

import numpy, torch, transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from portside.artifact.folder.checkpoint import read_checkpoint
from portside.artifact.graph import export_process
from portside.artifact.graph.export import Export
from portside.artifact.graph.torch_model import load_model
from portside.artifact.proof import answer_process
from portside.artifact.proof.examination import Examination, Original, Request
from portside.artifact.proof.likeness import compare
from portside.artifact.proof.sample_file import read_samples
from portside.errors import BuildError

# Weights so large that every token and each position changes the answer.
COMMON = dict(vocab_size=40, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
              hidden_size=32, max_position_embeddings=66, initializer_range=0.4)
CONFIGS = {
    "Albert": dict(embedding_size=16, num_hidden_layers=2),
    "Camembert": dict(type_vocab_size=1),
    "DebertaV2": dict(relative_attention=True, position_buckets=16, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False,
        type_vocab_size=0),
    "Deberta": dict(relative_attention=True, pos_att_type=["p2c", "c2p"],
        position_biased_input=False, type_vocab_size=0),
    "Electra": dict(embedding_size=16),
    "ModernBert": dict(pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2,
        sep_token_id=3, num_hidden_layers=2, global_attn_every_n_layers=2, local_attention=8),
    "Roberta": dict(type_vocab_size=1),
    "XLMRoberta": dict(type_vocab_size=1),
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ada", "lives"]
WORDS += [f"w{n}" for n in range(40 - len(WORDS))]


def make(architecture, weights, tokenizer, folder):
    family = architecture.split("For")[0].removesuffix("Model")
    labels = {0: "O", 1: "B-x", 2: "I-x"} if "Classification" in architecture else {}
    known = dict(id2label=labels, label2id={v: k for k, v in labels.items()}) if labels else {}
    known |= dict(problem_type="multi_label_classification") if family == "Electra" else {}
    config = getattr(transformers, f"{family}Config")(
        **{**COMMON, **CONFIGS.get(family, {}), **known})
    torch.manual_seed(1)
    model = getattr(transformers, architecture)(config).eval()
    model.save_pretrained(folder, max_shard_size="30KB" if weights == "shards" else "1GB")
    if weights == "pickle":
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    vocabulary = {word: n for n, word in enumerate(WORDS)}
    if family == "Bert":
        transformers.BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    else:
        made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        made.pre_tokenizer = pre_tokenizers.Whitespace()
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]",
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        ).save_pretrained(folder)
    if tokenizer == "vocab.txt":
        (folder / "tokenizer.json").rename(folder.with_suffix(".json"))
        (folder / "vocab.txt").write_text("\\n".join(WORDS))
    return model


def answer(model, task, path):
    ids = torch.randint(4, 40, (3, 24), generator=torch.Generator().manual_seed(2))
    mask, types = torch.ones_like(ids), torch.zeros_like(ids)
    mask[2, 7:] = 0
    types[:, 5:] = 1
    given = {"input_ids": ids, "attention_mask": mask}
    if getattr(model.config, "type_vocab_size", 0) > 1:
        given["token_type_ids"] = types
    with torch.no_grad():
        outputs = model(**given)
    expected = {name: outputs[name] for name in export_process.OUTPUTS_BY_TASK[task]}
    numpy.savez(path, **{name: array.numpy() for name, array in {**given, **expected}.items()})


def run(case, folder):
    model = make(case["architecture"], case["weights"], case["tokenizer"], folder)
    checkpoint = read_checkpoint(folder, has_handler=False, allow_pickle=True)
    answer(model, checkpoint.task, folder / "answer.npz")
    (folder / "out").mkdir()
    weights = [file.source for file in checkpoint.model.weights]
    report = export_process.export(
        folder, checkpoint.task, weights=weights, output=folder / "out", say=lambda step: None)
    found = {"report": report, "summary": checkpoint.summary}
    if case["samples"]:
        (folder / "out/export.json").write_text(json.dumps(report))
        (folder / "samples.jsonl").write_text(case["samples"])
        found |= ask(checkpoint, folder)
        (folder / "out/export.json").unlink()
        (folder / "samples.jsonl").unlink()
    return found


def ask(checkpoint, folder):
    samples = read_samples(folder / "samples.jsonl", checkpoint.task,
        labels=checkpoint.labels, exclusive=checkpoint.exclusive_labels)
    graph = Export(files=tuple(sorted((folder / "out").glob("model.onnx*"))),
        largest_difference=0)
    examination = Examination(checkpoint, graph, samples, strategy="first",
        cache=folder.with_suffix(".cache"), progress=lambda step: None, run=answer_here)
    original, figures = examination.ask_original()
    other, _ = examination.ask(graph.files)
    likeness = compare(checkpoint.task, samples.items, original=original, other=other)
    return {
        "likeness": asdict(likeness),
        "found": [sorted(each) for each in original.found],
        "numbers": original.numbers.tolist(),
        "vectors": [list(vector.shape) for vector in original.vectors],
    }


def answer_here(module, arguments, folder, **others):
    fields = json.loads(Path(arguments[0]).read_text())
    original = fields.pop("original")
    folder.mkdir()
    answer_process.answer(
        Request(**fields, original=Original(**original) if original else None), folder)


def refuse(folder):
    part = folder.with_suffix(".safetensors")
    save_file({"classifier.weight": torch.zeros(3, 32)}, part)
    try:
        load_model(folder, "text-classification", [part])
    except BuildError as error:
        return error.message


warnings.simplefilter("ignore")
transformers.logging.disable_progress_bar()
root = Path(sys.argv[1])
for case in json.loads(sys.argv[2]):
    folder = root / case["architecture"]
    folder.mkdir()
    try:
        found = run(case, folder)
    except Exception as error:
        found = {"error": repr(error)}
    (folder / "found.json").write_text(json.dumps(found))
(root / "refused.json").write_text(json.dumps(refuse(root / "ElectraForSequenceClassification")))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    architecture: str
    weights: str = "safetensors"
    tokenizer: str = "tokenizer.json"
    samples: str = ""
    """What it is asked, as lines of JSON."""


CASES = [
    Case(architecture="AlbertForTokenClassification"),
    Case(architecture="BertForTokenClassification", tokenizer="vocab.txt"),
    Case(architecture="CamembertForSequenceClassification"),
    Case(architecture="DebertaForSequenceClassification"),
    Case(architecture="DebertaV2ForTokenClassification"),
    Case(
        architecture="DistilBertForSequenceClassification",
        weights="pickle",
        samples='{"text": "ada lives", "label": 1}\n{"text": "w1", "label": "O"}',
    ),
    Case(
        architecture="ElectraForSequenceClassification",
        samples="\n".join(f'{{"text": "w{n} ada", "label": ["O", 2]}}' for n in range(9)),
    ),
    Case(architecture="MPNetModel", weights="shards", samples='"ada lives"\n"w1"'),
    Case(architecture="ModernBertForTokenClassification"),
    Case(architecture="RobertaForTokenClassification"),
    Case(
        architecture="XLMRobertaForQuestionAnswering",
        samples='{"question": "ada", "context": "w1 w2 lives"}',
    ),
]

OUTPUTS = {
    "ForTokenClassification": ["logits"],
    "ForSequenceClassification": ["logits"],
    "ForQuestionAnswering": ["start_logits", "end_logits"],
    "Model": ["last_hidden_state"],
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("families")
    cases = json.dumps([asdict(case) for case in CASES])
    command = [sys.executable, "-W", "ignore", "-c", MAKE_AND_EXPORT, str(root), cases]
    subprocess.run(command, check=True, capture_output=True)
    return root


def found(root: Path, architecture: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((root / architecture / "found.json").read_text())
    assert "error" not in read, read["error"]
    return read


def test_every_family_and_every_task_has_a_case():
    names = {case.architecture for case in CASES}
    heads = {head for head in TASK_BY_HEAD for name in names if name.endswith(head)}
    families = {name.removesuffix(head) for name in names for head in heads if name.endswith(head)}

    assert families == MODEL_TYPE_BY_FAMILY.keys()
    assert heads == TASK_BY_HEAD.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.architecture)
def test_the_graph_answers_as_torch_does(case: Case, exported: Path):
    folder = exported / case.architecture
    report = found(exported, case.architecture)["report"]

    assert report["largest_difference"] < 1e-4
    answer = np.load(folder / "answer.npz")
    session = onnxruntime.InferenceSession(folder / "out/model.onnx")
    names = [node.name for node in session.get_inputs()]
    assert names == report["inputs"]
    outputs = next(names for head, names in OUTPUTS.items() if case.architecture.endswith(head))
    assert [node.name for node in session.get_outputs()] == outputs
    for name, output in zip(
        outputs, session.run(None, {each: answer[each] for each in names}), strict=True
    ):
        kept = kept_rows(answer["attention_mask"], output)
        # A model that says the same of everything would make any graph look right.
        assert answer[name][kept].std() > 0.1
        np.testing.assert_allclose(output[kept], answer[name][kept], atol=1e-4)


def kept_rows(mask: npt.NDArray[Any], output: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Those that are not padding; a text has one row where the output is of texts."""
    tokens: npt.NDArray[np.bool_] = mask.astype(bool)
    return tokens if output.shape[:2] == mask.shape else np.ones(len(mask), dtype=bool)


ASKED = [case for case in CASES if case.samples]


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case.architecture)
def test_the_graph_is_proven_on_samples(case: Case, exported: Path):
    proven = found(exported, case.architecture)

    assert proven["likeness"]["agreement"] == pytest.approx(1)
    assert proven["likeness"]["largest_difference"] < 1e-4
    is_scored = "label" in case.samples
    assert (proven["likeness"]["f1_before"] is not None) == is_scored
    if case.architecture.endswith("Model"):
        # A text's vectors, one of each token and all in one row.
        assert proven["vectors"] == [[2 * 32], [1 * 32]]
    else:
        assert len(proven["found"]) == len(case.samples.splitlines())


def test_labels_that_do_not_exclude_each_other_are_all_that_are_likely(exported: Path):
    proven = found(exported, "ElectraForSequenceClassification")
    names = ("B-x", "I-x", "O")
    logits = np.array(proven["numbers"]).reshape(-1, 3)[:, [1, 2, 0]]

    # The sigmoid of a logit above 0 is above a half.
    expected = [
        [[name] for name, logit in zip(names, row, strict=True) if logit > 0] for row in logits
    ]
    assert proven["found"] == expected
    assert len({len(labels) for labels in expected}) > 1


def test_weights_that_lack_something_are_not_filled_with_random_numbers(exported: Path):
    assert json.loads((exported / "refused.json").read_text()) == (
        "a `ElectraForSequenceClassification` has `classifier.dense.bias` and 26 more, "
        "which the weights do not have"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.architecture)
def test_it_is_served_with_no_code(case: Case, exported: Path):
    found(exported, case.architecture)
    folder = exported / case.architecture
    for file in folder.glob("out/*"):
        file.rename(folder / file.name)

    graph = read_checkpoint(folder, has_handler=False).model
    handler = load_task(folder)

    assert graph is not None
    assert [str(file.path) for file in graph.files] == ["model.onnx", "model.onnx.data"]
    if case.architecture.endswith("ForQuestionAnswering"):
        span: Any = handler.predict({"inputs": {"question": "ada", "context": "lives ada"}})
        assert span.answer in {"lives", "ada", "lives ada"}
        return
    answers: Any = handler.predict({"strings": ["ada lives"]})
    [answer] = answers
    if case.architecture.endswith("Model"):
        assert answer.shape[0] == 1
        assert answer.shape[2] == 32
    elif case.architecture.endswith("ForSequenceClassification"):
        assert answer.label in {"O", "B-x", "I-x"}
    else:
        assert all(entity.word in {"ada", "lives", "ada lives"} for entity in answer)


def test_what_was_found_is_told(exported: Path):
    def summary(architecture: str) -> str:
        return str(found(exported, architecture)["summary"])

    assert summary("MPNetModel").startswith("MPNetModel, safetensors in 2 shards, ")
    assert ", pickled weights, " in summary("DistilBertForSequenceClassification")
    assert summary("RobertaForTokenClassification").endswith(" k parameters, 3 labels")


def test_a_tokenizer_is_made_of_a_vocabulary(exported: Path):
    case = "BertForTokenClassification"
    found(exported, case)
    [made] = [*(exported / case).rglob("tokenizer.json")]
    saved = exported / f"{case}.json"

    assert json.loads(made.read_text())["model"] == json.loads(saved.read_text())["model"]
