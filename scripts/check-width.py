"""Checks that prose in Markdown is wrapped: lines of at most 100 columns, but for tables, code and links.

usage: check-width.py FILE...
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

COLUMNS = 100
# A line that is one word, such as a link, cannot be wrapped; a list's marker may stand before it.
ONE_WORD = re.compile(r"\s*([-*] |\d+\. )?\S+")


def too_long(text: str) -> list[tuple[int, int]]:
    """(line number, columns) of each line that should have been wrapped."""
    found, fenced = [], False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif len(line) > COLUMNS and not (fenced or line.startswith(("|", "![")) or ONE_WORD.fullmatch(line)):
            found.append((number, len(line)))
    return found


def main(paths: list[str]) -> int:
    lines = [
        f"{path}:{number}: {columns} columns, more than {COLUMNS}"
        for path in paths
        for number, columns in too_long(Path(path).read_text(encoding="utf-8"))
    ]
    print("\n".join(lines) or f"{len(paths)} Markdown files are wrapped")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
