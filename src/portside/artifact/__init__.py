"""From what training left in a folder to the `model.tar.gz` that an endpoint runs.

    folder ──content──▶ files, leftovers ──checkpoint──▶ what it holds, which weights
                                                              │
              safetensors and no code of the user's ──export──▶ model.onnx, compared with torch
                                                              │
    inference.py ──handler──▶ code/ ─────────────────bundle───▶ model.tar.gz

`bundle.package` is the way in. Only `export_process` imports torch, in a process
of its own that ends when the export is done.
"""
