"""What `fastpre run` says in the end: lines for people, or JSON."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter

import click

from fastpre import Preprocessor, _core
from fastpre.errors import path_as_text

from .batch import row_shape
from .compare import Comparison
from .files import printable
from .preprocess import Outcome

__all__ = ["Summary"]


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a finished `fastpre run` did.

    Attributes:
        outcome: what became of the files.
        skipped: files that were no JPEGs, by kind.
        comparison: with torchvision, if it was asked for.
        pre: what did it.
    """

    outcome: Outcome
    skipped: Counter[str]
    comparison: Comparison | None
    pre: Preprocessor

    def json(self) -> dict[str, object]:
        """For programs."""
        outcome, spec = self.outcome, self.pre.spec
        return {
            "images": len(outcome.kept),
            "truncated": [file.name for file in outcome.truncated],
            "failed": [dataclasses.asdict(f) for f in outcome.failures],
            "skipped": dict(self.skipped),
            "shape": list(self._shape()),
            "dtype": spec.dtype_name,
            "spec": repr(spec),
            "outputs": [path_as_text(path) for path in outcome.outputs],
            "device": self.pre.device,
            "threads": self._threads(),
            "images_per_s": self._images_per_s(),
            "preprocess_s": outcome.preprocess_s,
            "write_s": outcome.write_s,
            "stages_us": dict(outcome.stages_us),
            "decoders": dict(outcome.decoders),
            "compare": dataclasses.asdict(self.comparison) if self.comparison else None,
        }

    def show(self) -> None:
        """For people, on stdout."""
        outcome = self.outcome
        total_us = sum(outcome.stages_us.values())
        time = ", ".join(f"{stage} {us / total_us if total_us else 0:.1%}" for stage, us in outcome.stages_us.items())
        decoders = ", ".join(f"{name} {count}" for name, count in outcome.decoders.items())
        truncated = f" ({len(outcome.truncated)} truncated)" if outcome.truncated else ""
        rows = {
            "images": f"{len(outcome.kept)} kept{truncated}, {len(outcome.failures)} failed; "
            f"{self.pre.spec.dtype_name} {self._shape()}",
            "speed": f"{self._images_per_s():,.1f} images/s ({outcome.preprocess_s:.3f} s, device: {self.pre.device}, "
            f"threads: {self._threads()}), then {outcome.write_s:.3f} s of writing",
            "time": time or "none",
            "decoded": decoders or "nothing",
        }
        for name, text in rows.items():
            click.echo(f"{name:<8} {text}")
        for line in self.comparison.lines() if self.comparison else ():
            click.echo(f"{'compare':<8} {line}")
        for path in outcome.outputs:
            click.echo(f"{'wrote':<8} {printable(path)} ({os.path.getsize(path):,} bytes)")

    def _shape(self) -> tuple[int, ...]:
        size = self.pre.spec.output_size
        assert size is not None
        return (len(self.outcome.kept), *row_shape(self.pre.spec, size))

    def _threads(self) -> int:
        return self.pre.num_threads or _core.available_threads()

    def _images_per_s(self) -> float:
        return len(self.outcome.kept) / self.outcome.preprocess_s if self.outcome.preprocess_s else 0.0
