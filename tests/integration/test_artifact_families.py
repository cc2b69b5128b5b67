"""Every family and every task that is exported, as tiny random models, against torch's answers.

All models are made and exported in one process: to import torch and transformers
takes longer than to export one of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
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
from pathlib import Path

import numpy, torch, transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from portside.artifact.graph import export_process
from portside.artifact.folder.checkpoint import read_checkpoint

# Weights so large that every token and each position changes the answer.
COMMON = dict(vocab_size=40, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
              hidden_size=32, max_position_embeddings=66, initializer_range=0.4)
CONFIGS = {
    "Albert": dict(embedding_size=16),
    "Camembert": dict(type_vocab_size=1),
    "DebertaV2": dict(relative_attention=True, position_buckets=16, norm_rel_ebd="layer_norm",
        share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False,
        type_vocab_size=0),
    "Deberta": dict(relative_attention=True, pos_att_type=["p2c", "c2p"],
        position_biased_input=False, type_vocab_size=0),
    "Electra": dict(embedding_size=16),
    "ModernBert": dict(pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2,
        sep_token_id=3, global_attn_every_n_layers=2, local_attention=8),
    "Roberta": dict(type_vocab_size=1),
    "XLMRoberta": dict(type_vocab_size=1),
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ada", "lives"]
WORDS += [f"w{n}" for n in range(40 - len(WORDS))]


def make(architecture, weights, tokenizer, folder):
    family = architecture.split("For")[0].removesuffix("Model")
    labels = {0: "O", 1: "B-x", 2: "I-x"} if "Classification" in architecture else {}
    known = dict(id2label=labels, label2id={v: k for k, v in labels.items()}) if labels else {}
    config = getattr(transformers, f"{family}Config")(
        **COMMON, **CONFIGS.get(family, {}), **known)
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
    return {"report": report, "summary": checkpoint.summary}


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
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    architecture: str
    weights: str = "safetensors"
    tokenizer: str = "tokenizer.json"


CASES = [
    Case(architecture="AlbertForTokenClassification"),
    Case(architecture="BertForQuestionAnswering"),
    Case(architecture="BertForTokenClassification", tokenizer="vocab.txt"),
    Case(architecture="BertModel", weights="shards"),
    Case(architecture="CamembertForSequenceClassification"),
    Case(architecture="DebertaForSequenceClassification"),
    Case(architecture="DebertaV2ForSequenceClassification"),
    Case(architecture="DebertaV2ForTokenClassification"),
    Case(architecture="DistilBertForSequenceClassification", weights="pickle"),
    Case(architecture="ElectraForSequenceClassification"),
    Case(architecture="MPNetModel"),
    Case(architecture="ModernBertForTokenClassification"),
    Case(architecture="RobertaForTokenClassification"),
    Case(architecture="XLMRobertaForQuestionAnswering"),
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
    fields = [
        {"architecture": c.architecture, "weights": c.weights, "tokenizer": c.tokenizer}
        for c in CASES
    ]
    command = [sys.executable, "-W", "ignore", "-c", MAKE_AND_EXPORT, str(root), json.dumps(fields)]
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

    assert summary("BertModel").startswith("BertModel, safetensors in 3 shards, ")
    assert ", pickled weights, " in summary("DistilBertForSequenceClassification")
    assert summary("RobertaForTokenClassification").endswith(" k parameters, 3 labels")


def test_a_tokenizer_is_made_of_a_vocabulary(exported: Path):
    case = "BertForTokenClassification"
    found(exported, case)
    [made] = [*(exported / case).rglob("tokenizer.json")]
    saved = exported / f"{case}.json"

    assert json.loads(made.read_text())["model"] == json.loads(saved.read_text())["model"]
