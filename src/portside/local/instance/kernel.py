"""Calls of Linux that Python has no function for. Each raises OSError where the kernel refuses.

Nothing is imported but the standard library, because programs that start instances use this
(`alone`). Numbers of system calls are the same on every architecture since Linux 5.1; constants:
<linux/mount.h>, <linux/sched.h>, <linux/prctl.h>, <linux/fcntl.h>.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

CLONE_NEWNS: Final = 0x20000
CLONE_NEWUSER: Final = 0x10000000

MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
MS_NOSUID: Final = 2
MS_NODEV: Final = 4

ATTR_RDONLY: Final = 1
ATTR_NOSUID: Final = 2
ATTR_NODEV: Final = 4

PR_SET_PDEATHSIG: Final = 1
PR_CAPBSET_READ: Final = 23
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38

_AT_FDCWD: Final = -100
_AT_EMPTY_PATH: Final = 0x1000
_AT_RECURSIVE: Final = 0x8000
_OPEN_TREE_CLONE: Final = 1
_MOVE_MOUNT_F_EMPTY_PATH: Final = 4
_MOVE_MOUNT_T_SYMLINKS: Final = 0x10
_MNT_DETACH: Final = 2

_SYS_OPEN_TREE: Final = 428  # Linux 5.2
_SYS_MOVE_MOUNT: Final = 429
_SYS_MOUNT_SETATTR: Final = 442  # Linux 5.12


class _MountAttr(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clr", "propagation", "userns"))


def libc() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def demand(result: int) -> int:
    """What a call of the C library came to, if it is no failure."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def syscall(number: int, *arguments: object) -> int:
    """A system call by its number."""
    return demand(libc().syscall(ctypes.c_long(number), *arguments))


def process_control(option: int, value: int) -> None:
    """Set something about this process."""
    demand(libc().prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def unshare(flags: int) -> None:
    """Namespaces of this process's own."""
    demand(libc().unshare(flags))


def mount(
    source: str, target: str, flags: int, *, kind: str | None = None, options: str = ""
) -> None:
    """Attach a file system, or a folder in a second place."""
    named = None if kind is None else kind.encode()
    paths = os.fsencode(source), os.fsencode(target)
    demand(libc().mount(*paths, named, ctypes.c_ulong(flags), os.fsencode(options)))


def set_mount(target: str | int, *, on: int = 0, off: int = 0, recursive: bool = False) -> None:
    """Attributes of the mount at a path, or of one that `clone_mount` gave."""
    attr = _MountAttr(set=on, clr=off)
    is_path = isinstance(target, str)
    flags = (_AT_RECURSIVE if recursive else 0) | (0 if is_path else _AT_EMPTY_PATH)
    syscall(
        _SYS_MOUNT_SETATTR,
        ctypes.c_int(_AT_FDCWD if isinstance(target, str) else target),
        os.fsencode(target) if isinstance(target, str) else b"",
        ctypes.c_uint(flags),
        ctypes.byref(attr),
        ctypes.c_size_t(ctypes.sizeof(attr)),
    )


def clone_mount(path: str) -> int:
    """What is at a path, with all that is mounted in it, as a mount that has no place yet."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
    return syscall(_SYS_OPEN_TREE, ctypes.c_int(_AT_FDCWD), os.fsencode(path), ctypes.c_uint(flags))


def place_mount(handle: int, path: str) -> None:
    """Give a place to what `clone_mount` gave."""
    syscall(
        _SYS_MOVE_MOUNT,
        ctypes.c_int(handle),
        b"",
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(path),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_SYMLINKS),
    )
    os.close(handle)


def enter_root(folder: str) -> None:
    """A mounted folder becomes `/`, and the `/` of before is gone. pivot_root(2), "Notes"."""
    os.chdir(folder)
    demand(libc().pivot_root(b".", b"."))
    demand(libc().umount2(b".", _MNT_DETACH))
    os.chdir("/")
