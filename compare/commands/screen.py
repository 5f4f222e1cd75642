"""The terminal that the program writes to."""

from __future__ import annotations

from rich.console import Console


class Screen(Console):
    """Rich's console without pictures for words such as ``:ring:``, which leaves a closed pipe to the program."""

    def __init__(self) -> None:
        super().__init__(emoji=False)

    def on_broken_pipe(self) -> None:
        """Raises BrokenPipeError, in place of an exit with code 1, which means something else here."""
        raise BrokenPipeError
