"""A DataLoader whose workers only fetch: this process decodes whole batches, ahead of their use."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.context import BaseContext
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler

from .. import _core
from .._backend.arguments import integer
from .._backend.forks import refuse_forked_worker
from ..errors import BackendUnavailable, ImageError
from ..preprocessor import Preprocessor
from ..spec import OnError, Spec
from .batches import Batches
from .compressed import Compressed, pack
from .cuda_stream import OnStream
from .dataset import InWorker, Samples, checked
from .decoder import Decoded, Decoder
from .prefetch import Inline, Prefetcher

__all__ = ["Loader"]


class Loader:
    """Iterates over a dataset of compressed images in decoded batches.

    A batch is what `torch.utils.data.DataLoader` would give if the samples' images were (C, H, W) tensors: the
    (N, C, H, W) tensor alone, or for tuples (image, *targets) a list [tensor, *collated targets], and so on for
    lists and named tuples. Only images are put on `device`. Every `iter()` is an epoch of its own; several may be
    under way at once.

    Args:
        dataset: a map-style or iterable Dataset, or a list, tuple or other sequence. Its items are images, or tuples
            or lists that begin with one: whatever `Preprocessor.run` takes; paths are read by the decoding threads.
            A torchvision `ImageFolder` or `DatasetFolder` without a transform, also as part of a `Subset` or
            `ConcatDataset`, is taken as it is: its files are read (by the workers if there are any) and decoded here
            instead of by its `loader`, if that is one of torchvision's own or `fastpre.transforms.read_bytes`.
        spec: what to do with the images. None: `Spec()`.
        device: where batches are decoded and stay: "cpu", "cuda" (torch's current device when an iteration begins),
            "cuda:1", or a torch.device. Workers never touch it, so forked ones are fine.
        on_error: "raise" the `ImageError` in its batch's place (`.index` is the place in the batch, `.dataset_index`
            that in a map-style dataset, `.name` the path if it is known; the next `next()` goes on with the batch
            after), "fill" the image's slot with `fill`, or "skip" the image and its targets (a batch can become
            empty, N = 0).
        fill: the value of a failed image's slot, in the output's scale.
        num_threads: decoding threads. None: the CPUs that this process may use.
        prefetch_batches: how many batches a background thread decodes ahead. 0: the consuming thread decodes.
            With num_workers=0 items are read by the consuming thread all the same, as DataLoader does, so that the
            dataset needs no locks and random numbers come in a fixed order.
        pin_memory: put what is yielded on the CPU into page-locked memory: targets, and images if device="cpu".
        batch_size, num_workers, shuffle, sampler, batch_sampler, drop_last, prefetch_factor, persistent_workers,
        generator, worker_init_fn, multiprocessing_context, timeout: as in DataLoader; `prefetch_factor` counts the
            batches of compressed bytes that each worker holds ready.

    Attributes:
        errors: with on_error="fill" and "skip", what was wrong with images of the batch that was given last.

    Raises:
        BackendUnavailable: the device, or pinned memory, cannot be had here.
        ValueError, TypeError: wrong arguments; a dataset that cannot be taken as it is, with what to write instead.
    """

    def __init__(
        self,
        dataset: Samples,
        spec: Spec | None = None,
        *,
        batch_size: int = 1,
        device: str | torch.device = "cpu",
        num_workers: int = 0,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        drop_last: bool = False,
        on_error: OnError = "raise",
        fill: float = 0.0,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        generator: torch.Generator | None = None,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: str | BaseContext | None = None,
        timeout: float = 0,
        num_threads: int | None = None,
        prefetch_batches: int = 2,
        pin_memory: bool = False,
    ) -> None:
        if batch_size is None:
            raise ValueError("batch_size=None (a dataset of ready batches) is not supported; batches are made here")
        on_cpu = str(device).partition(":")[0] != "cuda"
        self._decoder = Decoder(
            Preprocessor(spec, device, num_threads, pin_memory=pin_memory and on_cpu), on_error, fill
        )
        if pin_memory and not torch.cuda.is_available():
            raise BackendUnavailable("pin_memory=True needs CUDA, and torch.cuda.is_available() is False")
        self._prefetch_batches = integer("prefetch_batches", prefetch_batches, least=0)
        self._options: dict[str, Any] = {
            "num_workers": num_workers,
            "collate_fn": pack,
            "pin_memory": pin_memory,
            "timeout": timeout,
            "worker_init_fn": InWorker(worker_init_fn),
            "multiprocessing_context": multiprocessing_context,
            "generator": generator,
            "prefetch_factor": prefetch_factor,
        }
        self._dataset = dataset
        self._loader: DataLoader[Any] = DataLoader(
            checked(dataset),
            batch_size=batch_size,
            shuffle=shuffle,
            sampler=sampler,
            batch_sampler=batch_sampler,
            drop_last=drop_last,
            persistent_workers=persistent_workers,
            **self._options,
        )
        self._streams: dict[int, torch.cuda.Stream] = {}
        self._served: Inline | Prefetcher | None = None  # the iteration that the persistent workers belong to
        self.errors: list[ImageError] = []

    def __repr__(self) -> str:
        length = operator.length_hint(self.dataset, -1)  # an iterable dataset may refuse to say
        count = f" of {length}" if length >= 0 else ""
        size = "batch_sampler=..." if self.batch_size is None else f"batch_size={self.batch_size}"
        return (
            f"Loader({type(self.dataset).__name__}{count}, {self.spec!r}, {size}, device={self.device!r}, "
            f"num_workers={self._loader.num_workers})"
        )

    @property
    def spec(self) -> Spec:
        """What is done with the images."""
        return self._decoder.preprocessor.spec

    @property
    def device(self) -> str:
        """Where batches are decoded, as `Preprocessor.device`."""
        return self._decoder.preprocessor.device

    @property
    def dataset(self) -> Samples:
        """The dataset, as it was given."""
        return self._dataset

    @property
    def sampler(self) -> Any:
        """The sampler, as DataLoader's: `loader.sampler.set_epoch(epoch)`."""
        return self._loader.sampler

    @property
    def batch_sampler(self) -> Any:
        """The batch sampler, as DataLoader's."""
        return self._loader.batch_sampler

    @property
    def batch_size(self) -> int | None:
        """Samples per batch; None with a `batch_sampler`."""
        return self._loader.batch_size

    def __len__(self) -> int:
        """Batches per epoch, where the dataset has a length."""
        return len(self._loader)

    def __iter__(self) -> Batches:
        """Begins an epoch: starts the workers, or wakes the persistent ones."""
        depth = self._prefetch_batches
        cancellation = _core.Cancellation()
        decode = self._background_decoder(cancellation) if depth else self._decoder
        own_workers = not self._workers_busy()
        batches = self._source(own_workers)
        decoded: Inline | Prefetcher
        if depth:
            decoded = Prefetcher(batches, decode, depth, cancellation, reads_here=self._loader.num_workers == 0)
        else:
            decoded = Inline(batches, decode)
        if own_workers and self._loader.persistent_workers:
            self._served = decoded
        return Batches(self, decoded)

    def _workers_busy(self) -> bool:
        return self._served is not None and self._served.open

    def _source(self, own_workers: bool) -> Iterator[Compressed]:
        """An iterator that no other iteration shares."""
        if own_workers:
            return iter(self._loader)
        # DataLoader has one iterator for its persistent workers, and would take it from the iteration that has it.
        how: dict[str, Any] = {"batch_sampler": self._loader.batch_sampler}
        if isinstance(self._loader.dataset, IterableDataset):
            how = {"batch_size": self._loader.batch_size, "drop_last": self._loader.drop_last}
        return iter(DataLoader(self._loader.dataset, **how, **self._options))

    def _background_decoder(self, cancellation: _core.Cancellation) -> Callable[[Compressed], Decoded]:
        preprocessor, on_error, fill = self._decoder.preprocessor, self._decoder.on_error, self._decoder.fill
        if not preprocessor.device.startswith("cuda"):
            return Decoder(preprocessor, on_error, fill, cancellation)
        refuse_forked_worker()
        # The current device is each thread's own: what "cuda" means is settled here, in the consumer's.
        device = torch.device(preprocessor.device)
        index = torch.cuda.current_device() if device.index is None else device.index
        if index not in self._streams:
            # One for all epochs: torch's allocator keeps a pool per stream, and a new one each time would fill each.
            self._streams[index] = torch.cuda.Stream(index)  # type: ignore[no-untyped-call]
        with_index = Preprocessor(preprocessor.spec, f"cuda:{index}", preprocessor.num_threads)
        return OnStream(Decoder(with_index, on_error, fill, cancellation), self._streams[index])
