"""A DataLoader whose workers only fetch: this process decodes whole batches, ahead of their use."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.context import BaseContext
from typing import Any

import torch
from torch.utils.data import Sampler

from .. import _core
from .._backend.arguments import integer
from .._backend.forks import refuse_forked_worker
from .._progress import Progress
from ..augment.compose import Augment, compose
from ..errors import BackendUnavailable, ImageError
from ..preprocessor import Preprocessor
from ..spec import OnError, Spec
from .batches import Batches
from .compressed import Compressed
from .cuda_stream import OnStream
from .dataset import Samples
from .decoder import Decoded, Decoder
from .epoch import Epoch
from .epochs import Epochs
from .prefetch import Inline, Prefetcher
from .reading import Reading
from .report import Report
from .state import State
from .stats import Clock, Stats
from .transformed import prescribed, transform_of

__all__ = ["Loader"]


class Loader:
    """Iterates over a dataset of compressed images in decoded batches.

    A batch is what `torch.utils.data.DataLoader` would give if the samples' images were (C, H, W) tensors: the
    (N, C, H, W) tensor alone, or for tuples (image, *targets) a list [tensor, *collated targets], and so on for
    lists and named tuples. Only images are put on `device`. Every `iter()` is an epoch of its own, which begins with
    its first batch; several may be under way at once.

    Epochs are numbered, from 0 on, by the loops themselves, or by `set_epoch`. The sampler, the batch sampler and the
    dataset are told where they have a `set_epoch`; a sampler whose `epoch` you set is believed, so that scripts which
    call `loader.sampler.set_epoch(epoch)` go on to work. `state_dict` and `load_state_dict` save and restore the place
    in the middle of an epoch, to the sample; `report` names the bad images; `stats` says where the time goes.

    Args:
        dataset: a map-style or iterable Dataset, or a list, tuple or other sequence. Its items are images, or tuples
            or lists that begin with one: whatever `Preprocessor.run` takes; paths are read by the decoding threads.
            A torchvision `ImageFolder` or `DatasetFolder` without a transform, also as part of a `Subset` or
            `ConcatDataset`, is taken as it is: its files are read (by the workers if there are any) and decoded here
            instead of by its `loader`, if that is one of torchvision's own or `fastpre.transforms.read_bytes`.
            A folder with a fused transform (`fastpre.data.ImageFolder(root, transform)`) also says what is done with
            images: what is random is drawn where samples are read, one after the other, as by DataLoader; decoding and
            normalizing are left to the decoding threads. Steps that work on pixels run where samples are read: for
            those have workers.
        spec: what to do with the images. None: `Spec()`, or the dataset's transform.
        augment: random geometry, as `Preprocessor.run` takes it. Each sample's draws come from a seed of its own, made
            of `seed` (or a number that torch's generator gives), the epoch and the sample's index in the dataset: the
            same whatever the batches, workers, threads and devices, and after a resumption.
        device: where batches are decoded and stay: "cpu", "cuda" (torch's current device when an iteration begins),
            "cuda:1", or a torch.device. Workers never touch it, so forked ones are fine.
        on_error: "raise" the `ImageError` in its batch's place (`.index` is the place in the batch, `.dataset_index`
            that in a map-style dataset, `.name` the path if it is known; the next `next()` goes on with the batch
            after), "fill" the image's slot with `fill`, or "skip" the image and its targets (a batch can become
            empty, N = 0).
        fill: the value of a failed image's slot, in the output's scale.
        seed: decides, with the number of the epoch, the order of shuffle=True (a permutation by
            `torch.Generator().manual_seed(seed + epoch)`, as `DistributedSampler` draws it), workers' seeds and
            augmentations' draws (what a dataset's own transform draws is its matter, and not in `state_dict`). Nothing
            is then drawn from torch's own generator, so `generator` is not needed. None:
            all is drawn as by DataLoader: from `generator`, or torch's own.
        progress: show how far an epoch is, and what it took, on stderr: a bar on a terminal, elsewhere a line every ten
            seconds.
        num_threads: decoding threads. None: the CPUs that this process may use.
        prefetch_batches: how many batches a background thread decodes ahead. So many, the one under way included, are
            in memory besides the loop's own. 0: the consuming thread decodes.
            With num_workers=0 items are read by the consuming thread all the same, as DataLoader does, so that the
            dataset needs no locks and random numbers come in a fixed order.
        pin_memory: put what is yielded on the CPU into page-locked memory: targets, and images if device="cpu". torch
            keeps such memory for the next batches; of other large batches the last two that were freed are kept.
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
        augment: Augment | Sequence[Any] | None = None,
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
        seed: int | None = None,
        progress: bool = False,
    ) -> None:
        if batch_size is None:
            raise ValueError("batch_size=None (a dataset of ready batches) is not supported; batches are made here")
        on_cpu = str(device).partition(":")[0] != "cuda"
        transform = transform_of(dataset)
        if transform is not None:
            if spec is not None or augment is not None:
                raise ValueError("the dataset's transform says what is done with images; leave out spec and augment")
            spec, augment = prescribed(transform)
        self._decoder = Decoder(
            Preprocessor(spec, device, num_threads, pin_memory=pin_memory and on_cpu),
            on_error,
            fill,
            augment=None if augment is None else compose(augment),
            seeded=True,
        )
        if pin_memory and not torch.cuda.is_available():
            raise BackendUnavailable("pin_memory=True needs CUDA, and torch.cuda.is_available() is False")
        self._prefetch_batches = integer("prefetch_batches", prefetch_batches, least=0)
        if seed is not None and generator is not None:
            raise ValueError("seed and generator are mutually exclusive: either decides what is drawn")
        self._dataset = dataset
        self._reading = Reading(
            dataset,
            None if seed is None else integer("seed", seed, least=0, below=None),
            {
                "batch_size": batch_size,
                "shuffle": shuffle,
                "sampler": sampler,
                "batch_sampler": batch_sampler,
                "drop_last": drop_last,
            },
            {
                "num_workers": num_workers,
                "pin_memory": pin_memory,
                "timeout": timeout,
                "worker_init_fn": worker_init_fn,
                "multiprocessing_context": multiprocessing_context,
                "generator": generator,
                "prefetch_factor": prefetch_factor,
            },
            persistent_workers=persistent_workers,
        )
        self._epochs = Epochs(dataset, self.batch_sampler, self.sampler)
        self._epoch: Epoch | None = None  # the one that was begun last
        self._resume: State | None = None  # where the next one begins
        self._progress = progress
        self._report = Report()
        self._streams: dict[int, torch.cuda.Stream] = {}
        self.errors: list[ImageError] = []

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_epoch": None, "_streams": {}}  # a copy begins an epoch of its own

    def __repr__(self) -> str:
        length = operator.length_hint(self.dataset, -1)  # an iterable dataset may refuse to say
        count = f" of {length}" if length >= 0 else ""
        augment = "" if self._decoder.augment is None else f", augment={self._decoder.augment!r}"
        size = "batch_sampler=..." if self.batch_size is None else f"batch_size={self.batch_size}"
        return (
            f"Loader({type(self.dataset).__name__}{count}, {self.spec!r}{augment}, {size}, device={self.device!r}, "
            f"num_workers={self._reading.arranged.num_workers})"
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
        return self._reading.arranged.sampler

    @property
    def batch_sampler(self) -> Any:
        """The batch sampler, as DataLoader's."""
        return self._reading.arranged.batch_sampler

    @property
    def batch_size(self) -> int | None:
        """Samples per batch; None with a `batch_sampler`."""
        return self._reading.arranged.batch_size

    def __len__(self) -> int:
        """Batches per epoch, where the dataset has a length."""
        return len(self._reading.arranged)

    def __iter__(self) -> Batches:
        """An epoch; with its first batch the workers are started, or the persistent ones woken."""
        return Batches(self, self._begin)

    def set_epoch(self, epoch: int) -> None:
        """Numbers the next epoch, and tells the sampler, the batch sampler and the dataset.

        A place that was loaded in another epoch is given up.
        """
        self._epochs.set(integer("epoch", epoch, least=0))

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch that was begun last, after the batches that were delivered, as a plain dict.

        JSON takes it, if it takes the dataset's own state. Batches that were only read or decoded ahead do not count.
        After an epoch's last batch the place is its end, as with torchdata's `StatefulDataLoader`, and once the loop
        has noticed the end, the next epoch's beginning.

        Raises:
            TypeError: the dataset is a datapipe.
        """
        if self._resume is not None and self._resume.epoch == self._epochs.coming():
            state = self._resume
        elif self._epoch is not None and self._epochs.begun and not self._epoch.over:
            state = self._epoch.state()
        else:
            state = State(self._epochs.coming(), generators=self._reading.generators())
        return state.as_dict(self._reading.made)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next epoch goes on where the state was saved: the same batches, in the same order.

        `num_threads`, `prefetch_batches` and, for a map-style dataset, `num_workers` may differ. What was delivered is
        neither read nor decoded again. The order is drawn again from the states that its generators had (`generator`'s
        and the sampler's own are set, torch's own is left as it is), or from `seed`; a sampler of your own is asked
        again from its beginning. The order of later epochs is the same if there is a `seed` or a `generator`, or if you
        restore torch's own.

        An iterable dataset with `state_dict` and `load_state_dict`, of its own or of its iterator, is asked for them
        after each batch in each worker, and goes on from there. Without them it is read again up to the place.

        Raises:
            ValueError: the state is of a loader with another dataset length, batch size or seed, or, for an iterable
                dataset, number of workers; with the first batch: the sampler does not repeat its order.
            TypeError: no such state.
        """
        state = State.of(state_dict, self._reading.made)
        self._reading.restore(state.generators)
        self._epochs.set(state.epoch)
        self._resume = state

    def report(self) -> Report:
        """The bad images of all epochs so far; it goes on to be filled."""
        return self._report

    def stats(self) -> Stats:
        """Where the time of the epoch that was begun last goes, up to now."""
        return Clock().stats(self._epochs.coming()) if self._epoch is None else self._epoch.stats()

    def _begin(self) -> tuple[Epoch, Inline | Prefetcher]:
        """Begins an epoch, or goes on with one that was loaded."""
        number, resume = self._epochs.coming(), self._resume
        if resume is not None and resume.epoch != number:
            resume = None  # the user goes on with another epoch
        clock = Clock()
        depth = self._prefetch_batches
        cancellation = _core.Cancellation()
        decode = self._background_decoder(cancellation) if depth else self._decoder.attempt
        self._epochs.set(number)
        begun = self._reading.begin(number, resume, clock)
        decoded: Inline | Prefetcher
        if depth:
            reads_here = self._reading.arranged.num_workers == 0
            decoded = Prefetcher(begun.source, decode, depth, cancellation, reads_here=reads_here)
        else:
            decoded = Inline(begun.source, decode)
        if begun.workers:
            self._reading.served = decoded.ending
        self._epochs.begin()
        self._resume = None
        self._epoch = Epoch(
            number,
            begun.base_seed,
            begun.position,
            raises=self._decoder.on_error == "raise",
            report=self._report,
            clock=clock,
            shown=Progress(f"epoch {number}", self._reading.images(resume)) if self._progress else None,
        )
        return self._epoch, decoded

    def _background_decoder(self, cancellation: _core.Cancellation) -> Callable[[Compressed], Decoded]:
        preprocessor = self._decoder.preprocessor
        if not preprocessor.device.startswith("cuda"):
            return self._decoder.with_preprocessor(preprocessor, cancellation).attempt
        refuse_forked_worker()
        # The current device is each thread's own: what "cuda" means is settled here, in the consumer's.
        device = torch.device(preprocessor.device)
        index = torch.cuda.current_device() if device.index is None else device.index
        if index not in self._streams:
            # One for all epochs: torch's allocator keeps a pool per stream, and a new one each time would fill each.
            self._streams[index] = torch.cuda.Stream(index)  # type: ignore[no-untyped-call]
        with_index = Preprocessor(preprocessor.spec, f"cuda:{index}", preprocessor.num_threads)
        return OnStream(self._decoder.with_preprocessor(with_index, cancellation), self._streams[index])
