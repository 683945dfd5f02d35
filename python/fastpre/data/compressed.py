"""A batch on its way from workers: images as compressed bytes or paths, the rest collated as torch does."""

from __future__ import annotations

import copy
import hashlib
import numbers
from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch.utils.data import default_collate

from .._backend import sources
from ..errors import ImageError, ImageReadError
from .dataset import Numbered
from .sources.lost import with_targets
from .state import Arrived
from .transformed import Ready, Waiting

__all__ = ["Compressed", "pack", "select", "with_first"]

PLACEHOLDER = ""  # stands where the image was; default_collate passes strings through


Payload: TypeAlias = bytes | str | np.ndarray[Any, np.dtype[np.uint8]] | ImageError | Waiting | Ready | None


class Compressed(NamedTuple):
    """A batch as workers send it.

    Attributes:
        images: each a `Payload`: compressed bytes, perhaps in memory of the dataset's that nothing writes into; or a
            path; None or an error where there is no image; `Waiting` or `Ready` from a folder with a fused transform.
        names: the images' paths where they are known.
        indices: the samples' indices in the dataset; None if it has none.
        rest: the collated samples, without what belongs at index 0; None where samples are images alone.
        arrived: of an iterable dataset.
        seed, epoch, first: the loader's seed, or one that it drew; the number of the epoch; and how many samples came
            before in it. The loader knows them, and no worker.
    """

    images: list[Any]
    names: list[str | None]
    indices: list[Any] | None
    rest: Any
    arrived: Arrived | None = None
    seed: int = 0
    epoch: int = 0
    first: int = 0

    def seeds(self) -> list[int]:
        """32 bits for each sample, made from the seed, the epoch and the sample's index in the dataset.

        They do not depend on batches, threads and workers. An iterable dataset's samples have no index: their place in
        the epoch stands for it.
        """
        indices = range(self.first, self.first + len(self.images)) if self.indices is None else self.indices
        return [_hash(self.seed, self.epoch, index) for index in indices]

    def locate(self, error: ImageError) -> ImageError:
        """Adds to one of this batch's errors where its image came from."""
        if error.index is not None:
            error.locate(self.names[error.index], self.indices and self.indices[error.index])
        return error


def _hash(seed: int, epoch: int, index: Any) -> int:
    key = int(index) if isinstance(index, numbers.Integral) else index  # NumPy's integers print otherwise
    return int.from_bytes(hashlib.blake2b(repr((seed, epoch, key)).encode(), digest_size=4).digest(), "little")


def pack(samples: list[Any]) -> Compressed:
    """Collates samples without decoding.

    Args:
        samples: images, or tuples or lists that begin with one; or each of these as a `Numbered`.

    Raises:
        TypeError: an image that is neither compressed bytes nor a path.
    """
    indices: list[Any] | None = None
    if isinstance(samples[0], Numbered):
        indices, samples = [s.index for s in samples], [s.sample for s in samples]
    alone = not isinstance(samples[0], (tuple, list))
    images = samples if alone else [_image_of(sample, i) for i, sample in enumerate(samples)]
    payloads = [_payload(image, i) for i, image in enumerate(images)]
    names = [sources.name(image) for image in images]
    rest = None if alone else default_collate([with_first(sample, PLACEHOLDER) for sample in with_targets(samples)])
    return Compressed(payloads, names, indices, rest)


def _image_of(sample: Any, index: int) -> Any:
    if isinstance(sample, (tuple, list)) and sample:
        return sample[0]
    msg = (
        f"image {index}: expected a tuple or list that begins with an image, as in the rest of its batch, got "
        f"{type(sample).__name__}; where an image is missing give (None, *targets)"
    )
    raise TypeError(msg)


def _payload(image: Any, index: int) -> Payload:
    """An image that pickles: paths stay paths, because the decoding threads read files side by side."""
    if isinstance(image, (Waiting, Ready)):
        return image
    if isinstance(image, ImageError):
        return type(image)(image.reason)  # the batch has its name
    source = sources.source(image, index)
    if source is None or isinstance(source, (bytes, str, ImageReadError)):
        return source
    try:
        view = memoryview(source)
    except TypeError:
        msg = f"image {index}: expected compressed bytes or a path, got {type(image).__name__}"
        raise TypeError(msg) from None
    if view.readonly and view.c_contiguous:
        return np.frombuffer(view, np.uint8)  # no copy; on its way out of a worker it is pickled as bytes are
    return bytes(view)  # its owner may write the next image there while this one waits


def with_first(sample: Any, first: Any) -> Any:
    """The tuple, named tuple or list with another first element."""
    if hasattr(sample, "_replace"):
        return sample._replace(**{sample._fields[0]: first})
    if isinstance(sample, tuple):
        return (first, *sample[1:])
    changed = copy.copy(sample)
    changed[0] = first
    return changed


def select(collated: Any, rows: list[int]) -> Any:
    """Some rows of what `default_collate` made of a batch."""
    if isinstance(collated, torch.Tensor):
        return collated[rows]
    if isinstance(collated, Mapping):
        chosen = {key: select(value, rows) for key, value in collated.items()}
        if isinstance(collated, MutableMapping):
            clone = copy.copy(collated)
            clone.update(chosen)
            return clone
        return chosen
    if hasattr(collated, "_fields"):
        return type(collated)(*(select(value, rows) for value in collated))
    if isinstance(collated, (list, tuple)):
        # Only a batch of strings holds strings itself; any other sequence has one entry per field of a sample.
        if collated and isinstance(collated[0], (str, bytes)):
            return type(collated)(collated[i] for i in rows)
        return type(collated)(select(value, rows) for value in collated)
    return collated
