"""A loaded model: checked once, then a batch in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...spec import Spec
from ..inference import DTYPES, TensorInfo
from .errors import ModelUnavailable
from .found import Found, Options, Outputs

if TYPE_CHECKING:
    import torch

__all__ = ["LoadedModel"]


class LoadedModel:
    """A `Model` of what a source found; see there for the attributes.

    Raises:
        ModelUnavailable: it does not take what the Spec makes, or its outputs have no fixed shape with the batch first.
    """

    def __init__(self, name: str, found: Found, spec: Spec, options: Options) -> None:
        size = spec.output_size
        if size is None:
            raise ModelUnavailable(f"{name}: the Spec's output size depends on the image; give it a crop or (H, W)")
        self.name = name
        self.platform = found.platform
        self.task = found.task
        self.spec = found.network.prepare(spec, options)
        self.device = options.device
        self.labels = found.labels
        self._labels_are_given = found.labels_are_given
        self.max_batch = found.fixed_batch
        self._network = found.network
        self._read = found.read
        self._size = size
        self._input = (spec.channels, *size)
        self._to_fill: torch.Tensor | None = None
        self._shared: frozenset[str] = frozenset()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.outputs: tuple[TensorInfo, ...] = ()
        self._check()

    def __repr__(self) -> str:
        return f"<{self.name}: {self.task} by {self.platform} on {self.device}, {self.spec!r}>"

    def __call__(self, batch: torch.Tensor) -> Mapping[str, np.ndarray[Any, Any]]:
        """See `Model`.

        Raises:
            ValueError: the batch, or an output of this batch, has another shape than the model's.
        """
        if tuple(batch.shape[1:]) != self._input:
            raise ValueError(f"{self.name} takes (N, {', '.join(map(str, self._input))}), got {tuple(batch.shape)}")
        return self._arrays(self._tensors(batch), batch.shape[0])

    def _tensors(self, batch: torch.Tensor) -> Outputs:
        import torch

        with torch.inference_mode():
            if self.max_batch:
                batch = self._filled(batch)
            return self._read(self._network(batch.to(self.device, non_blocking=True)), self._size)

    def _filled(self, batch: torch.Tensor) -> torch.Tensor:
        """The batch, filled up to the only size that the model takes."""
        count = batch.shape[0]
        if count == self.max_batch:
            return batch
        if count > self.max_batch:
            raise ValueError(f"{self.name} takes batches of {self.max_batch}, got {count} images")
        if self._to_fill is None:
            self._to_fill = self._zeros(self.max_batch)
        self._to_fill[:count] = batch
        return self._to_fill

    def _arrays(self, tensors: Outputs, count: int) -> dict[str, np.ndarray[Any, Any]]:
        import torch

        on_host: dict[str, torch.Tensor] = {}
        waits = False
        for name, shape in self._shapes.items():
            tensor = tensors[name][:count]
            if tuple(tensor.shape) != (count, *shape):
                raise ValueError(
                    f"{self.name}: output {name} has shape {tuple(tensor.shape)} for {count} images, and {shape} for "
                    "each of them when the model was loaded"
                )
            if tensor.is_cuda:
                # torch keeps page-locked memory for reuse, so this allocates only the first times.
                host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                on_host[name] = host.copy_(tensor, non_blocking=True)
                waits = True
            else:
                contiguous = torch.contiguous_format
                shared = name in self._shared
                on_host[name] = tensor.clone(memory_format=contiguous) if shared else tensor.contiguous()
        if waits:
            torch.cuda.current_stream(self.device).synchronize()
        return {name: tensor.numpy() for name, tensor in on_host.items()}

    def _zeros(self, count: int) -> torch.Tensor:
        import torch

        memory_format = getattr(torch, self.spec.memory_format_name)
        zeros = torch.zeros(count, *self._input, dtype=getattr(torch, self.spec.dtype_name), device=self.device)
        return zeros.contiguous(memory_format=memory_format)

    def _check(self) -> None:
        """Runs batches of one and of two zeros: what the outputs are, and whether they are the caller's to keep."""
        counts = (self.max_batch, self.max_batch) if self.max_batch else (1, 2)
        batches = [self._zeros(count) for count in counts]
        try:
            first, second = (self._tensors(batch) for batch in batches)
        except ModelUnavailable:
            raise
        except Exception as e:  # whatever the model says of an input that does not suit it
            got = f"a batch of {tuple(batches[0].shape)} {self.spec.dtype_name}"
            reason = " ".join(str(e).split())
            raise ModelUnavailable(f"{self.name} fails on {got}: {type(e).__name__}: {reason}") from e
        self._shapes = {name: tuple(tensor.shape[1:]) for name, tensor in first.items()}
        for tensors, count in ((first, counts[0]), (second, counts[1])):
            self._check_shapes(tensors, count)
        self.outputs = tuple(
            TensorInfo(name, _datatype(name, first[name]), (-1, *s)) for name, s in self._shapes.items()
        )
        self._shared = frozenset(
            name
            for name in first
            if _storage(second[name]) in (_storage(first[name]), *(_storage(batch) for batch in batches))
        )
        if self.task == "classification":
            self._check_labels(self._shapes["logits"][0])

    def _check_shapes(self, tensors: Outputs, count: int) -> None:
        if not tensors or tensors.keys() != self._shapes.keys():
            raise ModelUnavailable(f"{self.name} has outputs {list(self._shapes)}, and then {list(tensors)}")
        for name, tensor in tensors.items():
            if tuple(tensor.shape) != (count, *self._shapes[name]):
                raise ModelUnavailable(
                    f"{self.name}: output {name} has shape {tuple(tensor.shape)} for a batch of {count}; outputs need "
                    "the batch first and then the same shape for every image (python:MODULE:FACTORY can wrap it)"
                )

    def _check_labels(self, classes: int) -> None:
        if len(self.labels) == classes:
            return
        if self._labels_are_given and self.labels:
            raise ModelUnavailable(f"{len(self.labels)} labels for {self.name}, which has {classes} classes")
        self.labels = ()


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _datatype(name: str, tensor: torch.Tensor) -> str:
    import torch

    known = {str(dtype): datatype for datatype, dtype in DTYPES.items() if datatype != "BF16"}
    found = known.get(str(torch.empty(0, dtype=tensor.dtype).numpy().dtype))
    if found is None:
        raise ModelUnavailable(f"output {name} is {tensor.dtype}, for which the protocol has no datatype")
    return found
