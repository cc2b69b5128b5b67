"""docker and podman, whichever is there: found, asked, told what to run.

    finder ─▶ Engine ─▶ command (argument lists, as values) ─▶ runner (the one place that runs them)

Their command lines are used, not their APIs: `docs/decisions/0012-engine-command-line.md`.
"""
