"""A step for `run_apart` that does what it is told, word by word.

say       a line of progress
write     a file into OUTPUT
fill      a file of 4 MB, in pieces
scratch   a temporary file, which stays
wait      a minute
fail      with a traceback
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from portside.artifact.apart import steps


def main() -> None:
    *words, output = sys.argv[1:]
    with steps() as say:
        for word in words:
            match word:
                case "say":
                    say("under way")
                case "write":
                    (Path(output) / "graph").write_text("whole")
                case "fill":
                    with (Path(output) / "graph").open("wb", buffering=0) as file:
                        for _ in range(64):
                            file.write(bytes(1 << 16))
                case "scratch":
                    tempfile.mkstemp()
                case "wait":
                    time.sleep(60)
                case "fail":
                    sys.stdout.write("printed")
                    raise RuntimeError("no luck")


if __name__ == "__main__":
    main()
