"""Calls with tensors and modes that have no memory, each in a process of its own: the fault would be a crash.

Run as a script it prints what became of each as JSON: "ok", "Exception: message", or "signal N".
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import torch
import torch._dynamo  # used by torch.export, and slow to import in every case
import torch.export
import torch.masked
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensor, FunctionalTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode
from torchvision import tv_tensors

import fastpre
import streams
from fastpre.transforms import DecodeResizeNormalize

JPEG = streams.encode(streams.picture("RGB", 64, 48))
SHAPE = (1, 3, 24, 24)
SPEC = fastpre.Spec(resize=32, crop=24)
PRE = fastpre.Preprocessor(SPEC, num_threads=1)
LARGE = fastpre.Preprocessor(SPEC.replace(resize=700, crop=640), num_threads=1)  # over output.RECYCLED_BYTES
TRANSFORM = DecodeResizeNormalize(SPEC, num_threads=1)


class Wrapper(torch.Tensor):
    """A tensor without memory that promises some, as DTensor and FakeTensor are."""

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return NotImplemented


class Liar(torch.Tensor):
    """An ordinary tensor whose Python methods say otherwise."""

    def data_ptr(self) -> int:
        return 8

    def stride(self, dim: Any = None) -> Any:
        return (1 << 40,) * 4


class Functional(torch.Tensor):
    """A subclass with `__torch_function__` only, such as torchvision's tv_tensors."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))


Make = Callable[[tuple[int, ...], torch.dtype], torch.Tensor]
Use = Callable[[torch.Tensor], Any]


def fake(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    with FakeTensorMode():
        return torch.empty(shape, dtype=dtype)


def functional(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    with FunctionalTensorMode():
        return FunctionalTensor.to_functional(torch.zeros(shape, dtype=dtype))


def resized(shape: tuple[int, ...], dtype: torch.dtype, bytes_: int) -> torch.Tensor:
    tensor = torch.zeros(shape, dtype=dtype)
    tensor.untyped_storage().resize_(bytes_)
    return tensor


def end_cut(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A view whose last element alone is missing."""
    memory = torch.zeros((2, *shape), dtype=dtype)
    last = memory[1]
    memory.untyped_storage().resize_(memory.nbytes - memory.element_size())
    return last


def parameter(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.nn.Parameter(torch.zeros(shape, dtype=dtype), requires_grad=False)


def tv_image(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype).as_subclass(tv_tensors.Image)


def inference(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    with torch.inference_mode():
        return torch.zeros(shape, dtype=dtype)


REFUSED: dict[str, Make] = {
    "FakeTensor": fake,
    "FunctionalTensor": functional,
    "Wrapper": lambda shape, dtype: torch.Tensor._make_wrapper_subclass(Wrapper, shape, dtype=dtype),
    "zero tensor": lambda shape, dtype: torch._efficientzerotensor(shape, dtype=dtype),
    "resized to 0 bytes": lambda shape, dtype: resized(shape, dtype, 0),
    "resized to 4 bytes": lambda shape, dtype: resized(shape, dtype, 4),
    "reaches to byte": end_cut,
    "negated": lambda shape, dtype: torch._neg_view(torch.zeros(shape, dtype=dtype)),
    "meta": lambda shape, dtype: torch.empty(shape, dtype=dtype, device="meta"),
    "nested": lambda shape, dtype: torch.nested.nested_tensor([torch.zeros(shape[1:], dtype=dtype)] * shape[0]),
    "sparse": lambda shape, dtype: torch.zeros(shape, dtype=dtype).to_sparse(),
    "MaskedTensor": lambda shape, dtype: torch.masked.masked_tensor(
        torch.zeros(shape, dtype=dtype), torch.ones(shape, dtype=torch.bool)
    ),
}
ACCEPTED: dict[str, Make] = {
    "Parameter": parameter,
    "tv_tensors.Image": tv_image,
    "inference tensor": inference,
    "__torch_function__": lambda shape, dtype: torch.zeros(shape, dtype=dtype).as_subclass(Functional),
    "methods that lie": lambda shape, dtype: torch.zeros(shape, dtype=dtype).as_subclass(Liar),
    "no reference": lambda shape, dtype: torch._lazy_clone(torch.zeros(shape, dtype=dtype)),
}
TRANSFORMS: dict[str, Callable[[Use, torch.Tensor], Any]] = {
    "vmap": lambda use, x: torch.func.vmap(lambda y: (use(y), y)[1])(x[None]),
    "grad": lambda use, x: torch.func.grad(lambda y: (use(y), y.sum())[1])(x.float()),
    "jvp": lambda use, x: torch.func.jvp(lambda y: (use(y), y)[1], (x,), (x,)),
    "functionalize": lambda use, x: torch.func.functionalize(lambda y: (use(y), y)[1])(x),
}


def under(mode: str, use: Callable[[], Any]) -> Any:
    """Calls `use` in one of torch's modes."""

    class Module(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            use()
            return x + 1

    x = torch.zeros(2)
    if mode in TRANSFORMS:
        return TRANSFORMS[mode](lambda _: use(), x)
    if mode == "FakeTensorMode":
        with FakeTensorMode():
            return use()
    if mode == "FlopCounterMode":
        with FlopCounterMode(display=False):
            return use()
    if mode == "torch.jit.trace":
        return torch.jit.trace(Module(), (x,))
    if mode == "torch.export":
        return torch.export.export(Module(), (x,), strict=False)
    return make_fx(Module(), tracing_mode=mode.removeprefix("make_fx "))(x)


TRACED = (
    "FakeTensorMode",
    "functionalize",
    "grad",
    "jvp",
    "make_fx real",
    "make_fx fake",
    "torch.jit.trace",
    "torch.export",
)
UNTRACED = ("vmap", "FlopCounterMode")


def write(out: torch.Tensor) -> None:
    """Decodes into `out`, and looks whether that is where the pixels went."""
    PRE([JPEG], out=out)
    want = PRE([JPEG])
    with torch._C.DisableTorchFunctionSubclass():
        if not torch.equal(torch.Tensor.detach(out).as_subclass(torch.Tensor), want):
            raise AssertionError("the pixels are not in out")


def read(item: torch.Tensor) -> None:
    """Takes zeros for compressed bytes."""
    with contextlib.suppress(fastpre.CorruptImage):
        PRE([item])


def cases() -> dict[str, Callable[[], Any]]:
    """All calls, by name."""
    found: dict[str, Callable[[], Any]] = {}
    for name, make in (REFUSED | ACCEPTED).items():
        found[f"out {name}"] = lambda make=make: write(make(SHAPE, torch.float32))
        found[f"bytes {name}"] = lambda make=make: read(make((2000,), torch.uint8))
        found[f"pixels {name}"] = lambda make=make: TRANSFORM(make((3, 30, 40), torch.uint8))
    for name, transform in TRANSFORMS.items():
        found[f"out {name}"] = lambda transform=transform: transform(
            lambda y: PRE([JPEG], out=y[None]), torch.zeros(SHAPE[1:])
        )
        if name not in ("grad", "jvp"):  # whose tensors are of floating point
            found[f"bytes {name}"] = lambda transform=transform: transform(read, torch.zeros(2000, dtype=torch.uint8))
            found[f"pixels {name}"] = lambda transform=transform: transform(
                TRANSFORM, torch.zeros(3, 30, 40, dtype=torch.uint8)
            )
    out = torch.zeros(SHAPE)
    for mode in TRACED + UNTRACED:
        found[f"under {mode}"] = lambda mode=mode: under(mode, lambda: PRE([JPEG]))
        found[f"under {mode}, large"] = lambda mode=mode: under(mode, lambda: LARGE([JPEG]))
        found[f"under {mode}, out"] = lambda mode=mode: under(mode, lambda: PRE([JPEG], out=out))
        found[f"under {mode}, transform"] = lambda mode=mode: under(mode, lambda: TRANSFORM(JPEG))
    found["out proxy"] = lambda: PRE([JPEG], out=weakref.proxy(out))
    return found


def outcome(call: Callable[[], Any]) -> str:
    """What becomes of a call, in a forked process: its message, or the signal that ended it."""
    with tempfile.TemporaryFile("w+") as answer:
        child = os.fork()
        if child == 0:
            try:
                call()
                text = "ok"
            except Exception as e:
                text = f"{type(e).__name__}: {e}"
            answer.write(text)
            answer.flush()
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answer.seek(0)
        return answer.read() if status == 0 else f"signal {-status}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    json.dump({name: outcome(call) for name, call in cases().items()}, sys.stdout)
