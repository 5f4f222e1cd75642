"""The table of variants in docs/method.md: ``python -m tests.described`` writes it anew from their descriptions."""

from __future__ import annotations

import re
from pathlib import Path

from compare.cli.listing import variants_table

PAGE = Path(__file__).parents[1] / "docs" / "method.md"
BLOCK = re.compile(r"(?<=<!-- variants -->\n).*?(?=\n<!-- /variants -->)", re.DOTALL)

if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda _: variants_table(), PAGE.read_text()))
