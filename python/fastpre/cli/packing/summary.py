"""What `fastpre pack` says in the end: lines for people, or JSON."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter

import click

from fastpre.errors import path_as_text

from ..files import printable
from .recipe import Recipe
from .samples import Listing
from .shard import INDEX, Shards
from .work import Outcome

__all__ = ["Summary"]

MOST_REASONS = 5  # that are shown; --json has all


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a finished `fastpre pack` did.

    Attributes:
        outcome: what became of the images.
        listing: what was found.
        shards: what was written.
        recipe: what was asked for.
        threads: that did it.
        written: False if there is no output.
    """

    outcome: Outcome
    listing: Listing
    shards: Shards
    recipe: Recipe
    threads: int
    written: bool

    def json(self) -> dict[str, object]:
        """For programs."""
        outcome = self.outcome
        return {
            "images": outcome.packed,
            "failed": [dataclasses.asdict(f) for f in outcome.failures],
            "skipped": dict(self.listing.skipped),
            "how": dict(outcome.how),
            "not_transcoded": dict(outcome.refusals),
            "classes": len(self.listing.classes),
            "bytes_before": outcome.bytes_before,
            "bytes_after": outcome.bytes_after,
            "output": path_as_text(self.shards.folder) if self.written else None,
            "shards": [dataclasses.asdict(info) for info in self.shards.infos] if self.written else [],
            "recipe": dataclasses.asdict(self.recipe),
            "threads": self.threads,
            "seconds": outcome.seconds,
        }

    def show(self) -> None:
        """For people, on stdout."""
        outcome, infos = self.outcome, self.shards.infos
        classes = len(self.listing.classes)
        how = ", ".join(f"{count:,} {name}" for name, count in sorted(outcome.how.items())) or "nothing"
        share = outcome.bytes_after / outcome.bytes_before if outcome.bytes_before else 1.0
        rate = outcome.packed / outcome.seconds if outcome.seconds else 0.0
        rows = {
            "images": f"{outcome.packed:,} packed, {len(outcome.failures):,} failed; "
            + (f"{classes:,} classes" if classes else "no labels"),
            "how": how,
            "bytes": f"{_megabytes(outcome.bytes_before)} before, "
            f"{_megabytes(outcome.bytes_after)} after ({share:.1%})",
            "time": f"{outcome.seconds:.1f} s, {rate:,.1f} images/s, threads: {self.threads}",
        }
        for name, text in rows.items():
            click.echo(f"{name:<8} {text}")
        for line in _reasons(outcome.refusals):
            click.echo(f"{'':<8} not transcoded: {line}")
        if self.written:
            path = os.path.join(self.shards.folder, INDEX)
            total = sum(info.bytes for info in infos)
            some = f"{len(infos):,} shard{'s' if len(infos) != 1 else ''}"
            click.echo(f"{'wrote':<8} {some}, {_megabytes(total)}, listed in {printable(path)}")


def _reasons(refusals: Counter[str]) -> list[str]:
    shown = [f"{count:,}: {reason}" for reason, count in refusals.most_common(MOST_REASONS)]
    rest = sum(refusals.values()) - sum(count for _, count in refusals.most_common(MOST_REASONS))
    return [*shown, f"{rest:,} for other reasons; --json has all"] if rest else shown


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
