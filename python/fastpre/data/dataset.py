"""What a loader's workers fetch from: the user's dataset with each sample's index, and folders without decoding."""

from __future__ import annotations

import bisect
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from torch.utils.data import ConcatDataset, Dataset, IterableDataset, Subset, get_worker_info

from ..transforms import read_bytes
from .sources.files import file_sample
from .stream import Stream
from .transformed import begin, transform_of

__all__ = ["InWorker", "Indexed", "Numbered", "Samples", "checked"]


class Indexable(Protocol):
    """A list, a tuple, a `datasets.Dataset`: whatever has a length and items."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


Samples: TypeAlias = Dataset[Any] | Indexable


class Numbered(NamedTuple):
    """A sample and what the sampler asked the dataset for."""

    index: Any
    sample: Any


class Indexed(Dataset[Numbered]):
    """A map-style dataset whose samples know their index, so that errors can name it.

    A torchvision `DatasetFolder` that would decode with PIL gives its files instead, also as part of a `Subset` or a
    `ConcatDataset`; one of our own does too, so that errors can name its paths. With a fused transform it gives images
    for which everything is drawn.

    Args:
        dataset: what the user gave. Its attributes are read for each sample: they may change between epochs.

    Raises:
        ValueError: a folder with a transform, which would get no PIL image.
    """

    def __init__(self, dataset: Samples) -> None:
        self.dataset: Any = dataset
        self.holds_files = _holds_files(dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: Any) -> Numbered:
        return Numbered(index, _sample(self.dataset, index) if self.holds_files else self.dataset[index])

    def __getitems__(self, indices: list[Any]) -> list[Numbered]:
        """A batch; how DataLoader fetches."""
        together = None if self.holds_files else getattr(self.dataset, "__getitems__", None)
        if together is None:
            return [self[index] for index in indices]
        return [Numbered(index, sample) for index, sample in zip(indices, together(indices), strict=True)]


class InWorker:
    """A `worker_init_fn`: gives `get_worker_info().dataset` the user's own dataset, then calls `init`."""

    def __init__(self, init: Callable[[int], None] | None) -> None:
        self.init = init

    def __call__(self, worker: int) -> None:
        """See the class."""
        info = get_worker_info()
        if info is not None and isinstance(info.dataset, (Indexed, Stream)):
            object.__setattr__(info, "dataset", info.dataset.dataset)  # torch guards the attribute against assignment
        if self.init is not None:
            self.init(worker)


def checked(dataset: Any) -> Dataset[Any]:
    """The dataset as a DataLoader gets it.

    Raises:
        TypeError: it is neither a dataset nor a sequence.
        ValueError: as `Indexed`.
    """
    if isinstance(dataset, IterableDataset):
        return dataset
    if isinstance(dataset, (str, bytes)) or hasattr(dataset, "__fspath__"):
        msg = (
            f"dataset must hold images, got a {type(dataset).__name__}; of a folder with class folders make "
            "fastpre.data.ImageFolder(root), of tar shards fastpre.data.Shards(folder), and so on (docs/sources.md)"
        )
        raise TypeError(msg)
    if isinstance(dataset, Mapping) or not hasattr(dataset, "__getitem__"):
        msg = (
            f"dataset must be a torch Dataset or a sequence of samples, got a {type(dataset).__name__}; write "
            "Loader(list(samples)), or with a generator function Loader(fastpre.data.Stream(function))"
        )
        raise TypeError(msg)
    return Indexed(dataset)


def _holds_files(dataset: Any) -> bool:
    if type(dataset) is Subset:
        return _holds_files(dataset.dataset)
    if type(dataset) is ConcatDataset:
        parts = [_holds_files(part) for part in dataset.datasets]  # a transform is refused in any of them
        return any(parts)
    return _is_folder(dataset)


def _is_folder(dataset: Any) -> bool:
    """True for a torchvision `DatasetFolder` of which nothing is lost if its files are read here.

    Raises:
        ValueError: it has a transform that fastpre does not know, and decodes for it.
    """
    folder = sys.modules.get("torchvision.datasets.folder")  # not imported: no such dataset
    if folder is None or not isinstance(dataset, folder.DatasetFolder):
        return False
    if type(dataset).__getitem__ is not folder.DatasetFolder.__getitem__:
        return False
    if transform_of(dataset) is not None:
        return True
    decodes = dataset.loader in (folder.default_loader, folder.pil_loader, folder.accimage_loader)
    if decodes and dataset.transform is not None:
        kind = type(dataset).__name__
        msg = (
            f"{kind} has a transform, which would get no PIL image here: Loader decodes and preprocesses. Write "
            "Loader(fastpre.data.ImageFolder(root, transform)), which fuses it"
        )
        raise ValueError(msg)
    return decodes or (dataset.loader is read_bytes and dataset.transform is None)


def _sample(dataset: Any, index: Any) -> Any:
    """The dataset's sample, with a file in place of what a folder would decode from it."""
    if type(dataset) is Subset:
        return _sample(dataset.dataset, dataset.indices[index])
    if type(dataset) is ConcatDataset:
        if index < 0:
            index += len(dataset)
        part = bisect.bisect_right(dataset.cumulative_sizes, index)
        return _sample(dataset.datasets[part], index - (dataset.cumulative_sizes[part - 1] if part else 0))
    if not _is_folder(dataset):
        return dataset[index]
    path, target = dataset.samples[index]
    transform = transform_of(dataset)
    image = file_sample(path) if transform is None else begin(transform, path)
    return image, target if dataset.target_transform is None else dataset.target_transform(target)
