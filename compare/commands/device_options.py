"""What several devices cannot do together, refused before anything starts."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from compare.backends import backend
from compare.records import Contender

MOST_SIMULATED = 16  # devices on a CPU


def check(options: argparse.Namespace, contenders: Sequence[Contender]) -> None:
    """Raises ValueError with one line."""
    if max(options.devices or (1,)) == 1:
        if options.process_per_device:
            raise ValueError("--process-per-device is for several devices; add --devices N")
        return
    if options.max_seq_len is not None:
        raise ValueError("--max-seq-len looks at one device; leave --devices out")
    if options.cache == "cold":
        raise ValueError("--cache cold evicts the cache of one device; leave it or --devices out")
    names = dict.fromkeys(each.backend for each in contenders)
    if options.process_per_device and not any(backend(name).apart for name in names):
        raise ValueError(f"--process-per-device: {' and '.join(names)} has a process for each anyway; leave it out")


def check_simulated(counts: Sequence[int]) -> None:
    """Refuse more simulated devices than a CPU can bear."""
    if max(counts, default=1) > MOST_SIMULATED:
        raise ValueError(f"--devices {max(counts)}: a CPU simulates up to {MOST_SIMULATED}")
