"""`portside doctor`: what would go wrong, and what went wrong, each with the way to mend it.

    project folder ──┐
    this machine   ──┼─ gather ─▶ facts ─ checks ─▶ findings
    AWS account    ──┘  (edge)    (values)  (pure)
    log lines, FailureReason ─────────── symptoms ─▶ findings

`table` names every check with its source; `finding` has the values. Facts are gathered once, in a
`gather` module of each part, and no check looks at anything else: a check is a small function that
a test calls with a value. The user's code is parsed, never imported.
"""
