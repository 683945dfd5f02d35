"""Where a batch is made: the CPU, a CUDA device, or the emulator that stands for one in tests."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
from typing import Any, Protocol

from . import _core, _memory, _nvjpeg, _output, _torch
from .errors import BackendUnavailable
from .spec import Spec

__all__ = ["Call", "Device", "resolve"]

OLDEST_CAPABILITY = (7, 5)
CUDA_DECODERS = ("auto", "hardware", "hybrid", "coefficients", "pixels")


@dataclasses.dataclass(frozen=True)
class Call:
    """What is one call's own, and no image's and no device's.

    Attributes:
        threads: of the host, the caller's included.
        fill: the value of a failed image's slot, in the output's scale.
        deadline: `time.monotonic()` seconds until which images are begun; None: no deadline.
        cancellation: ends the call from another thread.
    """

    threads: int
    fill: float = 0.0
    deadline: float | None = None
    cancellation: _core.Cancellation | None = None

    def ending(self) -> tuple[float | None, _core.Cancellation | None]:
        """The core's last two arguments: the seconds that are left, and the cancellation."""
        left = None if self.deadline is None else self.deadline - time.monotonic()
        return left, self.cancellation


class Device(Protocol):
    """What `Preprocessor` asks of a device."""

    name: str

    def allocate(self, shape: _output.Shape, spec: Spec, pin_memory: bool) -> _output.Output: ...

    def adopt(self, out: Any, shape: _output.Shape, spec: Spec) -> _output.Output: ...

    def execute(
        self, spec: Spec, items: list[Any], memory: _output.Output, size: tuple[int, int], call: Call
    ) -> list[_core.Record]: ...


class Cpu:
    """The host."""

    name = "cpu"

    def allocate(self, shape: _output.Shape, spec: Spec, pin_memory: bool) -> _output.Output:
        return _output.allocate(shape, spec, pin_memory)

    def adopt(self, out: Any, shape: _output.Shape, spec: Spec) -> _output.Output:
        return _output.adopt(out, shape, spec)

    def execute(
        self, spec: Spec, items: list[Any], memory: _output.Output, size: tuple[int, int], call: Call
    ) -> list[_core.Record]:
        return _core.run(
            spec.compiled(), items, memory.data_ptr, size, memory.strides, call.threads, call.fill, *call.ending()
        )


class Emulated(Cpu):
    """The CUDA backend with its kernels run on the host, thread by thread: slow, for tests without a GPU."""

    name = "emulated"

    def execute(
        self, spec: Spec, items: list[Any], memory: _output.Output, size: tuple[int, int], call: Call
    ) -> list[_core.Record]:
        _nvjpeg.announce()
        return _core.cuda_run(
            spec.compiled(),
            items,
            memory.data_ptr,
            size,
            memory.strides,
            call.threads,
            call.fill,
            _core.EMULATED,
            0,
            cuda_decoder(),
            *call.ending(),
        )


class Cuda:
    """A CUDA device, on the caller's current stream.

    Args:
        index: None: torch's current device at each call, or that of `out`.
    """

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.name = "cuda" if index is None else f"cuda:{index}"

    def _current(self) -> int:
        if self.index is not None:
            return self.index
        index: int = _torch.require().cuda.current_device()
        return index

    def allocate(self, shape: _output.Shape, spec: Spec, pin_memory: bool) -> _output.Output:
        refuse_forked_worker()
        torch = _torch.require()
        if pin_memory:
            raise ValueError("pin_memory is for results on the CPU; this one is on the device")
        _memory.refuse_tracing()
        device = torch.device("cuda", self._current())
        tensor = torch.empty(shape, dtype=spec.dtype, memory_format=spec.memory_format, device=device)
        return _output.of_tensor(tensor)

    def adopt(self, out: Any, shape: _output.Shape, spec: Spec) -> _output.Output:
        refuse_forked_worker()
        if not _torch.is_tensor(out):
            raise TypeError(f"out must be a torch tensor on {self.name}, got {type(out).__name__}")
        return _output.adopt(out, shape, spec, device=self.name)

    def execute(
        self, spec: Spec, items: list[Any], memory: _output.Output, size: tuple[int, int], call: Call
    ) -> list[_core.Record]:
        torch = _torch.require()
        tensor = memory.value
        stream = torch.cuda.current_stream(tensor.device)
        with torch.cuda.device(tensor.device):
            if torch.cuda.is_current_stream_capturing():
                msg = (
                    "decoding waits for the host and cannot be part of a CUDA graph: capture the consumer alone, with "
                    "a static input, and write into that with out= before each replay"
                )
                raise RuntimeError(msg)
        _nvjpeg.announce()
        decoder = cuda_decoder()
        # Its memory may come from another stream's pool, and must not go back there before ours is done with it.
        tensor.record_stream(stream)
        return _core.cuda_run(
            spec.compiled(),
            items,
            memory.data_ptr,
            size,
            memory.strides,
            call.threads,
            call.fill,
            tensor.device.index,
            stream.cuda_stream,
            decoder,
            *call.ending(),
        )


def cuda_decoder() -> str:
    """FASTPRE_CUDA_DECODER: which decoder takes every image that it can; for comparisons.

    Raises:
        ValueError: no such decoder.
    """
    name = os.environ.get("FASTPRE_CUDA_DECODER") or "auto"
    if name not in CUDA_DECODERS:
        raise ValueError(f"FASTPRE_CUDA_DECODER must be one of {', '.join(CUDA_DECODERS)}, got {name!r}")
    return name


def _forked() -> bool:
    """True in a process that multiprocessing forked off."""
    kind = type(multiprocessing.current_process()).__name__
    return kind == "ForkProcess" or (kind == "Process" and multiprocessing.get_start_method() == "fork")


def refuse_forked_worker() -> None:
    """CUDA does not survive a fork, and what it does instead is hard to read.

    Refused are DataLoader workers, whose parents have CUDA in use sooner or later, and any process that was forked off
    after torch had it in use. Others may be the first to use it.

    Raises:
        BackendUnavailable: in a forked DataLoader worker, or where CUDA was used before the fork.
    """
    if (_torch.inside_loader_worker() and _forked()) or _torch.require().cuda._is_in_bad_fork():
        msg = (
            'device="cuda" cannot be used in a forked worker process, such as a DataLoader\'s: let workers ship bytes '
            "and decode in the main process (fastpre.data.Loader does), or give the DataLoader "
            'multiprocessing_context="spawn"'
        )
        raise BackendUnavailable(msg)


def resolve(device: Any) -> Device:
    """The device of that name: "cpu", "cuda", "cuda:1", a torch.device, or "emulated".

    Raises:
        BackendUnavailable: a CUDA device that cannot be used here.
        ValueError: any other device.
    """
    name = str(device)
    kind, _, number = name.partition(":")
    if kind == "cuda" and (number.isdigit() or number == ""):
        return _cuda(name, int(number) if number else None)
    if name in ("cpu", "cpu:0"):
        return Cpu()
    if name == "emulated":
        return Emulated()
    raise ValueError(f"device must be 'cpu' or 'cuda', got {name!r}")


def _cuda(name: str, index: int | None) -> Device:
    if _core.build_info()["cuda"]:
        refuse_forked_worker()  # before CUDA is asked anything, which may fail in its own words there
    info = _core.cuda_info()
    if info["missing"]:
        raise BackendUnavailable(f"device={name!r}: {info['missing']}")
    if index is not None and index >= len(info["devices"]):
        raise BackendUnavailable(f"device={name!r}: this machine shows {len(info['devices'])} CUDA devices")
    capabilities = [device["compute_capability"] for device in info["devices"]]
    asked = capabilities if index is None else [capabilities[index]]
    if all(tuple(map(int, capability.split("."))) < OLDEST_CAPABILITY for capability in asked):
        has = ", ".join(asked)
        raise BackendUnavailable(f"device={name!r}: compute capability {has}; 7.5 is the oldest supported")
    torch = _torch.require()
    if not torch.cuda.is_available():
        version = torch.__version__
        msg = f"device={name!r}: the installed torch ({version}) sees no CUDA device; install one built for CUDA"
        raise BackendUnavailable(msg)
    return Cuda(index)
