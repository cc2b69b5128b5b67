"""The serving runtime: what runs in the instance and answers `/ping` and `/invocations`.

Reading order: `server` (the process), `app` (the request path), `handler` (whose
code answers), `tasks` (a checkpoint's own task), `backends` (what runs the weights).
"""
