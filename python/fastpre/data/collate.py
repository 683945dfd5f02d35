"""From samples to a batch: images stay compressed until they are decoded, the rest is collated as torch does."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, NamedTuple, TypeAlias

import torch
from torch.utils.data import default_collate, get_worker_info

from .. import _core
from .._backend import sources
from .._backend.arguments import error_policy
from ..errors import ImageError, ImageReadError
from ..preprocessor import Preprocessor
from ..spec import OnError, Spec, layout
from .dataset import Numbered

__all__ = ["collate"]

PLACEHOLDER = ""  # stands where the image was; default_collate passes strings through


Payload: TypeAlias = bytes | str | ImageReadError | None


class Compressed(NamedTuple):
    """A batch as workers send it.

    Attributes:
        images: each a `Payload`: compressed bytes, or a path; None or an error where there is no image.
        names: the images' paths where they are known.
        indices: the samples' indices in the dataset; None if it has none.
        rest: the collated samples, without what belongs at index 0; None where samples are images alone.
    """

    images: list[Any]
    names: list[str | None]
    indices: list[Any] | None
    rest: Any

    def locate(self, error: ImageError) -> ImageError:
        """Adds to one of this batch's errors where its image came from."""
        if error.index is not None:
            error.locate(self.names[error.index], self.indices and self.indices[error.index])
        return error


class Decoded(NamedTuple):
    """A batch as the user gets it.

    Attributes:
        tensor: (N, C, H, W).
        value: the tensor, or where samples have targets, these with the tensor first.
        errors: what was wrong with the images that were skipped or filled.
        ready: on CUDA, when decoded on a stream that is not the consumer's: what the consumer's must wait for.
    """

    tensor: torch.Tensor
    value: Any
    errors: list[ImageError]
    ready: torch.cuda.Event | None = None


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
    rest = None if alone else default_collate([_with_first(sample, PLACEHOLDER) for sample in samples])
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
    source = sources.source(image, index)
    if source is None or isinstance(source, (bytes, str, ImageReadError)):
        return source
    try:
        return bytes(memoryview(source))
    except TypeError:
        msg = f"image {index}: expected compressed bytes or a path, got {type(image).__name__}"
        raise TypeError(msg) from None


def _with_first(sample: Any, first: Any) -> Any:
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


class Decoder:
    """Decodes packed batches; picklable without a `cancellation`, which ends what it is at from another thread."""

    def __init__(
        self,
        preprocessor: Preprocessor,
        on_error: OnError,
        fill: float,
        cancellation: _core.Cancellation | None = None,
    ) -> None:
        error_policy(on_error)
        self.preprocessor = preprocessor
        self.on_error: OnError = on_error
        self.fill = float(fill)
        self.cancellation = cancellation

    def __repr__(self) -> str:
        policy = f"on_error={self.on_error!r}" + (f", fill={self.fill}" if self.on_error == "fill" else "")
        return f"Decoder({self.preprocessor!r}, {policy})"

    def __call__(self, batch: Compressed, out: torch.Tensor | None = None) -> Decoded:
        """The batch with its images decoded; those that are skipped take their targets with them."""
        try:
            call = self.preprocessor._call(self.fill, cancellation=self.cancellation)
            result = self.preprocessor._run(batch.images, out, self.on_error, call)
        except ImageError as error:
            batch.locate(error)
            raise
        errors = [batch.locate(error) for error in result.errors if isinstance(error, ImageError)]
        rest = batch.rest
        if rest is None:
            return Decoded(result.tensor, result.tensor, errors)
        if len(result.indices) < len(batch.images):
            rest = select(rest, result.indices)
        return Decoded(result.tensor, _with_first(rest, result.tensor), errors)


class Collate:
    """What `collate` returns."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def __repr__(self) -> str:
        return f"Collate({self.decoder!r})"

    def __call__(self, samples: list[Any]) -> Any:
        """The collated batch, with the images as one tensor."""
        return self.decoder(pack(samples), self._shared(len(samples))).value

    def _shared(self, count: int) -> torch.Tensor | None:
        """In a worker, memory that the receiving process can map, as `default_collate` does: it saves a copy."""
        preprocessor = self.decoder.preprocessor
        spec, size = preprocessor.spec, preprocessor.spec.output_size
        if get_worker_info() is None or preprocessor.device.startswith("cuda") or size is None:
            return None
        new = layout(spec, count, size)
        empty = torch.empty(0, dtype=spec.dtype, device="cpu")
        storage = torch.UntypedStorage._new_shared(math.prod(new.shape) * empty.element_size())  # type: ignore[no-untyped-call]
        return empty.set_(storage, 0, new.shape, new.strides)


def collate(
    spec: Spec | None = None,
    *,
    device: str | torch.device = "cpu",
    num_threads: int | None = None,
    on_error: OnError = "raise",
    fill: float = 0.0,
) -> Callable[[list[Any]], Any]:
    """A picklable `collate_fn` for a plain DataLoader, which decodes each batch in one call, in the worker.

    `Loader` usually does better: bytes are a fifth of a tensor's size on their way out of a worker, the receiving
    process can use a GPU, and it says which images failed.

    Args:
        spec: what to do with the images. None: `Spec()`.
        device: where to decode. "cuda" works in spawned workers only.
        num_threads: None: 1 in a worker, else the CPUs that this process may use.
        on_error: "raise" the `ImageError` (from a worker DataLoader passes on its type and text, which names the place
            in the batch, but not `.index`), "fill" the image's slot with `fill`, or "skip" the image and its targets.
        fill: the value of a failed image's slot, in the output's scale.

    Returns:
        A function of a list of samples: images (whatever `Preprocessor.run` takes) alone to their (N, C, H, W) tensor;
        or tuples and lists that begin with an image, arranged as `default_collate` does, with the tensor first.

    Raises:
        BackendUnavailable: the device cannot be used here; in a forked worker, when the first batch is decoded.
        ValueError, TypeError: wrong arguments.
    """
    return Collate(Decoder(Preprocessor(spec, device, num_threads), on_error, fill))
