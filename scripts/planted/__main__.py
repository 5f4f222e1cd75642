"""The program with planted slow-downs: ``python -m scripts.planted``, with the options of ``python -m compare``."""

from __future__ import annotations

import sys

from compare.backends import BACKENDS
from compare.cli.main import main
from scripts.planted import register

if __name__ == "__main__":
    register(BACKENDS)
    sys.exit(main())
