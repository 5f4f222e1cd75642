"""``python -m compare``."""

import os
import sys
from typing import TextIO

BAD_INPUT, INTERRUPTED, NOBODY_READS = 2, 130, 141


def run() -> int:
    """The program, with an exit code of its own for Ctrl-C however early it comes, and where output goes nowhere."""
    sys.stdout, sys.stderr = sys.stdout or nowhere(), sys.stderr or nowhere()  # None where it is closed: `>&-`
    try:
        from compare.cli.main import main

        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads had enough: `... | head`
        silence()
        return NOBODY_READS
    except OSError as error:
        if error.filename is not None:
            raise
        print(f"compare: error: the output cannot be written: {error.strerror}", file=sys.stderr)
        silence()
        return BAD_INPUT
    return code


def nowhere() -> TextIO:
    """A stream that discards its output."""
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def silence() -> None:
    """Or Python tries to write once more as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    raise SystemExit(run())
