"""Where the corpus of real JPEG files is, and what its index says."""

from __future__ import annotations

import csv
import dataclasses
import os
from pathlib import Path

ABSENT = "no corpus: neither FASTPRE_CORPUS nor ../shared/corpus beside the repository exists"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file of the corpus."""

    path: Path
    features: frozenset[str]

    @property
    def id(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}"


def root() -> Path | None:
    """The corpus folder, or None."""
    named = os.environ.get("FASTPRE_CORPUS")
    path = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "corpus"
    return path if (path / "INDEX.csv").is_file() else None


def entries(folder: Path, name: str) -> list[Entry]:
    """The files of one set ("natural", "large", "small", "odd", "corrupt"), in the index's order."""
    with open(folder / "INDEX.csv", newline="", encoding="utf-8") as f:
        rows = [row for row in csv.DictReader(f) if row["set"] == name]
    return [Entry(folder / name / row["file"], frozenset(row["features"].split())) for row in rows]
