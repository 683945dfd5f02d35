"""The memory that results are written to: made here, or the caller's own, checked."""

from __future__ import annotations

import contextlib
import ctypes
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import _core
from ..errors import BackendUnavailable
from . import lazy_torch, tensor_memory

# From here on malloc would map fresh memory for every batch, and its page faults would show: such
# batches use the core's recycled memory (csrc/core/batch_memory.h).
RECYCLED_BYTES = 4 << 20


# Each output's own geometry, as the core takes it; None: the Spec's, for one or all of them.
Draws: TypeAlias = Sequence[_core.Draw | None] | None


class Layout(NamedTuple):
    """How a batch lies in memory.

    Attributes:
        shape: (N, C, H, W), whatever the memory format.
        dtype, memory_format: torch's names, such as "float32" and "channels_last".
    """

    shape: tuple[int, int, int, int]
    dtype: str
    memory_format: str

    @property
    def strides(self) -> tuple[int, int, int, int]:
        """Element strides of a new, dense block."""
        _, c, h, w = self.shape
        if self.memory_format == "channels_last":
            return h * w * c, 1, w * c, c
        return c * h * w, h * w, w, 1

    @property
    def torch_dtype(self) -> Any:
        """The dtype as torch's object."""
        return lazy_torch.as_attribute(self.dtype)

    @property
    def torch_memory_format(self) -> Any:
        """The memory format as torch's object."""
        return lazy_torch.as_attribute(self.memory_format)


class Output(NamedTuple):
    """Where a batch goes: its address, its element strides, and the object to give back."""

    value: Any
    data_ptr: int
    strides: tuple[int, int, int, int]


def allocate_recycled(layout: Layout) -> Output:
    """A new block of the core's recycled memory, dense; its value is a `_core.HostTensor`."""
    strides = layout.strides
    tensor = _core.HostTensor(shape=layout.shape, strides=strides, dtype=layout.dtype)
    return Output(tensor, tensor.data_ptr, strides)


def recycled_array(layout: Layout) -> np.ndarray[Any, Any]:
    """A new NumPy array, dense and (N, C, H, W), in the core's recycled memory; no torch is needed.

    `numpy.from_dlpack` gives a read-only array, so the memory is wrapped by its address, and its owner kept with it.
    """
    memory = allocate_recycled(layout)
    dtype = np.dtype(layout.dtype)
    block: Any = (ctypes.c_char * (math.prod(layout.shape) * dtype.itemsize)).from_address(memory.data_ptr)
    block.owner = memory.value
    dense = np.frombuffer(block, dtype)
    return np.lib.stride_tricks.as_strided(dense, layout.shape, [s * dtype.itemsize for s in memory.strides])


def allocate(layout: Layout, pin_memory: bool) -> Output:
    """A new torch tensor.

    Raises:
        BackendUnavailable: `pin_memory` on a machine without CUDA.
        ValueError: torch replaces or traces new tensors here (`tensor_memory.refuse_tracing`).
    """
    torch = lazy_torch.require()
    tensor_memory.refuse_tracing()
    if pin_memory and not torch.cuda.is_available():
        raise BackendUnavailable("pin_memory=True needs CUDA, and torch.cuda.is_available() is False")
    dtype = layout.torch_dtype
    if math.prod(layout.shape) * dtype.itemsize >= RECYCLED_BYTES and not pin_memory:
        return of_tensor(torch.from_dlpack(allocate_recycled(layout).value))
    # The device is named because torch.set_default_device would otherwise choose it.
    tensor = torch.empty(
        layout.shape, dtype=dtype, memory_format=layout.torch_memory_format, pin_memory=pin_memory, device="cpu"
    )
    return of_tensor(tensor)


def of_tensor(tensor: Any, what: str = "the new tensor") -> Output:
    """A (N, C, H, W) torch tensor's memory.

    Raises:
        ValueError: it is not plainly the tensor's own (`tensor_memory.of`).
    """
    memory = tensor_memory.of(tensor, what)
    return Output(tensor, memory.data_ptr, memory.strides)  # type: ignore[arg-type]


def count_as_write(tensor: Any) -> None:
    """Tells autograd that the tensor's memory changes, so that a backward that has saved it raises torch's usual error.

    An operation in place on no elements raises the version counter in every torch, in inference mode too, and for
    all tensors that share the memory; `torch.autograd.graph.increment_version` is documented from 2.3 on. Inference
    tensors have no counter, and no backward can save them.
    """
    if not tensor.is_inference():
        tensor.detach()[:0].zero_()


def adopt(out: Any, layout: Layout, device: str = "cpu") -> Output:
    """The caller's tensor or NumPy array, after checking that it can be written; for autograd, it now is.

    Args:
        out: on `device`; where that is "cuda", on any CUDA device.

    Raises:
        TypeError: neither a tensor nor an array.
        ValueError: wrong shape, dtype or device, read-only, its memory is not its own, or its elements overlap.
    """
    if lazy_torch.is_tensor(out):
        tensor_memory.refuse_tracing()
        if device not in (str(out.device), out.device.type):
            raise ValueError(f"out is on {out.device}, but device={device!r}")
        result = of_tensor(out, "out")
        if out.requires_grad:
            raise ValueError("out must not require grad; use out.detach()")
        dtype = lazy_torch.name_of(out.dtype)
    elif isinstance(out, np.ndarray):
        plain = np.asarray(out)  # a subclass may say anything of itself
        if not plain.flags.writeable:
            raise ValueError("out is read-only")
        if any(s % plain.itemsize for s in plain.strides):
            raise ValueError(f"out has strides {plain.strides} that are no multiples of its item size")
        if not plain.flags.aligned:
            raise ValueError("out is not aligned to its item size")
        if _leaves_its_base(plain):
            raise ValueError("out reaches past the array that it is a view of")
        strides = tuple(s // plain.itemsize for s in plain.strides)
        dtype = str(plain.dtype)
        result = Output(out, plain.ctypes.data, strides)  # type: ignore[arg-type]
        out = plain
    else:
        raise TypeError(f"out must be a torch tensor or a NumPy array, got {type(out).__name__}")
    if tuple(out.shape) != layout.shape:
        raise ValueError(f"out has shape {tuple(out.shape)}, but this batch needs {layout.shape}")
    if dtype != layout.dtype:
        raise ValueError(f"out has dtype {dtype}, but the spec says {layout.dtype}")
    if overlaps(layout.shape, result.strides):
        raise ValueError(f"out has overlapping elements (strides {result.strides} for shape {layout.shape})")
    if lazy_torch.is_tensor(out):
        count_as_write(out)
    return result


def _leaves_its_base(array: np.ndarray[Any, Any]) -> bool:
    """True for views that `as_strided` made too large; memory that is not NumPy's own cannot be checked."""
    owner: Any = array
    while getattr(owner, "base", None) is not None:
        owner = owner.base
    if array.size == 0 or not isinstance(owner, np.ndarray) or not owner.flags.owndata:
        return False
    first = last = array.ctypes.data
    for size, stride in zip(array.shape, array.strides, strict=True):
        reach = (size - 1) * stride
        first, last = first + min(reach, 0), last + max(reach, 0)
    begin = owner.ctypes.data
    return first < begin or last + array.itemsize > begin + owner.nbytes


def overlaps(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """True unless each dimension steps over all smaller ones.

    Sufficient for memory that slicing, permuting and flipping can make; an exotic interleaving
    that happens not to overlap is refused too.
    """
    if 0 in shape:
        return False
    reach = 0
    for size, stride in sorted(zip(shape, strides, strict=True), key=lambda p: abs(p[1])):
        if size == 1:
            continue
        if abs(stride) <= reach:
            return True
        reach += abs(stride) * (size - 1)
    return False


def move_up(out: Any, kept: list[int]) -> Any:
    """The rows `kept`, moved in place to the front of `out`, in order: a view of its first rows."""
    # torch lets inference tensors be written in inference mode only; `out` may be one outside of that mode.
    inference = lazy_torch.is_tensor(out) and out.is_inference()
    with lazy_torch.require().inference_mode() if inference else contextlib.nullcontext():
        for row, index in enumerate(kept):
            if row != index:
                out[row] = out[index]
    return out[: len(kept)]
