"""The section of pictures, which lie beside the report in a folder of their own."""

from __future__ import annotations

from collections.abc import Sequence

from compare.render.markdown_text import escape, section

FOLDER = "pictures"


def pictured(named: Sequence[tuple[str, str, str]]) -> str:
    """Each picture by its name, title and caption; nothing where there is none."""
    parts = [f"![{escape(title)}]({FOLDER}/{name}.svg)\n\n{escape(caption)}" for name, title, caption in named]
    return section("Pictures", *parts) if parts else ""
