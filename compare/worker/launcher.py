"""Start a framework's launcher so that it ends when this program does, and its processes when it does.

python -m compare.worker.launcher torch.distributed.run --standalone ...
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)
LAUNCHER = "COMPARE_LAUNCHER"  # names the launcher's process id to those that it starts


def die_with_parent() -> None:
    """On Linux the kernel ends this process when its parent is gone, even in the middle of a hanging kernel."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.environ.get(LAUNCHER, str(os.getppid())) != str(os.getppid()):  # it went before that took effect
        sys.exit("the launcher is gone")


def ended(code: int) -> str:
    """How a process ended, by its exit code; below zero it is the signal that killed it."""
    if code >= 0:
        return f"exited with code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + " (the kernel's out-of-memory killer sends this)" * (name == "SIGKILL")


def main() -> None:
    """Run the module that the first argument names, with the rest."""
    die_with_parent()
    os.environ[LAUNCHER] = str(os.getpid())
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
