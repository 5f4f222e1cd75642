"""``python -m compare``."""

import sys


def run() -> int:
    """The program, with one exit code for Ctrl-C however early it comes."""
    try:
        from compare.cli import main

        return main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(run())
