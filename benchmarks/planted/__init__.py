"""Planted slow-downs: a mode such as ``eager+5`` runs the same code on 5% more batch rows.

The baseline is ``eager+0``.  On a CPU JAX runs the planted modes and their baseline in a loop over pieces of two rows:
for another batch size XLA:CPU would generate other code.
"""

from __future__ import annotations

from compare.backends import Backend

SHARES = (0, 3, 5, 10)  # percent


def register(backends: dict[str, Backend]) -> None:
    """Give every backend of a registry the slowed modes beside its own."""
    for name, entry in list(backends.items()):
        modes = (*entry.modes, *(f"{mode}+{share}" for mode in entry.modes for share in SHARES))
        backends[name] = entry._replace(package=f"benchmarks.planted.{entry.package}", modes=modes)
