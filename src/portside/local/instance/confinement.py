"""Become another program that stands where a serverless instance stands on AWS.

    python -I -S confinement.py TEMP_FOLDER [FOLDER…] -- COMMAND [ARGUMENT…]

    user of its own ─▶ closed /dev/shm ─▶ temp folder as /tmp ─▶ the rest read-only ─▶ COMMAND
    where that is not allowed: no writing outside the temp folder and /tmp ─▶ COMMAND

Serverless endpoints run on AWS Lambda: an unprivileged user who owns no file of the image, a tree
of which only `/tmp` can be written to, no `/dev/shm`. SageMaker's own documents tell only that
files of the image may not be writable (DG serverless-endpoints-troubleshooting).

A user namespace makes the user: outside it the process is still the user who started the local
SageMaker, so that it can read the virtual environment and the model wherever they lie. It is no
wall against a program that means harm. What the machine does not allow is said in a line of the
instance's log, because this program shares its output with COMMAND.

Run as a script with nothing imported but the standard library, as `leash` is, and for the same
reasons. Linux only; elsewhere it says so. Numbers of system calls are the same on every
architecture since Linux 5.1.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

USER_ID, GROUP_ID = 993, 990
"""Of `sbx_user1051`, as whom programs run in AWS Lambda."""
USER_NAME = "sbx_user1051"

_COMMAND_FOLLOWS = "--"
_TMP = Path("/tmp")  # noqa: S108  it is replaced by a folder that is the instance's alone
_SHM = Path("/dev/shm")  # noqa: S108  it is closed

_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000  # <linux/sched.h>
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000  # <linux/mount.h>
_MOUNT_ATTR_RDONLY = 1
_SYS_MOUNT_SETATTR = 442  # Linux 5.12
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000  # <linux/fcntl.h>
_PR_SET_NO_NEW_PRIVS = 38  # <linux/prctl.h>

_SYS_LANDLOCK_CREATE_RULESET = 444  # Linux 5.13
_SYS_LANDLOCK_ADD_RULE = 445
_SYS_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RULE_PATH_BENEATH = 1
_WRITE_FILE = 1 << 1  # <linux/landlock.h>
_WRITES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # remove and make, of any kind
_TRUNCATE, _TRUNCATE_SINCE = 1 << 14, 3  # version 3 of Landlock's interface
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")


class _MountAttr(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clr", "propagation", "userns"))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def confined(command: tuple[str, ...], *, temp: Path, shown: Iterable[Path]) -> tuple[str, ...]:
    """The command line that starts `command` confined, with `temp` as its temp folder.

    `shown`: folders that it must find where they are, even if they lie in `/tmp`, which it does
    not see.
    """
    folders = (str(folder) for folder in (temp, *shown))
    return (sys.executable, "-I", "-S", __file__, *folders, _COMMAND_FOLLOWS, *command)


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
    _demand(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    try:
        _enter_namespaces()
        _close_shared_memory()
        _lay_out(temp, [temp, *shown])
    except OSError as error:
        goal = "give this instance a user, a read-only tree and a /tmp of its own"
        return [_could_not(goal, error.strerror), *_confine_writes(temp)]
    return []


def _could_not(goal: str, reason: str | None) -> str:
    return f"Portside could not {goal}: {reason}"


# --- With namespaces ---------------------------------------------------------


def _enter_namespaces() -> None:
    """Another user, with mounts of its own. Capabilities in them last until the next exec."""
    user, group = os.geteuid(), os.getegid()
    _demand(_libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
    Path("/proc/self/setgroups").write_text("deny")  # else gid_map is refused: user_namespaces(7)
    Path("/proc/self/uid_map").write_text(f"{USER_ID} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{GROUP_ID} {group} 1")
    _mount("none", Path("/"), _MS_REC | _MS_PRIVATE)


def _close_shared_memory() -> None:
    """Hide /dev/shm behind an empty file system that nobody may even look into."""
    if _SHM.is_dir():
        _mount("tmpfs", _SHM, 0, kind=b"tmpfs", options=b"mode=0,size=4k")
        _set_read_only(_SHM)


def _lay_out(temp: Path, shown: list[Path]) -> None:
    """The temp folder in the place of /tmp; all but it read-only."""
    hidden = hidden_by_tmp(shown)
    handles = [os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in hidden]
    temp_handle = os.open(temp, os.O_PATH | os.O_DIRECTORY)
    _mount(str(temp), _TMP, _MS_BIND)
    for folder, handle in zip(hidden, handles, strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{handle}", folder, _MS_BIND | _MS_REC)
    _mount(f"/proc/self/fd/{temp_handle}", temp, _MS_BIND)
    _set_read_only(Path("/"), recursive=True)
    for folder in (_TMP, temp):
        _set_read_only(folder, read_only=False)


def hidden_by_tmp(folders: Iterable[Path]) -> list[Path]:
    """The folders that lie in `/tmp`, but for those that lie in another of them."""
    real = {folder.resolve() for folder in folders if folder.is_dir()}
    inside = {folder for folder in real if _TMP.resolve() in folder.parents}
    return sorted(folder for folder in inside if inside.isdisjoint(folder.parents))


def _mount(
    source: str, target: Path, flags: int, *, kind: bytes | None = None, options: bytes = b""
) -> None:
    paths = os.fsencode(source), os.fsencode(target)
    _demand(_libc().mount(*paths, kind, ctypes.c_ulong(flags), options))


def _set_read_only(folder: Path, *, read_only: bool = True, recursive: bool = False) -> None:
    attr = _MountAttr(**{"set" if read_only else "clr": _MOUNT_ATTR_RDONLY})
    _syscall(
        _SYS_MOUNT_SETATTR,
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(folder),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        ctypes.byref(attr),
        ctypes.c_size_t(ctypes.sizeof(attr)),
    )


# --- With Landlock -----------------------------------------------------------


def _confine_writes(temp: Path) -> list[str]:
    """No writing but to the temp folder, `/tmp` and some devices."""
    try:
        _restrict_writes([temp, _TMP], _DEVICES)
    except OSError as error:
        return [_could_not("keep this instance from writing where it likes", error.strerror)]
    return [f"Portside lets it write to {temp} and {_TMP} only, and not to {_SHM} (Landlock)"]


def _restrict_writes(folders: Iterable[Path], files: Iterable[str]) -> None:
    version = _syscall(
        _SYS_LANDLOCK_CREATE_RULESET,
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint(_LANDLOCK_CREATE_RULESET_VERSION),
    )
    writes = _WRITES | (_TRUNCATE if version >= _TRUNCATE_SINCE else 0)
    handled = ctypes.c_uint64(writes)
    rules = _syscall(
        _SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), ctypes.c_uint(0)
    )
    for path in folders:
        _allow(rules, path, writes)
    for file in files:
        _allow(rules, Path(file), writes & (_WRITE_FILE | _TRUNCATE))
    _syscall(_SYS_LANDLOCK_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint(0))


def _allow(rules: int, path: Path, access: int) -> None:
    if not path.exists():
        return
    handle = os.open(path, os.O_PATH)
    rule = _PathBeneath(allowed_access=access, parent_fd=handle)
    _syscall(
        _SYS_LANDLOCK_ADD_RULE,
        ctypes.c_int(rules),
        ctypes.c_int(_LANDLOCK_RULE_PATH_BENEATH),
        ctypes.byref(rule),
        ctypes.c_uint(0),
    )
    os.close(handle)


# --- The C library -----------------------------------------------------------


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *arguments: object) -> int:
    return _demand(_libc().syscall(ctypes.c_long(number), *arguments))


def _demand(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


if __name__ == "__main__":
    main()
