"""An instance as serverless runs it: no rights, a read-only disk, no `/dev/shm`, one process.

A tree is made of bind mounts in a mount namespace of its own, with nothing in it
but what a container has: the system, Python, Portside and the model, all
read-only, a handful of devices, and an empty `/tmp`. The instance runs in there
under a user that owns nothing. Needs root, as a container build does.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import portside
from tests.contract.conftest import Start
from tests.contract.instance import SENTENCE, write_program
from tests.contract.load import load
from tests.contract.wire import Target

USER: Final = 54321
"""Owns nothing, and is in no list of users."""

SYSTEM: Final = ("/bin", "/etc", "/lib", "/lib64", "/usr")
DEVICES: Final = {"null": 3, "zero": 5, "random": 8, "urandom": 9}
"""Minor numbers; all are of the memory device, 1."""

TOOLS: Final = ("unshare", "mount", "chroot", "setpriv")

CHILD_FAULTS: Final = 10
"""Place of `cminflt` in /proc/PID/stat: page faults of children that have ended. proc(5)."""


def tree_script(root: Path, *, read_only: list[Path], writable: Path) -> str:
    """A shell script that makes the tree at `root`, and runs its arguments in it."""
    lines = [f"mount -t tmpfs -o mode=755 tmpfs {root}", f"cd {root}", "mkdir -p dev proc tmp"]
    # First, because Python and Portside may lie below it, where a checkout is tried out.
    lines += [f"mount --bind {writable} tmp"]
    for path in dict.fromkeys(read_only):
        inside = shlex.quote(f".{path}")
        lines += [
            f"mkdir -p {inside}",
            f"mount --rbind {shlex.quote(str(path))} {inside}",
            f"mount -o remount,bind,ro {inside}",
        ]
    lines += ["mount -t proc proc proc || mount --rbind /proc proc"]
    lines += [f"mknod -m 666 dev/{name} c 1 {minor}" for name, minor in DEVICES.items()]
    lines += [f"mount -o remount,ro {root}"]
    rights = f"--reuid {USER} --regid {USER} --clear-groups --no-new-privs --bounding-set -all"
    lines += [f'exec chroot {root} setpriv {rights} "$@"']
    return "\n".join(["set -eu", *lines, ""])


@pytest.fixture
def confined(tmp_path: Path, rampart_model: Path) -> list[str]:
    """The words before a command that runs it in the tree, with the trained model in it."""
    if os.geteuid() != 0 or not all(map(shutil.which, TOOLS)):
        pytest.skip("a tree of mounts takes root and util-linux")
    root, writable, script = tmp_path / "root", tmp_path / "tmp", tmp_path / "confine.sh"
    root.mkdir()
    writable.mkdir()
    writable.chmod(0o777)
    read_only = [
        *(Path(path) for path in SYSTEM if Path(path).exists()),
        Path(sys.base_prefix),
        Path(sys.prefix),
        Path(portside.__file__).parents[1],
        rampart_model,
    ]
    script.write_text(tree_script(root, read_only=read_only, writable=writable), encoding="utf-8")
    prefix = ["unshare", "--mount", "--propagation", "private", "sh", str(script)]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no mount namespace here: {tried.stderr.strip()}")
    return prefix


@pytest.mark.must
def test_it_serves_without_rights_on_a_read_only_tree(
    tmp_path: Path, confined: list[str], rampart_model: Path, start: Start
):
    instance = start(rampart_model, prefix=confined, HOME="/nowhere")
    target = instance.until_ready()
    inside = Path("/proc", str(instance.process.pid))
    status = dict(
        line.split(":\t", 1)
        for line in (inside / "status").read_text().splitlines()
        if ":\t" in line
    )
    # The tree is what it claims to be.
    assert status["Uid"].split() == [str(USER)] * 4
    assert status["CapEff"].strip("0") == ""
    assert not (inside / "root/dev/shm").exists()
    assert (
        "ro,"
        in next(
            line
            for line in (inside / "mountinfo").read_text().splitlines()
            if line.split()[4] == "/"
        ).split()[5]
        + ","
    )

    predict(target)

    assert "sem." not in (inside / "maps").read_text()
    assert [path for path in (tmp_path / "tmp").rglob("*") if not path.is_dir()] == []
    assert instance.stop() == 0


@pytest.mark.must
def test_it_never_forks_and_leaves_nothing_in_shared_memory(rampart_model: Path, start: Start):
    before = set(Path("/dev/shm").iterdir())
    instance = start(rampart_model)
    target = instance.until_ready()

    predict(target)

    process = Path("/proc", str(instance.process.pid))
    _, _, numbers = (process / "stat").read_text().rpartition(") ")
    children = [path.read_text() for path in process.glob("task/*/children")]
    # The name, in parentheses, is the second of all.
    assert numbers.split()[CHILD_FAULTS - 2] == "0"
    assert set(children) == {""}
    assert set(Path("/dev/shm").iterdir()) <= before


@pytest.mark.must
def test_nothing_is_written_into_the_model_folder(tmp_path: Path, start: Start):
    model_dir = write_program(tmp_path / "model", "import beside\ndef predict(data): return data\n")
    (model_dir / "code" / "beside.py").touch()
    before = sorted(model_dir.rglob("*"))
    instance = start(model_dir)

    assert instance.until_ready().invoke(b"1").body == b"1"

    assert instance.stop() == 0
    assert sorted(model_dir.rglob("*")) == before


def predict(target: Target) -> None:
    """A few hundred predictions, single and in batches, some of them wrong."""
    texts = [SENTENCE[:cut] for cut in range(4, len(SENTENCE), 4)]
    with load(target) as seen:
        for _ in range(5):
            answer = target.invoke(json.dumps({"inputs": texts}).encode())
            assert len(json.loads(answer.body)) == len(texts)
            assert target.invoke(b"{").status == 400
    assert seen.statuses == {200}
    assert not seen.errors
