"""Become another program that dies when the program that started it does.

    python -I -S leash.py PARENT_PID COMMAND [ARGUMENT…]

Linux only, and run as a script with nothing imported but the standard library,
so that it costs some ten milliseconds and no memory: it turns into COMMAND. The
kernel then sends SIGKILL when the thread that started it ends, however it ends.
It is a program of its own because running Python code between fork and exec
(`preexec_fn`) can deadlock in a process with threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def leashed(*command: str) -> tuple[str, ...]:
    """The command line that starts `command` so that it ends with this process.

    On systems other than Linux it is the command itself. To be started from a thread
    that lives as long as the process, because the kernel minds the thread.
    """
    if sys.platform != "linux":
        return command
    return sys.executable, "-I", "-S", __file__, str(os.getpid()), *command


def main() -> None:
    """Ask the kernel for the signal, look that it is not too late, and exec."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended before the call above, and no signal will come
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  turning into the command is its purpose


if __name__ == "__main__":
    main()
