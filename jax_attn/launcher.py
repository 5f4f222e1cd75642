"""A process for each device of this machine and the place where they meet: for jax.distributed what torchrun is.

python -m compare.worker.launcher jax_attn.launcher 2 -m some.module ...

JAX has no launcher of its own and reads what Slurm or Open MPI say; these variables say the same.  When a process does
not end well the others are killed.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from compare.worker.launcher import ended

HERE = "127.0.0.1"


def main() -> None:
    """Start so many processes of the command that follows, and end with them: 0 if they all ended well."""
    size, command = int(sys.argv[1]), [sys.executable, *sys.argv[2:]]
    # gRPC would ask a proxy for the way to this machine.
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with free_port() as port:
        own = [inherited | variables(rank, size, port) for rank in range(size)]
        processes = [subprocess.Popen(command, env=each) for each in own]
        failed = first_failed([each.pid for each in processes])
        for each in processes:
            each.kill()
    sys.exit(failed)


@contextmanager
def free_port() -> Iterator[int]:
    """A port that nobody else is given meanwhile: gRPC, which shares ports, listens there beside this socket."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((HERE, 0))
        yield held.getsockname()[1]


def variables(rank: int, size: int, port: int) -> dict[str, str]:
    """What a process must know; `team` reads the number of processes and which one it is, JAX the others."""
    return {
        "JAX_COORDINATOR_ADDRESS": f"{HERE}:{port}",
        "JAX_COORDINATOR_BIND_ADDRESS": f"{HERE}:{port}",  # or it listens to other machines too
        "JAX_NUM_PROCESSES": str(size),
        "JAX_PROCESS_ID": str(rank),
        "JAX_LOCAL_DEVICE_IDS": str(rank),
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "JAX_ENABLE_PREEMPTION_SERVICE": "false",  # which takes SIGTERM for a warning
    }


def first_failed(pids: Sequence[int]) -> str | None:
    """Wait until all processes have ended well, or one has not; returns how that one ended."""
    for _ in pids:
        pid, status = os.wait()
        if code := os.waitstatus_to_exitcode(status):
            return f"device {pids.index(pid)} of {len(pids)}: its process {ended(code)}"
    return None


if __name__ == "__main__":
    main()
