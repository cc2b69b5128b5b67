"""TorchScript served without code, and beside the functions of AWS's PyTorch container."""

from __future__ import annotations

import io
import sys
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from portside.errors import PortsideError
from portside.serving.error import InvalidBodyError, UnsupportedMediaTypeError
from portside.serving.handlers.find import load_handler
from portside.serving.invocation import Answer, Handler, Invocation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"


def save(module: torch.nn.Module, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript altogether
        torch.jit.save(torch.jit.script(module), path)
    return path


def make_linear(dtype: torch.dtype = torch.float32) -> torch.nn.Linear:
    """Doubles the first of two numbers and adds the second."""
    module = torch.nn.Linear(2, 1, bias=False, dtype=dtype)
    with torch.no_grad():
        module.weight.copy_(torch.tensor([[2.0, 1.0]]))
    return module


def ask(
    handler: Handler, body: bytes, content_type: str | None = JSON, accept: str | None = None
) -> Answer:
    job = handler.open(Invocation(body=body, content_type=content_type, accept=accept))
    return job.finish(handler.run(job.inputs))


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def from_npy(answer: Answer) -> Any:
    assert isinstance(answer.body, bytes)
    return np.load(io.BytesIO(answer.body))


@pytest.fixture(autouse=True)
def untouched_imports() -> Iterator[None]:
    path = sys.path[:]
    yield
    sys.path[:] = path
    sys.modules.pop("inference", None)


@pytest.fixture
def linear(tmp_path: Path) -> Handler:
    save(make_linear(), tmp_path / "linear.pt")
    handler = load_handler(tmp_path)
    assert not hasattr(handler, "startup")
    return handler  # type: ignore[return-value]  # not a mounted app


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"[[1, 2], [3, 4]]", JSON),
        (b"[[1, 2], [3, 4]]", None),
        (b'{"inputs": [[1, 2], [3, 4]]}', JSON),
        (b"1,2\n3,4\n", CSV),
        (b"1.0,2\n3,4\n", f"{CSV}; charset=utf-8"),
        (npy(np.array([[1, 2], [3, 4]], dtype=np.float32)), NPY),
        (npy(np.array([[1, 2], [3, 4]], dtype=np.float64)), NPY),
        (npy(np.array([[1, 2], [3, 4]], dtype=">f8")), NPY),
        (npy(np.array([[1, 3], [2, 4]], dtype=np.float16).T), NPY),
    ],
)
def test_tensors_come_as_json_csv_and_npy(linear: Handler, body: bytes, content_type: str | None):
    assert ask(linear, body, content_type).body == b"[[4.0],[10.0]]"


def test_results_go_out_as_json_csv_and_npy(linear: Handler):
    body = b"[[1, 2], [3, 4]]"

    assert ask(linear, body, accept=JSON).body == b"[[4.0],[10.0]]"
    csv = ask(linear, body, accept=CSV).body
    assert isinstance(csv, bytes)
    assert [float(line) for line in csv.split()] == [4, 10]
    array = from_npy(ask(linear, body, accept=NPY))
    assert (array.dtype, array.tolist()) == (np.float32, [[4], [10]])


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"[[1, 2, 3]]", JSON, r"shape \[1, 3\] and type `float32`: mat1 and mat2 shapes"),
        (b"[]", JSON, r"shape \[0\]"),
        (b"[[1], [1, 2]]", JSON, "of unequal length"),
        (b'[["a"]]', JSON, "expected a tensor"),
        (b'[["1", "2"]]', JSON, "expected a tensor"),
        (b"null", JSON, "expected a tensor"),
        (b'{"a": 1}', JSON, "expected a tensor"),
        (b'{"inputs": [[1, 2]], "parameters": {}}', JSON, "expected a tensor"),
        (b"a,b\n", CSV, "expected a tensor"),
        (npy(np.array([[1, 2]])), NPY, "same dtype"),
        (npy(np.array(["a"])), NPY, "send numbers"),
        (npy(np.array([{}])), NPY, "is not NPY"),
        (b"[1e999]", JSON, "JSON"),
    ],
)
def test_what_is_no_tensor_for_the_model_is_400(
    linear: Handler, body: bytes, content_type: str, message: str
):
    with pytest.raises(InvalidBodyError, match=message):
        ask(linear, body, content_type)


def test_other_types_are_415(linear: Handler):
    with pytest.raises(UnsupportedMediaTypeError):
        ask(linear, b"", "application/x-unknown")


def test_numbers_are_what_the_model_computes_in(tmp_path: Path):
    save(make_linear(torch.float64), tmp_path / "double.pth")
    handler: Any = load_handler(tmp_path)

    assert from_npy(ask(handler, b"[[0.1, 0]]", accept=NPY)).tolist() == [[0.2]]


def test_half_precision_is_written(tmp_path: Path):
    save(make_linear(torch.bfloat16), tmp_path / "half.pt")
    handler: Any = load_handler(tmp_path)

    assert ask(handler, b"[[1, 2]]").body == b"[[4.0]]"


def test_integers_reach_an_embedding_as_npy(tmp_path: Path):
    save(torch.nn.Embedding.from_pretrained(torch.eye(2)), tmp_path / "model.pt")
    handler: Any = load_handler(tmp_path)

    assert ask(handler, npy(np.array([1])), NPY).body == b"[[0.0,1.0]]"
    with pytest.raises(InvalidBodyError, match="index out of range"):
        ask(handler, npy(np.array([7])), NPY)


class Several(torch.nn.Module):
    def forward(self, data: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": data.sum(), "twice": data * 2}


def test_results_of_several_tensors_are_objects(tmp_path: Path):
    save(Several(), tmp_path / "model.pt")
    handler: Any = load_handler(tmp_path)

    assert ask(handler, b"[1, 2]").body == b'{"sum":3.0,"twice":[2.0,4.0]}'


def test_the_body_of_the_request_is_not_written_to(tmp_path: Path):
    class Spoil(torch.nn.Module):
        def forward(self, data: torch.Tensor) -> torch.Tensor:
            return data.zero_()

    save(Spoil(), tmp_path / "model.pt")
    handler: Any = load_handler(tmp_path)
    body = npy(np.ones(4, dtype=np.float32))
    before = bytes(bytearray(body))

    ask(handler, body, NPY)

    assert body == before


# --- Files -----------------------------------------------------------------------


def test_weights_alone_are_not_served_nor_unpickled(tmp_path: Path):
    torch.save(make_linear().state_dict(), tmp_path / "model.pt")

    with pytest.raises(PortsideError) as caught:
        load_handler(tmp_path)

    assert "it is not TorchScript" in caught.value.message
    assert "torch.jit.save" in (caught.value.hint or "")


def test_a_broken_file_is_told(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as archive:
        archive.writestr("model/constants.pkl", b"(lp0\n.")

    with pytest.raises(PortsideError, match=r"cannot load `.*model\.pt` as TorchScript"):
        load_handler(tmp_path)


# --- Beside the user's functions ---------------------------------------------------


def test_the_default_model_with_a_function_of_the_users(tmp_path: Path):
    save(make_linear(), tmp_path / "model.pt")
    code = tmp_path / "code" / "inference.py"
    code.parent.mkdir()
    code.write_text("def output_fn(prediction, accept): return str(prediction.tolist()), 'text/x'")
    handler: Any = load_handler(tmp_path)

    answer = ask(handler, b"[[1, 2]]")

    assert (answer.body, answer.content_type) == (b"[[4.0]]", "text/x")
    with pytest.raises(InvalidBodyError, match="mat1 and mat2"):
        ask(handler, b"[[1, 2, 3]]")


@pytest.mark.parametrize("content_type", [JSON, CSV])
@pytest.mark.parametrize("is_called_by", ["the user", "default"])
def test_the_users_module_gets_floats(tmp_path: Path, content_type: str, is_called_by: str):
    (tmp_path / "inference.py").write_text(
        """
import torch
def model_fn(model_dir):
    return torch.nn.ReLU()
"""
        + ("def predict_fn(data, model): return model(data)" if is_called_by == "the user" else "")
    )
    handler: Any = load_handler(tmp_path)

    assert ask(handler, b"[1, 2]" if content_type == JSON else b"1,2", content_type).body == (
        b"[1.0,2.0]"
    )


def test_gpu_id_is_none_without_a_gpu(tmp_path: Path):
    (tmp_path / "inference.py").write_text("""
import torch
def model_fn(model_dir, context):
    return torch.device(f"cuda:{context.system_properties.get('gpu_id')}"
                        if torch.cuda.is_available() else "cpu")
def transform_fn(model, data, content_type, accept): return str(model)
""")
    handler: Any = load_handler(tmp_path)

    assert ask(handler, b"1").body in (b"cpu", b"cuda:0")
