"""The processes that torchrun started as one worker, and what they say to each other beside the tensors."""

from __future__ import annotations

import os
from datetime import timedelta

import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, TCPStore

DAY, CONNECT = timedelta(days=1), timedelta(minutes=1)


class Team:
    """The processes of this worker, over the store of their launcher."""

    def __init__(self) -> None:
        self.rank, self.size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        self._store = PrefixStore("worker", TCPStore(*place, is_master=False, timeout=CONNECT))
        self._told = self._collected = 0

    def tell(self, text: bytes | None) -> bytes:
        """What the first one says, to all."""
        self._told += 1
        key = f"told {self._told}"
        if text is not None:
            self._store.set(key, text.hex())
        self._store.wait([key], DAY)
        return bytes.fromhex(self._store.get(key).decode())

    def collect(self, text: bytes, patience_s: float | None = None) -> list[bytes]:
        """What each of them says, to all.  Raises TimeoutError if one says nothing for so long."""
        self._collected += 1
        keys = [f"said {self._collected} by {rank}" for rank in range(self.size)]
        self._store.set(keys[self.rank], text.hex())
        try:
            self._store.wait(keys, DAY if patience_s is None else timedelta(seconds=patience_s))
        except dist.DistStoreError as error:
            raise TimeoutError(str(error)) from None
        return [bytes.fromhex(self._store.get(key).decode()) for key in keys]
