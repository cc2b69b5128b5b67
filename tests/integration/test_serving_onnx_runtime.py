"""The backend on graphs made by hand: names, types, and what is said of a file that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portside.errors import PortsideError
from portside.serving.backends.onnx_runtime import OnnxRuntime

onnx = pytest.importorskip("onnx")

IDS = np.array([[1, 2, 3], [4, 0, 0]], dtype=np.int64)


def save(
    path: Path,
    *outputs: str,
    input_type: int = onnx.TensorProto.INT64,
    output_type: int = onnx.TensorProto.FLOAT,
) -> Path:
    """A graph whose outputs are its input, as a float: once, twice, and so on as large."""
    nodes = [onnx.helper.make_node("Cast", ["input_ids"], ["ids"], to=output_type)]
    constants = []
    for number, name in enumerate(outputs, start=1):
        factor = np.array(number, dtype=onnx.helper.tensor_dtype_to_np_dtype(output_type))
        constants.append(onnx.numpy_helper.from_array(factor, name=f"factor-{number}"))
        nodes.append(onnx.helper.make_node("Mul", ["ids", f"factor-{number}"], [name]))
    shape = ["texts", "tokens"]
    graph = onnx.helper.make_graph(
        nodes,
        "made by hand",
        [onnx.helper.make_tensor_value_info("input_ids", input_type, shape)],
        [onnx.helper.make_tensor_value_info(name, output_type, shape) for name in outputs],
        constants,
    )
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


def test_outputs_are_found_by_name(tmp_path: Path):
    path = save(tmp_path / "m.onnx", "pooler_output", "end_logits", "start_logits")

    backend = OnnxRuntime(path, outputs=("start_logits", "end_logits"))
    starts, ends = backend.run({"input_ids": IDS})

    assert list(backend.input_names) == ["input_ids"]
    np.testing.assert_array_equal(starts, 3 * IDS)
    np.testing.assert_array_equal(ends, 2 * IDS)


def test_where_they_have_other_names_the_first_are_taken(tmp_path: Path):
    path = save(tmp_path / "m.onnx", "token_embeddings", "sentence_embedding")

    [found] = OnnxRuntime(path, outputs=("last_hidden_state",)).run({"input_ids": IDS})

    np.testing.assert_array_equal(found, IDS)


def test_a_graph_with_too_few_outputs_is_refused(tmp_path: Path):
    path = save(tmp_path / "m.onnx", "logits")

    with pytest.raises(PortsideError, match=r"1 outputs, not `start_logits`, `end_logits`"):
        OnnxRuntime(path, outputs=("start_logits", "end_logits"))


def test_smaller_types_on_either_side(tmp_path: Path):
    path = save(
        tmp_path / "m.onnx",
        "logits",
        input_type=onnx.TensorProto.INT32,
        output_type=onnx.TensorProto.FLOAT16,
    )

    [found] = OnnxRuntime(path, outputs=("logits",)).run({"input_ids": IDS})

    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, IDS)


def test_what_is_no_graph_is_told(tmp_path: Path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"no graph")

    with pytest.raises(PortsideError, match=r"cannot load `.*m\.onnx` with onnxruntime"):
        OnnxRuntime(path, outputs=("logits",))
