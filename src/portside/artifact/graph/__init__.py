"""From weights to a graph that onnxruntime runs: `export` makes it, `optimize` makes it int8."""
