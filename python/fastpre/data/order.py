"""In which order a loader asks a map-style dataset for its samples, and the same order again from its middle on."""

from __future__ import annotations

import base64
import itertools
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import RandomSampler

from .state import Arrived, State

__all__ = ["Drawing", "Order", "Shuffled", "current", "restore"]

Generators = dict[str, torch.Generator]

DEFAULT = "default"  # the name of torch's own generator


class Shuffled(RandomSampler):
    """Every sample once, in an order that the seed and the number of the epoch decide, as in `DistributedSampler`.

    Args:
        dataset: has a length.
        seed: of the loader.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        super().__init__(dataset)
        self.seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self.seed + self.epoch) % (1 << 64))
        return iter(torch.randperm(len(self.data_source), generator=generator).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order the next `iter()` gives."""
        self.epoch = epoch


class Order:
    """A batch sampler for a DataLoader: another one's batches, drawn so that they can be drawn again.

    Args:
        batches: the batch sampler that makes the order.
        generator: what the loader was given to draw from, if anything.
    """

    def __init__(self, batches: Iterable[list[Any]], generator: torch.Generator | None) -> None:
        self._batches = batches
        self._generator = generator
        self._drawing: Drawing | None = None

    def begin(self, resume: State | None) -> Drawing:
        """What the next `iter()` gives."""
        self._drawing = Drawing(self._batches, self.generators(), resume)
        return self._drawing

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_drawing": None}

    def __iter__(self) -> Iterator[list[Any]]:
        assert self._drawing is not None
        self._drawing.start()
        return self._drawing

    def __len__(self) -> int:
        return len(self._batches)  # type: ignore[arg-type]

    def generators(self) -> Generators:
        """What an order may be drawn from: torch's own generator, the loader's, and those of the samplers."""
        found: Generators = {DEFAULT: torch.default_generator}
        known = [torch.default_generator]
        sampler, path, seen = self._batches, "batch_sampler", set[int]()
        candidates: list[tuple[str, Any]] = [("generator", self._generator)]
        while sampler is not None and id(sampler) not in seen:
            seen.add(id(sampler))
            candidates.append((f"{path}.generator", getattr(sampler, "generator", None)))
            sampler, path = getattr(sampler, "sampler", None), f"{path}.sampler"  # type: ignore[assignment]
        for name, generator in candidates:
            if isinstance(generator, torch.Generator) and not any(generator is other for other in known):
                known.append(generator)
                found[name] = generator
        return found


class Drawing(Iterator[list[Any]]):
    """One epoch's order, and how much of it has been delivered.

    A sampler draws when its iterator is made or when that is first asked; a custom one may also draw later, and then
    only from a generator of its own can it be drawn again. The states of the generators before are kept, of those that
    changed. Of delivered batches a checksum is kept, so that an order which comes out differently is noticed.
    """

    def __init__(self, batches: Iterable[list[Any]], generators: Generators, resume: State | None) -> None:
        self._batches = batches
        self._generators = generators
        self._resume = None if resume is None or resume.drawn is None else resume
        begin = State(0) if self._resume is None else self._resume
        self._delivered = begin.batches
        self._digest = self._last = begin.digest  # of the indices of what was delivered, and of what was drawn
        self._digests: deque[int] = deque()  # after each batch that was drawn and is yet to be delivered
        # By the name of a generator, its states when the sampler's iterator was made (if it drew then) and when that
        # was first asked. None: not yet.
        self._drawn = begin.drawn
        self._indices: Iterator[list[Any]] | None = None
        self._made: list[dict[str, bytes]] = []  # the generators' states before and after the iterator was made

    def start(self) -> None:
        """Has the sampler make its iterator, when DataLoader would: at once, and with workers twice."""
        if self._resume is None:
            before = self._states()
            self._indices = iter(self._batches)
            self._made = [before, self._states()]

    def __next__(self) -> list[Any]:
        """The next batch's indices.

        Raises:
            ValueError: the sampler does not draw again what it drew before.
        """
        if self._indices is None:
            assert self._resume is not None
            self._indices = self._replayed(self._resume)
        if self._drawn is None:
            before = self._states()
            batch = next(self._indices)
            self._drawn = self._changed(before, self._states())
        else:
            batch = next(self._indices)
        self._last = _checksum(batch, self._last)
        self._digests.append(self._last)
        return batch

    def deliver(self, arrived: Arrived | None) -> None:
        """Counts the next batch, or an error in its place."""
        if self._digests:  # else the error was ours, and there is no batch in whose place it came
            self._delivered += 1
            self._digest = self._digests.popleft()

    def release(self) -> None:
        """Lets go of the order, which may be long."""
        self._indices = iter(())

    def state(self, epoch: int, base_seed: int) -> State:
        """Where the epoch is."""
        return State(epoch, self._delivered, base_seed, self._drawn, self._digest)

    def _states(self) -> dict[str, bytes]:
        return {name: _bytes(generator) for name, generator in self._generators.items()}

    def _changed(self, before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, list[str]]:
        begun, made = self._made
        drawn = {}
        for name in self._generators:
            if begun[name] != made[name]:
                drawn[name] = [_text(begun[name]), _text(before[name])]
            elif before[name] != after[name]:
                drawn[name] = [_text(before[name])]
        return drawn

    def _replayed(self, resume: State) -> Iterator[list[Any]]:
        """The rest of the order, drawn from where it was drawn from before."""
        drawn = resume.drawn or {}
        for name in drawn:
            if name not in self._generators:
                raise ValueError(f"the state's order was drawn from {name}, which this loader's sampler does not have")
        own = torch.default_generator.get_state()
        try:
            restore({name: states[0] for name, states in drawn.items()}, self._generators)
            batches = iter(self._batches)
            restore({name: states[-1] for name, states in drawn.items()}, self._generators)
            first = list(itertools.islice(batches, max(1, resume.batches)))
        finally:
            torch.default_generator.set_state(own)  # the model's; others are left as they were after the draw
        digest = 0
        for batch in first[: resume.batches]:
            digest = _checksum(batch, digest)
        if len(first) < resume.batches or digest != resume.digest:
            msg = (
                f"the sampler's first {resume.batches} batches are not those that were delivered before the state was "
                "saved: it is another one, or it draws from what its `generator`, a seed and set_epoch do not decide"
            )
            raise ValueError(msg)
        return itertools.chain(first[resume.batches :], batches)


def current(generators: Generators) -> dict[str, str]:
    """The states of all but torch's own generator."""
    return {name: _text(_bytes(generator)) for name, generator in generators.items() if name != DEFAULT}


def restore(states: dict[str, str], generators: Generators) -> None:
    """Sets the generators that are there to the states."""
    for name in states.keys() & generators.keys():
        state = zlib.decompress(base64.b64decode(states[name]))
        generators[name].set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def _bytes(generator: torch.Generator) -> bytes:
    return generator.get_state().numpy().tobytes()


def _text(state: bytes) -> str:
    """JSON takes it; 3.4 KB, because every other half word of torch's 5 KB is zero."""
    return base64.b64encode(zlib.compress(state)).decode("ascii")


def _checksum(batch: list[Any], digest: int) -> int:
    return zlib.crc32(repr(list(batch)).encode(), digest)
