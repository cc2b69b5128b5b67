"""The confinement of a serverless instance, with a small program in the instance's place.

Each test says what must hold where the machine allows it, and is skipped with the machine's own
words where it does not.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portside.local.instance.confinement import USER_ID, confined

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has what it needs")

WITHOUT_USER_NAMESPACES = (
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"',
    "sh",
)
"""A machine that allows no user namespaces, made of one that does."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in /tmp, which an instance does not see, wherever pytest has its own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        (Path(name) / "temp").mkdir()
        (Path(name) / "model").mkdir()
        (Path(name) / "model" / "weights").write_text("weights")
        yield Path(name)


def run(folder: Path, program: str, *, around: tuple[str, ...] = ()) -> str:
    """What a program printed that ran confined."""
    command = confined(
        (sys.executable, "-c", program),
        temp=folder / "temp",
        shown=[folder / "model", Path(sys.prefix), Path(sys.base_prefix)],
    )
    done = subprocess.run(
        [*around, *command], capture_output=True, text=True, check=False, timeout=30, cwd=folder
    )
    if around and done.returncode and "unshare" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    if not around and "Portside could not" in done.stdout:
        pytest.skip(done.stdout.strip())
    return done.stdout


def test_it_is_nobody_and_cannot_become_somebody(folder: Path) -> None:
    out = run(
        folder,
        "import os\n"
        "print(os.getuid(), [line.split()[1] for line in open('/proc/self/status')"
        " if line.startswith(('CapEff', 'NoNewPrivs'))])",
    )

    assert out == f"{USER_ID} ['0000000000000000', '1']\n"


def test_its_tmp_is_its_temp_folder_and_what_it_needs_in_tmp_is_there(folder: Path) -> None:
    out = run(
        folder,
        "import os, pathlib\n"
        "pathlib.Path('/tmp/in-tmp').write_text('x')\n"
        f"pathlib.Path('{folder}/temp/in-temp').write_text('x')\n"
        f"print(open('{folder}/model/weights').read(), os.path.exists('/tmp/in-temp'))",
    )

    assert out == "weights True\n"
    assert {"in-tmp", "in-temp"} <= {path.name for path in (folder / "temp").iterdir()}
    assert not Path("/tmp/in-tmp").exists()


@pytest.mark.parametrize("place", ["{folder}/model", "/usr", "/dev", "/var/tmp", "."])
def test_nothing_else_can_be_written_to(folder: Path, place: str) -> None:
    file = f"{place.format(folder=folder)}/portside-confinement-test"

    out = run(
        folder,
        f"try: open('{file}', 'w')\nexcept OSError as error: print(error.strerror)",
    )

    assert out == "Read-only file system\n"


def test_mounts_cannot_be_undone(folder: Path) -> None:
    out = run(
        folder,
        "import ctypes\n"
        "libc = ctypes.CDLL(None)\n"
        "print(libc.umount2(b'/dev/shm', 2), libc.mount(b'', b'/', None, 4096 | 32, None))",
    )

    assert out == "-1 -1\n"


def test_where_namespaces_are_not_allowed_it_says_so_and_writes_are_refused(folder: Path) -> None:
    out = run(
        folder,
        "import os\n"
        f"places = ['{folder}/temp', '/dev/shm', '/usr']\n"
        "for place in places:\n"
        "    try: open(f'{place}/portside-confinement-test', 'w').write('x')\n"
        "    except OSError as error: print(error.strerror)\n"
        "    else: print('done')\n"
        "open('/dev/null', 'w').write('x')\n",
        around=WITHOUT_USER_NAMESPACES,
    )

    lines = out.splitlines()
    assert lines[0].startswith(
        "Portside could not give this instance a user, a read-only tree and a /tmp of its own: "
    )
    if "could not keep" in lines[1]:
        pytest.skip(lines[1])
    assert lines[1].endswith("(Landlock)")
    assert lines[2:] == ["done", "Permission denied", "Permission denied"]
