"""A `collate_fn` that decodes: samples to a batch, in the worker of a plain DataLoader."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import get_worker_info

from ..augment.compose import Augment, compose
from ..preprocessor import Preprocessor
from ..spec import OnError, Spec, layout
from .compressed import pack
from .decoder import Decoder

__all__ = ["collate"]


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
        elsewhere = get_worker_info() is None or preprocessor.device.startswith("cuda")
        if elsewhere or size is None or self.decoder.augment is not None:  # which may say another size
            return None
        new = layout(spec, count, size)
        empty = torch.empty(0, dtype=spec.dtype, device="cpu")
        storage = torch.UntypedStorage._new_shared(math.prod(new.shape) * empty.element_size())  # type: ignore[no-untyped-call]
        return empty.set_(storage, 0, new.shape, new.strides)


def collate(
    spec: Spec | None = None,
    *,
    augment: Augment | Sequence[Any] | None = None,
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
        augment: random geometry, as `Preprocessor.run` takes it; torch's default generator draws, which DataLoader
            seeds in each worker.
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
    steps = None if augment is None else compose(augment)
    return Collate(Decoder(Preprocessor(spec, device, num_threads), on_error, fill, augment=steps))
