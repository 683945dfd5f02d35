"""Where an epoch's time goes."""

from __future__ import annotations

import dataclasses
from typing import Literal

from .decoder import Decoded

__all__ = ["Clock", "Stats"]

WAITED = 0.1  # of the time: from here on the input is the bottleneck


@dataclasses.dataclass(frozen=True)
class Stats:
    """What an epoch of a `Loader` has taken so far. As text: three lines.

    Attributes:
        epoch: its number.
        batches, images, failed: that were delivered, and how many of the images were bad.
        bytes: of the compressed images.
        waiting_s: the loop waited for batches so long, the first one (`first_batch_s`) included.
        consumer_s: the loop did other things so long: training, mostly.
        fetching_s: reading samples took so long, or waiting for the workers that do.
        decoding_s: the calls that decode took so long, on all threads together.
        stages_s: by stage, the time of all decoding threads: read (of files given as paths), header, decode, resample,
            normalize.
    """

    epoch: int
    batches: int
    images: int
    failed: int
    bytes: int
    waiting_s: float
    first_batch_s: float
    consumer_s: float
    fetching_s: float
    decoding_s: float
    stages_s: dict[str, float]

    @property
    def elapsed_s(self) -> float:
        """Since the first batch was asked for, until the last one was given or is asked for."""
        return self.waiting_s + self.consumer_s

    @property
    def images_per_s(self) -> float:
        """Delivered per second of `elapsed_s`."""
        return self.images / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def mb_per_s(self) -> float:
        """Compressed megabytes (1e6 bytes) per second of `elapsed_s`."""
        return self.bytes / 1e6 / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def waited(self) -> float:
        """The share of its time, 0 to 1, that the loop waited for batches."""
        return self.waiting_s / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def bottleneck(self) -> Literal["fetching", "decoding", "consumer"]:
        """What a faster epoch needs: "consumer" (the model) if the loop waits less than 10% of its time."""
        if self.waited < WAITED:
            return "consumer"
        stages = sum(self.stages_s.values())
        reading = self.stages_s.get("read", 0.0) / stages * self.decoding_s if stages else 0.0
        return "fetching" if self.fetching_s + reading > self.decoding_s - reading else "decoding"

    def summary(self) -> str:
        """One line."""
        return (
            f"{self.images:,} images in {self.elapsed_s:,.1f} s: {self.images_per_s:,.0f} images/s, "
            f"{self.mb_per_s:,.0f} MB/s; waited {self.waited:.0%}; {self.failed:,} failed"
        )

    def __str__(self) -> str:
        where = self.bottleneck
        bound = "model-bound" if where == "consumer" else f"input-bound, by {where}"
        stages = sum(self.stages_s.values()) or 1.0
        shares = ", ".join(f"{stage} {seconds / stages:.0%}" for stage, seconds in self.stages_s.items())
        return (
            f"epoch {self.epoch}: {self.summary()}\n"
            f"{bound}: the model waited {self.waited:.0%} of the time (fetching {self.fetching_s:,.1f} s, "
            f"decoding {self.decoding_s:,.1f} s, the first batch {self.first_batch_s:.2f} s)\n"
            f"decoding threads: {shares or 'nothing yet'}"
        )


class Clock:
    """Adds up an epoch's times. Each field has one thread that writes it."""

    def __init__(self) -> None:
        self.batches = self.images = self.failed = self.bytes = 0
        self.waiting_s = self.first_batch_s = self.consumer_s = self.fetching_s = self.decoding_s = 0.0
        self._stages_us: dict[str, float] = {}

    def add(self, batch: Decoded) -> None:
        """Counts a batch that is delivered."""
        tally = batch.tally
        self.batches += 1
        self.images += tally.images
        self.failed += len(batch.errors)
        self.bytes += tally.bytes
        self.decoding_s += tally.seconds
        for stage, spent in tally.stages_us.items():
            self._stages_us[stage] = self._stages_us.get(stage, 0.0) + spent

    def stats(self, epoch: int) -> Stats:
        """As it stands."""
        values = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return Stats(epoch, stages_s={stage: spent / 1e6 for stage, spent in self._stages_us.items()}, **values)
