"""``python -m compare`` with planted slow-downs as further modes: ``python -m benchmarks.planted``."""

from __future__ import annotations

import sys

from benchmarks.planted import register
from compare.backends import BACKENDS
from compare.cli.main import main

if __name__ == "__main__":
    register(BACKENDS)
    sys.exit(main())
