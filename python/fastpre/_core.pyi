from collections.abc import Sequence
from typing import Any

import numpy as np

__version__: str

class CompiledSpec:
    def __init__(
        self,
        *,
        shorter_side: int | None,
        exact_size: tuple[int, int] | None,
        max_size: int | None,
        crop: tuple[int, int] | None,
        interpolation: str,
        mean_std: tuple[Sequence[float], Sequence[float]] | None,
        dtype: str,
        color: str,
        rescale: str,
        pass_order: str,
        exif_orientation: bool,
        fidelity: str,
        truncated: str,
        max_pixels: int,
        max_output_pixels: int,
        max_bytes: int,
        max_work: int,
    ) -> None: ...

class Cancellation:
    """Ends the calls that were given it, from another thread, for good."""

    def cancel(self) -> None: ...

class Record:
    """What became of one image; wrapped by `fastpre.ImageResult`."""

    @property
    def ok(self) -> bool: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def error(self) -> str | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def decoder(self) -> str: ...
    @property
    def declined(self) -> str: ...
    @property
    def retried(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def peak_bytes(self) -> int: ...
    @property
    def uploaded_bytes(self) -> int: ...
    @property
    def stages_us(self) -> dict[str, float]: ...

class HostTensor:
    """A dense block of host memory that exports itself through DLPack.

    `numpy.from_dlpack(t)`, `torch.from_dlpack(t)` and `jax.dlpack.from_dlpack(t)` share its memory.
    """

    def __init__(self, shape: Sequence[int], strides: Sequence[int], dtype: str) -> None: ...
    @property
    def shape(self) -> list[int]: ...
    @property
    def strides(self) -> list[int]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def data_ptr(self) -> int: ...
    def __dlpack__(self, **kwargs: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

class Draw:
    """One image's own geometry; made by `fastpre.augment.Draw`. Boxes are (top, left, height, width)."""

    def __init__(
        self,
        *,
        flip: tuple[bool, bool],
        crop: tuple[int, int, int, int],
        resized: tuple[int, int],
        window: tuple[int, int, int, int],
        mirror: tuple[bool, bool],
        interpolation: str,
        fill: tuple[int, int, int],
    ) -> None: ...

class FileData:
    """A file's bytes, as a buffer."""

    def __buffer__(self, flags: int, /) -> memoryview: ...

def plan(image: Any, spec: CompiledSpec, taps: bool = False, draw: Draw | None = None) -> dict[str, Any]: ...
def header(image: Any, spec: CompiledSpec) -> tuple[int, int, float]: ...
def taps(filter: str, in_size: int, out_size: int, begin: int, count: int) -> dict[str, Any]: ...
def run(
    spec: CompiledSpec,
    images: Sequence[Any],
    data: int,
    size: tuple[int, int],
    strides: tuple[int, int, int, int],
    threads: int,
    fill: float,
    deadline_s: float | None = None,
    cancellation: Cancellation | None = None,
    draws: Sequence[Draw | None] | None = None,
) -> list[Record]: ...
def cuda_run(
    spec: CompiledSpec,
    images: Sequence[Any],
    data: int,
    size: tuple[int, int],
    strides: tuple[int, int, int, int],
    threads: int,
    fill: float,
    device: int,
    stream: int,
    decoder: str,
    deadline_s: float | None = None,
    cancellation: Cancellation | None = None,
    draws: Sequence[Draw | None] | None = None,
) -> list[Record]: ...

EMULATED: int

def cuda_info() -> dict[str, Any]: ...
def nvjpeg_info() -> dict[str, Any]: ...
def set_nvjpeg_candidates(paths: Sequence[str]) -> None: ...
def cuda_device(device: int) -> dict[str, Any]: ...
def cuda_memory(device: int) -> dict[str, dict[str, int]]: ...
def cuda_rates(device: int) -> dict[str, float | None]: ...
def run_pixels(
    spec: CompiledSpec,
    pixels: np.ndarray[Any, Any],
    data: int,
    size: tuple[int, int],
    strides: tuple[int, ...],
    draw: Draw | None = None,
) -> Record: ...
def geometry_for(spec: CompiledSpec, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int, int, int]]: ...
def read_files(
    images: Sequence[Any],
    max_bytes: int,
    threads: int,
    deadline_s: float | None = None,
    cancellation: Cancellation | None = None,
) -> list[Any]: ...
def image_sizes(
    spec: CompiledSpec,
    images: Sequence[Any],
    deadline_s: float | None = None,
    cancellation: Cancellation | None = None,
) -> list[tuple[int, int] | None]: ...
def transcode(
    image: Any,
    *,
    crop: tuple[int, int] | None,
    optimize: bool,
    restart_rows: int,
    metadata: str,
    max_pixels: int,
    max_bytes: int,
    max_work: int,
    cancellation: Cancellation | None = None,
) -> bytes: ...
def output_sizes(
    spec: CompiledSpec,
    images: Sequence[Any],
    deadline_s: float | None = None,
    cancellation: Cancellation | None = None,
) -> list[tuple[int, int] | None]: ...
def available_threads() -> int: ...
def pool_size() -> int: ...
def targets() -> list[str]: ...
def active_target() -> str: ...
def set_target(name: str) -> None: ...
def build_info() -> dict[str, Any]: ...
