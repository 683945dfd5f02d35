"""Iterable datasets that are read piece by piece, each process its own, and that can go on where they stood."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import torch
from torch.utils.data import IterableDataset

from .order import Order, drawn
from .share import Ranks, Share
from .shuffle_buffer import NOTHING, ShuffleBuffer, buffer_size

__all__ = ["Pieces"]

UNSET: Final = -1  # of the epoch


class Pieces(IterableDataset[Any]):
    """A dataset of pieces (tar shards, row groups), each of which is read from its beginning.

    Ranks and their workers share the pieces between them. With `shuffle` the pieces come in a random order, and samples
    leave a shuffle buffer in a random order.

    Args:
        count: how many pieces there are.
        shuffle: the buffer's size in samples; True: 1000; False: everything comes in order.
        seed: what the order depends on, together with the epoch that `set_epoch` has set. None, and no epoch set: it
            is drawn from torch's generators for each iteration, as `DataLoader(shuffle=True)` does.
        rank, world_size: as `Ranks`.

    Raises:
        TypeError, ValueError: wrong arguments.
    """

    _unit = "pieces"  # what they are called in messages

    def __init__(
        self, count: int, *, shuffle: bool | int, seed: int | None, rank: int | None, world_size: int | None
    ) -> None:
        self._count = count
        self._buffer_size = buffer_size(shuffle)
        self._seed = seed
        self._ranks = Ranks(rank, world_size)
        # Shared with workers, also with those that persist: what one process sets, all see.
        self._epoch: torch.Tensor = torch.tensor(UNSET, device="cpu").share_memory_()  # type: ignore[no-untyped-call]
        self._begun = 0  # iterations, in this process
        self._latest: _Iteration | None = None
        self._resume: dict[str, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_begun": 0, "_latest": None}

    @abstractmethod
    def _read(self, piece: int) -> Iterator[Any]:
        """The samples of a piece, always the same ones; what is wrong with it is a sample too."""

    @abstractmethod
    def _lost(self, piece: int, reason: str) -> Any:
        """A sample that stands for what cannot be had of a piece."""

    def set_epoch(self, epoch: int) -> None:
        """Makes the order one of `seed` and this epoch alone, from the next iteration on, in workers too."""
        if epoch < 0:
            raise ValueError(f"epoch must be 0 or more, got {epoch}")
        self._epoch.fill_(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where this process's latest iteration stands, as numbers and lists of them; {} before the first one.

        In a DataLoader with workers each of them has its own: torchdata's `StatefulDataLoader` and `Loader` collect
        them.
        """
        return {} if self._latest is None else self._latest.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next iteration goes on where the saved one stood, with the very next sample.

        It does not if `set_epoch` has set another epoch by then.

        Raises:
            ValueError: the state is of another dataset.
        """
        if state_dict and (state_dict["pieces"], state_dict["shuffle"]) != (self._count, self._buffer_size):
            msg = (
                f"the state is of {state_dict['pieces']} {self._unit} with shuffle={state_dict['shuffle']}, this "
                f"{type(self).__name__} is of {self._count} with shuffle={self._buffer_size}"
            )
            raise ValueError(msg)
        self._resume = state_dict or None

    def __iter__(self) -> Iterator[Any]:
        """Begins an epoch, or goes on with one.

        Raises:
            ValueError: there are fewer pieces than ranks; a state is of another rank or number of workers.
        """
        share = self._ranks.share()
        if share.world_size > self._count:
            msg = (
                f"{share.world_size} ranks cannot share {self._count} {self._unit}: each needs one of its own, or its "
                "epoch is empty and the others wait for it"
            )
            raise ValueError(msg)
        epoch = int(self._epoch)
        resume, self._resume = self._resume, None
        if resume is not None and (epoch == resume["epoch"] or UNSET in (epoch, resume["epoch"])):
            self._latest = _resumed(self, share, resume)
        else:
            self._latest = _Iteration(self, share, epoch, self._order(epoch))
        self._begun += 1
        return self._latest.samples()

    def _order(self, epoch: int) -> Order:
        order = self._among_ranks(epoch)
        if order.shuffled and self._seed is None and epoch == UNSET:
            return order._replace(within_rank=drawn(self._begun))
        return order

    def _among_ranks(self, epoch: int) -> Order:
        """The order as far as ranks must agree on it, which may draw different numbers."""
        key = (self._seed or 0, max(epoch, 0))
        return Order(self._buffer_size > 0, key, key)

    def _of_this_rank(self) -> list[int]:
        """The pieces of the next iteration, of all workers."""
        share = self._ranks.share()._replace(worker=0, workers=1)
        return self._among_ranks(int(self._epoch)).pieces(self._count, share)


class _Token(NamedTuple):
    """Stands in the shuffle buffer for a sample that was read before the state was saved."""

    piece: int
    sample: int


class _Iteration:
    """One epoch, and how far it is.

    Args:
        counts: samples in each of the pieces that are read to their end.
        taken: samples that were read of the piece after those.
        given: samples that were given out; the others are in the shuffle buffer.
    """

    def __init__(
        self,
        dataset: Pieces,
        share: Share,
        epoch: int,
        order: Order,
        counts: list[int] | None = None,
        taken: int = 0,
        given: int = 0,
    ) -> None:
        self._dataset = dataset
        self._share = share
        self._epoch = epoch
        self._order = order
        self._counts = list(counts or ())
        self._taken = taken
        self._given = given
        self._pieces = order.pieces(dataset._count, share)
        self._buffer = ShuffleBuffer(dataset._buffer_size, order.draws(share))

    def state_dict(self) -> dict[str, Any]:
        """See `Pieces.state_dict`."""
        return {
            "pieces": self._dataset._count,
            "shuffle": self._dataset._buffer_size,
            "share": list(self._share),
            "epoch": self._epoch,
            "order": [list(self._order.among_ranks), list(self._order.within_rank)],
            "counts": list(self._counts),
            "taken": self._taken,
            "given": self._given,
        }

    def samples(self) -> Iterator[Any]:
        """Those that have not been given out."""
        if not self._replay():
            yield from self._exchanged()
            self._buffer.close()
        held = self._buffer.held
        while held:
            self._given += 1
            yield held.pop()

    def _exchanged(self) -> Iterator[Any]:
        """What comes out of the buffer while it is filled."""
        for piece in self._pieces[len(self._counts) :]:
            seen = self._taken
            for index, sample in enumerate(self._dataset._read(piece)):
                if index < seen:
                    continue
                self._taken += 1
                out = self._buffer.exchange(sample)
                if out is not NOTHING:
                    self._given += 1
                    yield out
            self._counts.append(self._taken)
            self._taken = 0

    def _replay(self) -> bool:
        """Brings the buffer to where it was when the state was saved; True: it was being emptied."""
        given = 0
        for piece, count in zip(self._pieces, [*self._counts, self._taken], strict=False):
            for index in range(count):
                given += self._buffer.exchange(_Token(piece, index)) is not NOTHING
        held, left = self._buffer.held, self._given - given
        if left:
            self._buffer.close()
            del held[len(held) - left :]
        self._load(held)
        return left > 0

    def _load(self, held: list[Any]) -> None:
        """Reads the samples that tokens stand for, each piece once."""
        wanted: dict[int, dict[int, int]] = {}
        for place, token in enumerate(held):
            wanted.setdefault(token.piece, {})[token.sample] = place
        for piece, places in wanted.items():
            for index, sample in enumerate(self._dataset._read(piece)):
                if index in places:
                    held[places.pop(index)] = sample
                    if not places:
                        break
            for index, place in places.items():
                held[place] = self._dataset._lost(piece, f"sample {index} is gone since the state was saved")


def _resumed(dataset: Pieces, share: Share, state: dict[str, Any]) -> _Iteration:
    if state["share"] != list(share):
        msg = f"the state is of {Share(*state['share']).words()}; this is {share.words()}"
        raise ValueError(msg)
    among_ranks, within_rank = ((first, second) for first, second in state["order"])
    order = Order(state["shuffle"] > 0, among_ranks, within_rank)
    return _Iteration(dataset, share, state["epoch"], order, state["counts"], state["taken"], state["given"])
