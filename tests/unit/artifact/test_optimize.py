from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portside.artifact.graph.optimize import Quantizer
from portside.artifact.graph.recipe import Recipe
from portside.errors import MissingToolError

if TYPE_CHECKING:
    from pathlib import Path


def test_says_what_to_install(tmp_path: Path):
    graph, inputs = tmp_path / "model.onnx", tmp_path / "inputs.json"
    graph.write_text("graph")
    inputs.write_text("[]")
    quantizer = Quantizer(
        [graph], inputs, tmp_path / "cache", is_installed=lambda name: name != "onnx"
    )

    with pytest.raises(MissingToolError, match="int8: `onnx` not installed") as caught:
        quantizer.quantize(Recipe())

    assert "portside[export]" in (caught.value.hint or "")
    assert not (tmp_path / "cache").exists()
