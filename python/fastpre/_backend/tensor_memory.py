"""Does a tensor have memory of its own? Only then may it be written, or read, by address.

torch has many tensors that only look like memory: fake ones, wrappers of other tensors, ones whose storage was
taken away. Their addresses are null or another tensor's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from . import lazy_torch

if TYPE_CHECKING:
    import torch

TRACERS = ("FakeTensorMode", "FunctionalTensorMode", "ProxyTorchDispatchMode")


class Memory(NamedTuple):
    """A strided tensor's memory: the address of its first element, and sizes and strides in elements."""

    data_ptr: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def of(tensor: torch.Tensor, what: str, error: type[Exception] = ValueError) -> Memory:
    """The tensor's memory, if it has its own.

    A subclass that only has `__torch_function__`, such as `nn.Parameter` or torchvision's `tv_tensors.Image`, is an
    ordinary tensor. One with `__torch_dispatch__` (DTensor, FakeTensor) is not, whatever its address says.

    Args:
        what: what to call it in a message, "out" for instance.
        error: what to raise.

    Raises:
        error: it is not strided, a lazy view, a wrapper or a placeholder, or its storage is too short for it.
    """
    torch = lazy_torch.require()
    with torch._C.DisableTorchFunctionSubclass():  # or a subclass would answer in the tensor's place
        fault = _kind(tensor)
        if fault is None:
            ask = torch.Tensor  # its own methods: a subclass may have others of these names
            try:
                data_ptr = ask.data_ptr(tensor)
                bytes_ = ask.untyped_storage(tensor).nbytes()
            except (RuntimeError, NotImplementedError) as e:  # torch has no one class for "there is no storage"
                raise error(f"{what} has no memory of its own: {str(e).splitlines()[0]}") from e
            memory = Memory(data_ptr, tuple(ask.size(tensor)), tuple(ask.stride(tensor)))
            fault = _shortage(memory, bytes_, ask.storage_offset(tensor), ask.element_size(tensor))
            if fault is None:
                return memory
    raise error(f"{what} {fault}")


def _kind(tensor: torch.Tensor) -> str | None:
    """Why a tensor of this kind has no memory of its own."""
    torch = lazy_torch.require()
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        name = type(tensor).__name__
        return f"is a {name}, a subclass with __torch_dispatch__, whose memory need not be its own; use a plain tensor"
    if tensor.layout is not torch.strided:
        return f"must be a strided tensor, got {tensor.layout}"
    if tensor.is_nested:
        return "is a nested tensor; use a plain one"
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return "is a wrapper of torch.func (vmap, grad, jvp, functionalize); use a tensor from outside the transform"
    if tensor.is_neg():
        return "is a lazily negated view; use resolve_neg()"
    if tensor.is_conj():
        return "is a lazily conjugated view; use resolve_conj()"
    if tensor._is_zerotensor():
        return "is a zero tensor without memory (torch._efficientzerotensor); use torch.zeros"
    return None


def _shortage(memory: Memory, storage_bytes: int, offset: int, item_bytes: int) -> str | None:
    """What is missing of the memory that the view reaches; torch's strides are never negative."""
    count = math.prod(memory.shape)
    if count == 0:
        return None
    last = sum((size - 1) * stride for size, stride in zip(memory.shape, memory.strides, strict=True))
    needed = (offset + last + 1) * item_bytes
    if storage_bytes < needed:
        return f"reaches to byte {needed} of a storage that was resized to {storage_bytes} bytes"
    if memory.data_ptr == 0:
        return f"has {count} elements and no memory: its address is null"
    return None


def refuse_tracing() -> None:
    """Refuses calls under torch's modes that replace new tensors or record what is done to them.

    The core writes behind torch's back: a graph that is traced meanwhile would lack it, and return empty memory.
    Modes that only look on, such as FlopCounterMode, are fine, and so is `vmap`, where the batch is a constant.

    Raises:
        ValueError: under FakeTensorMode, torch.func.functionalize and grad, make_fx, torch.export, torch.jit.trace.
    """
    torch = lazy_torch.require()
    if torch._C._get_tracing_state() is not None:
        raise ValueError("fastpre cannot be traced by torch.jit.trace: call it outside, and trace what follows")
    for mode in torch.utils._python_dispatch._get_current_dispatch_mode_stack():
        for base in type(mode).__mro__:
            if base.__name__ in TRACERS:
                raise ValueError(f"fastpre needs tensors with memory: call it outside of torch's {base.__name__}")
    if _kind(torch.empty(0, device="cpu")) is not None:
        raise ValueError("fastpre needs tensors with memory: call it outside of torch.func.grad, jvp and functionalize")
