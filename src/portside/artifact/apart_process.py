"""Run a module in a process that ends when the one that started it has, however that ended.

    python -m portside.artifact.apart_process MODULE ARGUMENTS…

Whoever is killed cannot end its children. But it alone holds the other end of their
stdin, which the system closes then, and here that is waited for.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading


def main() -> None:
    """Run the module as if `python -m` had."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)  # nobody is left to hear of it


if __name__ == "__main__":
    main()
