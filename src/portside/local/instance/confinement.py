"""Become another program that stands where a serverless instance stands on AWS.

    confinement TEMP_FOLDER [FOLDER…] -- COMMAND [ARGUMENT…]

    user of its own ─▶ closed /dev/shm ─▶ temp folder as /tmp ─▶ the rest read-only ─▶ COMMAND
    where that is not allowed: no writing outside the temp folder and /tmp ─▶ COMMAND

Serverless endpoints run on AWS Lambda: an unprivileged user who owns no file of the image, a tree
of which only `/tmp` can be written to, no `/dev/shm`. SageMaker's own documents tell only that
files of the image may not be writable (DG serverless-endpoints-troubleshooting).

A user namespace makes the user: outside it the process is still the user who started the local
SageMaker, so that it can read the virtual environment and the model wherever they lie. It is no
wall against a program that means harm. What the machine does not allow is said in a line of the
instance's log, because this program shares its output with COMMAND.

A program of its own (`alone`) with nothing imported but the standard library, as `leash` is, and
for the same reasons. Linux only; elsewhere it says so.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from portside.local.instance import kernel
from portside.local.instance.alone import alone

USER_ID, GROUP_ID = 993, 990
"""Of `sbx_user1051`, as whom programs run in AWS Lambda."""
USER_NAME = "sbx_user1051"

_COMMAND_FOLLOWS = "--"
_TMP = Path("/tmp")  # noqa: S108  it is replaced by a folder that is the instance's alone
_SHM = Path("/dev/shm")  # noqa: S108  it is closed

_SYS_LANDLOCK_CREATE_RULESET = 444  # Linux 5.13
_SYS_LANDLOCK_ADD_RULE = 445
_SYS_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_WRITE_FILE = 1 << 1  # <linux/landlock.h>
_WRITES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # remove and make, of any kind
_TRUNCATE, _TRUNCATE_SINCE = 1 << 14, 3  # version 3 of Landlock's interface
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def confined(command: tuple[str, ...], *, temp: Path, shown: Iterable[Path]) -> tuple[str, ...]:
    """The command line that starts `command` confined, with `temp` as its temp folder.

    `shown`: folders that it must find where they are, even if they lie in `/tmp`, which it does
    not see.
    """
    folders = (str(folder) for folder in (temp, *shown))
    return alone(__name__, *folders, _COMMAND_FOLLOWS, *command)


def main() -> None:
    """Confine this process as far as the machine allows, say what it does not, and exec."""
    end = sys.argv.index(_COMMAND_FOLLOWS)
    temp, *shown = (Path(folder) for folder in sys.argv[1:end])
    command = sys.argv[end + 1 :]
    for complaint in confine(temp, shown):
        sys.stdout.write(f"{complaint}\n")
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606  turning into the command is its purpose


def confine(temp: Path, shown: list[Path]) -> list[str]:
    """Confine this process; what could not be done, in the words for the instance's log."""
    if sys.platform != "linux":
        return [_could_not("confine this instance as serverless does", "that needs Linux")]
    kernel.process_control(kernel.PR_SET_NO_NEW_PRIVS, 1)
    try:
        enter_namespaces(USER_ID, GROUP_ID)
        _close_shared_memory()
        _lay_out(temp, [temp, *shown])
    except OSError as error:
        goal = "give this instance a user, a read-only tree and a /tmp of its own"
        return [_could_not(goal, error.strerror), *_confine_writes(temp)]
    return []


def _could_not(goal: str, reason: str | None) -> str:
    return f"Portside could not {goal}: {reason}"


# --- With namespaces ---------------------------------------------------------


def enter_namespaces(user_id: int, group_id: int) -> None:
    """Another user, with mounts of its own. Capabilities in them last until the next exec."""
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
    Path("/proc/self/setgroups").write_text("deny")  # else gid_map is refused: user_namespaces(7)
    Path("/proc/self/uid_map").write_text(f"{user_id} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group_id} {group} 1")
    kernel.mount("none", "/", kernel.MS_REC | kernel.MS_PRIVATE)


def _close_shared_memory() -> None:
    """Hide /dev/shm behind an empty file system that nobody may even look into."""
    if _SHM.is_dir():
        kernel.mount("tmpfs", str(_SHM), 0, kind="tmpfs", options="mode=0,size=4k")
        kernel.set_mount(str(_SHM), on=kernel.ATTR_RDONLY)


def _lay_out(temp: Path, shown: list[Path]) -> None:
    """The temp folder in the place of /tmp; all but it read-only."""
    hidden = hidden_by_tmp(shown)
    handles = [os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in hidden]
    temp_handle = os.open(temp, os.O_PATH | os.O_DIRECTORY)
    kernel.mount(str(temp), str(_TMP), kernel.MS_BIND)
    for folder, handle in zip(hidden, handles, strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        kernel.mount(f"/proc/self/fd/{handle}", str(folder), kernel.MS_BIND | kernel.MS_REC)
    kernel.mount(f"/proc/self/fd/{temp_handle}", str(temp), kernel.MS_BIND)
    kernel.set_mount("/", on=kernel.ATTR_RDONLY, recursive=True)
    for folder in (_TMP, temp):
        kernel.set_mount(str(folder), off=kernel.ATTR_RDONLY)


def hidden_by_tmp(folders: Iterable[Path]) -> list[Path]:
    """The folders that lie in `/tmp`, but for those that lie in another of them."""
    real = {folder.resolve() for folder in folders if folder.is_dir()}
    inside = {folder for folder in real if _TMP.resolve() in folder.parents}
    return sorted(folder for folder in inside if inside.isdisjoint(folder.parents))


# --- With Landlock -----------------------------------------------------------


def _confine_writes(temp: Path) -> list[str]:
    """No writing but to the temp folder, `/tmp` and some devices."""
    try:
        _restrict_writes([temp, _TMP], _DEVICES)
    except OSError as error:
        return [_could_not("keep this instance from writing where it likes", error.strerror)]
    return [f"Portside lets it write to {temp} and {_TMP} only, and not to {_SHM} (Landlock)"]


def _restrict_writes(folders: Iterable[Path], files: Iterable[str]) -> None:
    version = kernel.syscall(
        _SYS_LANDLOCK_CREATE_RULESET,
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint(_LANDLOCK_CREATE_RULESET_VERSION),
    )
    writes = _WRITES | (_TRUNCATE if version >= _TRUNCATE_SINCE else 0)
    handled = ctypes.c_uint64(writes)
    rules = kernel.syscall(
        _SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), ctypes.c_uint(0)
    )
    for path in folders:
        _allow(rules, path, writes)
    for file in files:
        _allow(rules, Path(file), writes & (_WRITE_FILE | _TRUNCATE))
    kernel.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint(0))


def _allow(rules: int, path: Path, access: int) -> None:
    if not path.exists():
        return
    handle = os.open(path, os.O_PATH)
    rule = _PathBeneath(allowed_access=access, parent_fd=handle)
    kernel.syscall(
        _SYS_LANDLOCK_ADD_RULE,
        ctypes.c_int(rules),
        ctypes.c_int(_LANDLOCK_RULE_PATH_BENEATH),
        ctypes.byref(rule),
        ctypes.c_uint(0),
    )
    os.close(handle)
