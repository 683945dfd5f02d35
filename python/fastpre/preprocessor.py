"""The main job: a batch of JPEGs in, one tensor out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

import numpy as np

from . import _core, errors
from ._backend import arguments, devices, output, sources
from ._backend.call import Call
from ._backend.lazy_torch import outside_graphs
from ._backend.signatures import shows_fields_of
from ._backend.sizes import common_size
from .augment import Compose, Draw
from .augment.batch import Drawn, Start, draw_batch
from .augment.compose import Augment, compose
from .result import ImageResult, Result
from .spec import Spec, layout
from .typing import Image, Images, OnError, SpecFields

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack

    Array = TypeVar("Array", torch.Tensor, np.ndarray[Any, Any])

__all__ = ["Header", "Preprocessor", "decode_resize_normalize"]


class Header(NamedTuple):
    """What one image asks for, as its header says it.

    Attributes:
        height, width: pixels, as displayed if the Spec asks for EXIF orientation.
        cost: predicted cost in arbitrary units, as `Plan.cost`.
    """

    height: int
    width: int
    cost: float


def _no_spec(thing: object) -> str:
    theirs = type(thing).__module__.startswith("torchvision.")
    hint = "; write fastpre.Spec.from_torchvision(it)" if theirs else ""
    return f"spec must be a fastpre.Spec, got {type(thing).__name__}{hint}"


def start_of(spec: Spec, augment: Compose) -> Start:
    """Where an augmentation begins: at what the Spec makes of an image, without what its steps take the place of."""
    left = spec if augment.replaces is None else spec.replace(crop=None)
    return Start(None if augment.replaces == "resize" else left.compiled(), spec.interpolation)


class Preprocessor:
    """A `Spec` bound to a device and a thread count; cheap to make, safe to share between threads.

    Args:
        spec: what to do.
        device: "cpu", "cuda" (torch's current device at each call), "cuda:1", or a torch.device. On CUDA a call
            returns once everything is decoded; the tensor is complete when the current stream gets there, as with any
            torch operation. "emulated" runs the CUDA backend's kernels on the host, for tests.
        num_threads: threads for one call, the caller's included. None: the CPUs that this process
            may use (affinity and cgroup quota), or 1 inside a DataLoader worker.
        pin_memory: put results into page-locked memory; needs CUDA, and device="cpu".

    Raises:
        BackendUnavailable: a CUDA device that cannot be used here; the message says why.
    """

    def __init__(
        self,
        spec: Spec | None = None,
        device: str | torch.device = "cpu",
        num_threads: int | None = None,
        *,
        pin_memory: bool = False,
    ) -> None:
        if spec is None:
            spec = Spec()
        if not isinstance(spec, Spec):
            raise TypeError(_no_spec(spec))
        self._device = devices.resolve(device)
        if pin_memory and self._device.name != "cpu":
            raise ValueError(f"pin_memory=True is for results on the CPU, but device={self._device.name!r}")
        if num_threads is not None:
            arguments.thread_count(num_threads)
        self.spec = spec
        self.device = self._device.name
        self.num_threads = num_threads
        self.pin_memory = pin_memory

    def __repr__(self) -> str:
        return f"Preprocessor({self.spec!r}, device={self.device!r}, num_threads={self.num_threads})"

    @overload
    def __call__(
        self,
        images: Images,
        *,
        augment: Augment | Sequence[Any] | None = None,
        seeds: Sequence[int] | None = None,
        out: None = None,
        on_error: OnError = "raise",
        fill: float = 0.0,
        deadline_s: float | None = None,
    ) -> torch.Tensor: ...
    @overload
    def __call__(
        self,
        images: Images,
        *,
        augment: Augment | Sequence[Any] | None = None,
        seeds: Sequence[int] | None = None,
        out: Array,
        on_error: OnError = "raise",
        fill: float = 0.0,
        deadline_s: float | None = None,
    ) -> Array: ...
    @outside_graphs
    def __call__(
        self,
        images: Images,
        *,
        augment: Augment | Sequence[Any] | None = None,
        seeds: Sequence[int] | None = None,
        out: Any = None,
        on_error: OnError = "raise",
        fill: float = 0.0,
        deadline_s: float | None = None,
    ) -> Any:
        """The batch's tensor; see `run`."""
        return self.run(
            images, augment=augment, seeds=seeds, out=out, on_error=on_error, fill=fill, deadline_s=deadline_s
        ).tensor

    @overload
    def run(
        self,
        images: Images,
        *,
        augment: Augment | Sequence[Any] | None = None,
        seeds: Sequence[int] | None = None,
        out: None = None,
        on_error: OnError = "raise",
        fill: float = 0.0,
        deadline_s: float | None = None,
    ) -> Result[torch.Tensor]: ...
    @overload
    def run(
        self,
        images: Images,
        *,
        augment: Augment | Sequence[Any] | None = None,
        seeds: Sequence[int] | None = None,
        out: Array,
        on_error: OnError = "raise",
        fill: float = 0.0,
        deadline_s: float | None = None,
    ) -> Result[Array]: ...
    @outside_graphs
    def run(
        self,
        images: Images,
        *,
        augment: Augment | Sequence[Any] | None = None,
        seeds: Sequence[int] | None = None,
        out: Any = None,
        on_error: OnError = "raise",
        fill: float = 0.0,
        deadline_s: float | None = None,
    ) -> Result[Any]:
        """Decodes, resizes, crops and normalizes a batch.

        Ctrl-C and other signals are handled during the call, within about 50 ms; `out` then holds whatever was done.
        Handlers must neither fork nor resize the storage of `out`, whose memory is being written.

        Args:
            images: bytes-like objects, 1-D uint8 arrays or tensors, or paths; used without a copy
                where they are contiguous. Also open binary files and whatever else has a `.read()` (`io.BytesIO`),
                read from where they stand to their end; and dicts of "bytes" and "path", of which the bytes count
                if there are any, as Hugging Face's `datasets.Image(decode=False)` gives them.
                They must not change during the call: an `mmap` whose file is cut meanwhile kills the process
                (SIGBUS), while a path, which is read and not mapped, gives an error.
                None is an image that is missing: its error is `ImageReadError`.
            augment: random geometry (`fastpre.augment`): a step, a list of them, or a `Compose`. It takes the place of
                the Spec's crop, or of its resize and crop, where its steps crop or resize. `FiveCrop` and `TenCrop`
                give an (N, views, C, H, W) tensor; `out` is then one of (N * views, C, H, W).
            seeds: one integer for each image, which alone decides what is drawn for it, on every device and wherever it
                stands in a batch; 32 bits of it count. None: torch's default generator (`torch.manual_seed`) draws,
                image by image, as for torchvision's transforms.
            out: where to write: an (N, C, H, W) torch tensor (on the CPU, or a NumPy array) of the spec's dtype and
                on the device, any strides without overlap, whose memory is its own: not a lazy view, a wrapper or a
                subclass with `__torch_dispatch__`. Given back as `Result.tensor`. For autograd the call is a write
                in place: a later backward through what has saved `out` raises torch's usual error.
            on_error: what to do with an image that cannot be decoded, once the rest of the batch is
                done: "raise" its `ImageError` (the first one's), "fill" its slot with `fill`, or
                "skip" its slot (later images move up; with `out`, a view of its first rows).
            fill: the value of a failed image's slot, in the output's scale.
            deadline_s: seconds from now until which images are begun. Those that are not get `DeadlineExceeded`;
                those that are, are finished. None: no deadline.

        Returns:
            Result: `.tensor` of shape (N, C, H, W) and one record per image.

        Raises:
            ImageError: with on_error="raise"; `.index` and `.reason` say which image and why.
            TypeError, ValueError: wrong arguments, or outputs of different sizes (no crop); under torch's modes
                that trace or replace tensors (FakeTensorMode, make_fx, torch.jit.trace). `torch.compile` breaks
                its graph here.
            BackendUnavailable: pin_memory without CUDA; device="cuda" in a forked worker process.
            CudaError: CUDA failed for a reason that is no image's.
            KeyboardInterrupt: or whatever else a signal's handler raises.
        """
        return self._run(images, out, on_error, self._call(fill, deadline_s), augment, seeds)

    def _run(
        self,
        images: Images,
        out: Any,
        on_error: OnError,
        call: Call,
        augment: Augment | Sequence[Any] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Result[Any]:
        """`run`; fastpre.data calls it too, because its loaders cancel calls."""
        items, names = sources.sources(images)
        arguments.check_on_error(on_error)
        if augment is None:
            if seeds is not None:
                raise ValueError("seeds are for augment, and there is none")
            drawn = Drawn(items, None, 1)
        else:
            drawn = self._draw(compose(augment), items, seeds, call)
        return self._execute(drawn, names, out, on_error, call)

    def _execute(self, drawn: Drawn, names: list[str | None], out: Any, on_error: OnError, call: Call) -> Result[Any]:
        """`run`, once it is known what is drawn."""
        size = self._size(drawn, out, call)
        new = layout(self.spec, len(drawn.items), size)
        memory = self._device.allocate(new, self.pin_memory) if out is None else self._device.adopt(out, new)
        records = self._device.execute(self.spec.compiled(), drawn.items, memory, size, call, drawn.compiled())
        results = [ImageResult(i, drawn.first_failed(records, i), name, drawn.of(i)) for i, name in enumerate(names)]
        self._raise_first(results, on_error)
        drawn.erase(memory.value, records)
        kept = [r.index for r in results if r.ok or on_error == "fill"]
        tensor = memory.value
        if len(kept) < len(results):
            rows = drawn.rows(kept)
            tensor = output.move_up(tensor, rows) if out is not None else self._select(tensor, rows)
        return Result(drawn.by_views(tensor), results, kept)

    def _draw(self, augment: Compose, items: list[Any], seeds: Sequence[int] | None, call: Call) -> Drawn:
        """The batch with each image's draw."""
        spec = self.spec
        start = start_of(spec, augment)
        return draw_batch(augment, items, start, spec.channels, seeds, spec.compiled(), spec.max_bytes, call)

    @property
    def threads(self) -> int:
        """Threads of one call, the caller's included."""
        return arguments.thread_count(self.num_threads)

    def header(self, image: Image) -> Header:
        """Reads one image's header, and nothing more: 2 us for bytes. For servers, which refuse before they decode.

        Raises:
            ImageError: the header is broken, unsupported, or over one of the Spec's limits; max_work only as far as
                the header tells.
            TypeError: `image` is no image as `run` takes it.
        """
        return Header(*_core.header(sources.source(image, 0), self.spec.compiled()))

    def run_drawn(
        self, images: Images, draws: Sequence[Draw], *, out: Any = None, on_error: OnError = "raise", fill: float = 0.0
    ) -> Result[Any]:
        """`run` where each image has a geometry of its own already, such as a crop that something else has chosen.

        Args:
            draws: one for each image, of one output size.

        Raises:
            ValueError: another number of draws than of images, or outputs of different sizes.
        """
        items, names = sources.sources(images)
        arguments.check_on_error(on_error)
        if len(draws) != len(items):
            raise ValueError(f"draws must be one for each image: {len(draws)} draws, {len(items)} images")
        return self._execute(Drawn(items, list(draws), 1), names, out, on_error, self._call(fill))

    def run_pixels(self, pixels: np.ndarray[Any, Any], *, draw: Draw | None = None, out: Any = None) -> Any:
        """One image that is decoded already: resized, cropped, normalized on the CPU.

        Args:
            pixels: uint8 (H, W, 3) or (H, W, 1).
            draw: its geometry; None: the Spec's.
            out: where to write: a (C, out_h, out_w) tensor or array of the Spec's dtype. None: a new tensor.

        Returns:
            torch.Tensor: (C, out_h, out_w), or `out`.

        Raises:
            ImageError: an image that the Spec's limits do not allow.
            TypeError, ValueError: `pixels` or `out` of another shape or dtype.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
            raise TypeError(f"expected uint8 (H, W, 3) or (H, W, 1), got {pixels.dtype} {pixels.shape}")
        if 0 in pixels.shape:
            raise ValueError(f"an image of {pixels.shape[0]}x{pixels.shape[1]} pixels")
        compiled = self.spec.compiled()
        size = draw.size if draw is not None else _core.geometry_for(compiled, *pixels.shape[:2])[1][2:]
        new = layout(self.spec, 1, size)
        memory = output.allocate(new, pin_memory=False) if out is None else output.adopt(out[None], new)
        core_draw = None if draw is None else draw.compiled()
        record = _core.run_pixels(compiled, pixels, memory.data_ptr, size, memory.strides[1:], core_draw)
        if record.error is not None:
            raise errors.from_record(record.error, record.reason, None, None)
        tensor = memory.value[0]
        for erasure in () if draw is None else draw.erasures:
            erasure.apply(tensor)
        return tensor if out is None else out

    def dlpack(self, images: Images, *, on_error: OnError = "raise", fill: float = 0.0) -> _core.HostTensor:
        """The same without torch: an object with `__dlpack__`, for `numpy.from_dlpack`, JAX and others.

        on_error="skip" is not available here; everything else is as in `run`.
        """
        if on_error == "skip":
            raise ValueError("dlpack() cannot skip images; use on_error='fill'")
        if self.device.startswith("cuda"):
            raise ValueError("dlpack() is for the CPU; torch's CUDA tensors export themselves through DLPack")
        call = self._call(fill)
        items, names = sources.sources(images)
        size = self._size(Drawn(items, None, 1), None, call)
        memory = output.allocate_recycled(layout(self.spec, len(items), size))
        records = self._device.execute(self.spec.compiled(), items, memory, size, call)
        results = [ImageResult(i, record, names[i]) for i, record in enumerate(records)]
        self._raise_first(results, on_error)
        return memory.value  # type: ignore[no-any-return]

    def _size(self, drawn: Drawn, out: Any, call: Call) -> tuple[int, int]:
        """(height, width) that all outputs share; asks the headers where neither draws nor the spec say it."""
        size = self.spec.output_size if drawn.draws is None else drawn.common_size()
        return common_size(self.spec.compiled(), drawn.items, out, call) if size is None else size

    def _call(
        self, fill: float, deadline_s: float | None = None, cancellation: _core.Cancellation | None = None
    ) -> Call:
        """What `_run` needs to know of one call."""
        return Call.of(self.num_threads, fill, self.spec.dtype_name, deadline_s, cancellation)

    def _select(self, tensor: Any, kept: list[int]) -> Any:
        chosen = tensor[kept]
        return chosen.pin_memory() if self.pin_memory else chosen

    @staticmethod
    def _raise_first(results: list[ImageResult], on_error: str) -> None:
        for r in results:
            error = r.error
            if error is not None and (on_error == "raise" or not isinstance(error, errors.ImageError)):
                try:
                    raise error
                finally:
                    del error  # this frame is in its traceback: a cycle, and everything in the caller's frames with it


@overload
def decode_resize_normalize(
    images: Images,
    *,
    device: str | torch.device = "cpu",
    pin_memory: bool = False,
    augment: Augment | Sequence[Any] | None = None,
    seeds: Sequence[int] | None = None,
    out: None = None,
    on_error: OnError = "raise",
    fill: float = 0.0,
    deadline_s: float | None = None,
    num_threads: int | None = None,
    **fields: Unpack[SpecFields],
) -> torch.Tensor: ...
@overload
def decode_resize_normalize(
    images: Images,
    *,
    device: str | torch.device = "cpu",
    pin_memory: bool = False,
    augment: Augment | Sequence[Any] | None = None,
    seeds: Sequence[int] | None = None,
    out: Array,
    on_error: OnError = "raise",
    fill: float = 0.0,
    deadline_s: float | None = None,
    num_threads: int | None = None,
    **fields: Unpack[SpecFields],
) -> Array: ...
@outside_graphs
@shows_fields_of(Spec)
def decode_resize_normalize(
    images: Images,
    *,
    device: str | torch.device = "cpu",
    pin_memory: bool = False,
    augment: Augment | Sequence[Any] | None = None,
    seeds: Sequence[int] | None = None,
    out: Any = None,
    on_error: OnError = "raise",
    fill: float = 0.0,
    deadline_s: float | None = None,
    num_threads: int | None = None,
    **fields: Unpack[SpecFields],
) -> Any:
    """JPEG images to a normalized tensor in one call: decode, resize, crop, normalize, fused.

    By default a float32 tensor (N, 3, 224, 224) on the CPU, normalized with ImageNet's mean and
    standard deviation, equal to the last bit to torchvision's
    `Compose([Resize(256), CenterCrop(224), ToTensor(), Normalize(mean, std)])` on
    `PIL.Image.open(f).convert("RGB")`.

    Args:
        images, augment, seeds, out, on_error, fill, deadline_s: as `Preprocessor.run`.
        device, pin_memory, num_threads: as `Preprocessor`.
        fields: those of `Spec`.

    Raises:
        ImageError, TypeError, ValueError, BackendUnavailable, CudaError: as these three.

    Returns:
        torch.Tensor: (N, C, H, W), or `out`.
    """
    pre = Preprocessor(Spec(**fields), device, num_threads, pin_memory=pin_memory)
    return pre(images, augment=augment, seeds=seeds, out=out, on_error=on_error, fill=fill, deadline_s=deadline_s)
