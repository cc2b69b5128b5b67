"""From what training left in a folder to the `model.tar.gz` that an endpoint runs.

    folder    ─▶ what it is, what to take, what to leave ──────────────────┐
    handler   ─▶ code/ ───────────────────────────────────────────────────┤
    graph     ─▶ model.onnx, exported by torch; in int8 ─┐                 ├─▶ model.tar.gz
    proof     ─▶ do its forms answer as the original? ───┴─▶ the one taken ┘
    report    ─▶ report.json, report.html: what was compared, and why

`bundle.package` is the way in. torch is imported only in processes of their own
that end when their step is done (`apart`).
"""
