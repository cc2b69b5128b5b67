"""Become the program of an image, in the image's own root: what an engine does, without one.

    root_entry PLAN_FILE PARENT_PID        `PLAN_FILE` is `Plan` as JSON, and is removed
    root_entry --probe                     exit code 0 where the machine allows it

    user namespace ─▶ mounts of its own ─▶ the image's tree ─┬─ with a layer to write to (overlay)
                                                             └─ read-only
    ─▶ /proc /sys /dev /opt/ml/model /etc/resolv.conf ─▶ pivot_root ─▶ rights given up ─▶ program

The user namespace holds one user: the image's, or serverless' own. Outside it that is still the
user who started the local SageMaker, so no privilege is needed, and every file of the tree seems to
be that one user's. Processes and network are the machine's. Sources are cloned before the change
of root and given their places after it, so that a link in the image leads nowhere else.

A program of its own (`alone`) with nothing imported but the standard library, as `leash` is, and
for the same reasons. Linux only.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from portside.local.instance import kernel
from portside.local.instance.confinement import enter_namespaces

FOLDERS: Final = ("proc", "sys", "dev", "tmp")
FILES: Final = ("etc/resolv.conf", "etc/hosts")
"""What has to be in the tree to mount over, beside the model's folder."""

PROBE: Final = "--probe"

_OF_MACHINE: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""What in `/proc` is set for the whole machine: whoever is root there could write to it, from any
namespace. The paths that docker makes read-only: moby, oci/defaults.go."""

_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS: Final = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
_SHARED_MEMORY: Final = "size=64m,mode=1777"
"""As docker gives to containers."""

_CAPABILITIES: Final = range(64)
_KEPT_CAPABILITIES: Final = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31})
"""Those of docker but for CAP_MKNOD: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID,
SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, AUDIT_WRITE, SETFCAP. <linux/capability.h>."""

_NOT_FOUND: Final = 127
_NOT_STARTED: Final = 126
"""What engines and shells exit with for a program that is not there, or is none for here."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to become. Paths are the machine's, but for `working_dir` and those of `command`.

    `upper` gets what the program writes; where it is None, the tree is read-only but for `temp`,
    which is its `/tmp`, and there is no `/dev/shm`.
    """

    root: str
    mount_point: str
    model_dir: str
    model_place: str
    temp: str
    upper: str | None
    user_id: int
    group_id: int
    command: list[str]
    environment: dict[str, str]
    working_dir: str


def main() -> None:
    """Enter the root and exec; ends with one line in the instance's log where that fails."""
    if sys.argv[1:] == [PROBE]:
        probe()
        return
    file, parent = Path(sys.argv[1]), int(sys.argv[2])
    plan = Plan(**json.loads(file.read_text(encoding="utf-8")))
    file.unlink()
    try:
        enter(plan)
        _give_up_rights(parent)
    except OSError as error:
        _end(f"Portside could not enter the root of the image: {error.strerror}", _NOT_STARTED)
    try:
        os.chdir(plan.working_dir)
    except (OSError, ValueError) as error:
        _end(f"chdir {plan.working_dir}: {_reason(error)}", _NOT_STARTED)
    try:
        os.execvpe(plan.command[0], plan.command, plan.environment)  # noqa: S606  its purpose
    except (OSError, ValueError) as error:  # ValueError: of a variable without a name, say
        code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_STARTED
        _end(f"exec {plan.command[0]}: {_reason(error)}", code)


def probe() -> None:
    """Try what needs a right that machines may refuse; the reason goes to stdout."""
    try:
        enter_namespaces(0, 0)
        kernel.mount("tmpfs", "/dev", kernel.MS_NOSUID, kind="tmpfs")
        os.close(kernel.clone_mount("/proc"))
        kernel.set_mount("/dev", on=kernel.ATTR_RDONLY)
    except OSError as error:
        _end(error.strerror or "", 1)


def enter(plan: Plan) -> None:
    """The tree of an image in the place of this process's own."""
    enter_namespaces(plan.user_id, plan.group_id)
    is_read_only = not _mount_tree(plan)
    sources = {
        "/proc": kernel.clone_mount("/proc"),
        **{path: _read_only(path) for path in _OF_MACHINE if Path(path).exists()},
        "/sys": _read_only("/sys"),
        plan.model_place: _read_only(plan.model_dir),
        **({"/tmp": kernel.clone_mount(plan.temp)} if is_read_only else {}),  # noqa: S108  its own
        **{f"/{name}": _read_only(f"/{name}") for name in FILES if Path(f"/{name}").exists()},
    }
    devices = {name: kernel.clone_mount(f"/dev/{name}") for name in _DEVICES}
    kernel.enter_root(plan.mount_point)
    for place, handle in sources.items():
        kernel.place_mount(handle, place)
    _make_devices(devices, has_shared_memory=plan.upper is not None)
    if is_read_only:
        kernel.set_mount("/", on=kernel.ATTR_RDONLY)
        kernel.set_mount("/dev", on=kernel.ATTR_RDONLY)


def _mount_tree(plan: Plan) -> bool:
    """The image's tree at the mount point; whether it can be written to."""
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    if plan.upper is not None:
        upper, work = Path(plan.upper) / "upper", Path(plan.upper) / "work"
        layers = {"lowerdir": plan.root, "upperdir": str(upper), "workdir": str(work)}
        options = ",".join(f"{name}={_escaped(path)}" for name, path in layers.items())
        try:
            for folder in (upper, work):
                folder.mkdir(mode=0o755)
            kernel.mount(
                "overlay", plan.mount_point, flags, kind="overlay", options=f"{options},userxattr"
            )
        except OSError as error:
            _say(f"Portside could not give this instance a tree to write to: {error.strerror}")
        else:
            return True
    kernel.mount(plan.root, plan.mount_point, kernel.MS_BIND)
    kernel.set_mount(plan.mount_point, on=kernel.ATTR_NOSUID | kernel.ATTR_NODEV)
    return False


def _escaped(path: str) -> str:
    """As overlayfs reads its options: Documentation/filesystems/overlayfs.rst."""
    return "".join(f"\\{letter}" if letter in "\\:," else letter for letter in path)


def _read_only(path: str) -> int:
    handle = kernel.clone_mount(path)
    kernel.set_mount(handle, on=kernel.ATTR_RDONLY, recursive=True)
    return handle


def _make_devices(devices: dict[str, int], *, has_shared_memory: bool) -> None:
    kernel.mount("tmpfs", "/dev", kernel.MS_NOSUID, kind="tmpfs", options="mode=755,size=64k")
    for name, handle in devices.items():
        Path("/dev", name).touch()
        kernel.place_mount(handle, f"/dev/{name}")
    for name, end in _LINKS.items():
        Path("/dev", name).symlink_to(f"/proc/self/fd{end}")
    if has_shared_memory:
        Path("/dev/shm").mkdir()  # noqa: S108  the instance's own
        flags = kernel.MS_NOSUID | kernel.MS_NODEV
        kernel.mount("tmpfs", "/dev/shm", flags, kind="tmpfs", options=_SHARED_MEMORY)  # noqa: S108


def _give_up_rights(parent: int) -> None:
    """No more than a container has; and the end together with the local SageMaker.

    That is last, because the kernel forgets it when rights change.
    """
    for capability in _CAPABILITIES:
        if capability not in _KEPT_CAPABILITIES and _exists(capability):
            kernel.process_control(kernel.PR_CAPBSET_DROP, capability)
    kernel.process_control(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.process_control(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call above, and no signal will come
        sys.exit(1)


def _exists(capability: int) -> bool:
    return bool(kernel.libc().prctl(kernel.PR_CAPBSET_READ, capability, 0, 0, 0) >= 0)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or "").lower() if isinstance(error, OSError) else str(error)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _end(line: str, code: int) -> None:
    _say(line)
    sys.exit(code)
