"""The program with planted slow-downs: ``python -m scripts.planted``, with the options of ``python -m compare``.

A mode such as ``eager+5`` runs the same code on 5% more batch rows: that much more of the same work, and nothing else.
"""

from __future__ import annotations

import sys

from compare.backends import BACKENDS
from compare.cli import main

SHARES = (3, 5, 10)  # percent

if __name__ == "__main__":
    for name, entry in list(BACKENDS.items()):
        modes = (*entry.modes, *(f"{mode}+{share}" for mode in entry.modes for share in SHARES))
        BACKENDS[name] = entry._replace(package=f"scripts.planted.{entry.package}", modes=modes)
    sys.exit(main())
