from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from portside.local.instance.confinement import confined, hidden_by_tmp


def test_the_command_line_holds_what_the_program_reads_back() -> None:
    command = confined(
        ("python", "-c", "pass"), temp=Path("/d/tmp"), shown=[Path("/m"), Path("/v")]
    )

    assert command[:4] == (sys.executable, "-I", "-S", "-c")
    assert command[-7:] == ("/d/tmp", "/m", "/v", "--", "python", "-c", "pass")


def test_what_lies_in_tmp_is_shown_once_and_tmp_itself_never() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name).resolve()
        (folder / "venv" / "lib").mkdir(parents=True)
        (folder / "link").symlink_to(folder / "venv")
        places = [Path("/"), Path("/tmp"), Path("/usr"), folder / "none", folder / "link"]

        hidden = hidden_by_tmp([*places, folder / "venv" / "lib", folder / "venv"])

    assert hidden == [folder / "venv"]
