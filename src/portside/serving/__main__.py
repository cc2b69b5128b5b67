"""`python -m portside.serving` starts the runtime, as the console script `serve` does."""

from __future__ import annotations

import sys

from portside.serving.server import main

if __name__ == "__main__":
    sys.exit(main())
