"""The processes that a launcher started as one worker, and what they say to each other beside the arrays."""

from __future__ import annotations

import os
from typing import Any

import jax
from jax._src import distributed

DAY_S = 86400.0


class Team:
    """The processes of this worker, over the store of jax.distributed, which the first one holds.

    Where nothing says how many there are, JAX asks the scheduler that started them (Slurm, Open MPI).
    """

    def __init__(self) -> None:
        told = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
        known: dict[str, Any] = {
            name: int(os.environ[variable]) for name, variable in told.items() if variable in os.environ
        }
        jax.distributed.initialize(**known)
        state = distributed.global_state
        self.rank, self.size = state.process_id, state.num_processes
        self._store: Any = state.client
        self._told = self._collected = 0

    def tell(self, text: bytes | None) -> bytes:
        """What the first one says, to all."""
        self._told += 1
        key = f"told {self._told}"
        if text is not None:
            self._store.key_value_set_bytes(key, text)
        return self._heard(key, DAY_S)

    def collect(self, text: bytes, patience_s: float | None = None) -> list[bytes]:
        """What each of them says, to all.  Raises TimeoutError if one says nothing for so long."""
        self._collected += 1
        keys = [f"said {self._collected} by {rank}" for rank in range(self.size)]
        self._store.key_value_set_bytes(keys[self.rank], text)
        try:
            return [self._heard(key, DAY_S if patience_s is None else patience_s) for key in keys]
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
            raise TimeoutError(str(error)) from None

    def _heard(self, key: str, patience_s: float) -> bytes:
        found: bytes = self._store.blocking_key_value_get_bytes(key, int(patience_s * 1000))
        return found
