"""A program for the tests: a process of several that never answers, as in the middle of a hanging kernel."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from compare.worker.launcher import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    Path(sys.argv[1]).with_suffix(".asleep").touch()
    time.sleep(600)
