"""What to do with every image of a batch: sizes, filter, normalization, layout, limits."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Final

from . import _core
from ._backend import fields
from ._backend.arguments import integer, one_of
from ._backend.lazy_torch import NamedAttribute
from ._backend.output import Layout
from ._backend.signatures import shows_fields_of
from .typing import (
    Color,
    Fidelity,
    Interpolation,
    OnError,
    PassOrder,
    Rescale,
    Size,
    SpecFields,
    TorchDtype,
    TorchMemoryFormat,
    Truncated,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "OnError", "Size", "Spec"]

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)

# Twice PIL.Image.MAX_IMAGE_PIXELS: where Pillow itself refuses with DecompressionBombError.
DEFAULT_MAX_PIXELS: Final = 178_956_970
DEFAULT_MAX_OUTPUT_PIXELS: Final = 1 << 25
DEFAULT_MAX_BYTES: Final = 256 << 20
DEFAULT_MAX_WORK: Final = 4_000_000_000

LIMITS: Final = ("max_pixels", "max_output_pixels", "max_bytes", "max_work")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Spec:
    """The static part of a preprocessing call: validated, hashable, and equal by value.

    The result equals, to the last bit of the float32,
    `Compose([Resize(resize, interpolation), CenterCrop(crop), ToTensor(), Normalize(mean, std)])`
    of torchvision on `PIL.Image.open(f).convert("RGB")`, with `fidelity="exact"`.

    Args:
        resize: int: the shorter side, in pixels, the other in proportion (torchvision's `Resize(int)`);
            (height, width): exactly that; None: no resizing.
        crop: int: a square; (height, width): that; None: no crop. Centred; an image smaller than
            the crop is padded with zeros before normalizing, as `CenterCrop` does.
        interpolation: Pillow's filters, antialiased: nearest, box, bilinear, hamming, bicubic, lanczos; or a member
            of torchvision's `InterpolationMode` or Pillow's `Image.Resampling`.
        mean, std: one number per output channel, in the output's channel order, on the [0, 1] scale; a
            single number stands for all. "imagenet": ImageNet's, in the order of `color` (for "L": 0.449
            and 0.226, their averages). None (both): values stay in [0, 1].
        dtype: float32, float16, bfloat16 (rounded to nearest even from the float32 result) or
            uint8 (no normalization: the pixels after the crop). torch.dtype or its name.
        memory_format: torch.contiguous_format or torch.channels_last, or its name; shape is
            (N, C, H, W) either way.
        color: "RGB", "BGR", or "L" (converted before resizing, as `Image.convert("L")`).
        exif_orientation: True: as `PIL.ImageOps.exif_transpose` before everything else.
        fidelity: "exact" or "fast". "fast" lets the decoder reduce each component as far as twice the output's
            size and resamples it from there, which pays for large images: about 51 dB PSNR to
            "exact" on photographs with "bilinear", 44 dB at worst (docs/exactness.md). It does not look at
            the stream below the last row that it needs, so a truncated tail goes unnoticed. On a CUDA device "exact"
            gives the CPU's bits, and "fast" lets nvJPEG decode, whose inverse DCT is another one (docs/cuda.md).
        max_pixels: of one image's header; over it is `LimitExceeded`.
        max_output_pixels: of one output (33,554,432: 0.4 GB as float32), unless its image has as many itself. A strip
            of 65500 x 1 pixels becomes 32 x 2,096,000 with `resize=32, crop=None`. A `resize` or `crop` that is
            larger is a ValueError.
        max_bytes: of one compressed image.
        max_work: of one image: its pixels times its scans. A progressive stream of 2 MB can hold thousands of scans,
            each of which walks the whole image. The default, 4e9, is 5 to 10 s of one core; 178 megapixels
            may have 22 scans (encoders write about 10), one megapixel 4,000.
        max_size: bound of the longer side for an int `resize`, as in torchvision's `Resize`.
        rescale: "divide" (x / 255, torchvision's ToTensor and v1) or "multiply" (x * float32(1 / 255),
            torchvision's v2 `ToDtype(scale=True)`); they differ in the last bit for some pixel values.
        pass_order: which resampling pass runs first, which shows in the last bit of tall images:
            "horizontal_first" (Pillow before 13), "adaptive" (since 13), or "auto": as the Pillow that is
            installed, "adaptive" without one.
        truncated: what becomes of an image whose stream ends, or breaks off, before the picture does. "error": a
            `CorruptImage`, as from Pillow. "partial": what arrived, marked by `ImageResult.truncated`, and equal to
            the bit to what Pillow gives with `PIL.ImageFile.LOAD_TRUNCATED_IMAGES = True`: gray where coded data
            ends, black (CMYK: white) where decoding broke off. A progressive image cut early is all there, and
            blurred. A stream that ends before its first scan is an error either way.

    Raises:
        TypeError, ValueError: an argument is of the wrong type or out of range; the message names it.
    """

    # As they are stored; `SpecFields` says what is taken.
    resize: Size | None = 256
    crop: Size | None = 224
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] | None = "imagenet"  # type: ignore[assignment]
    std: tuple[float, ...] | None = "imagenet"  # type: ignore[assignment]
    dtype: TorchDtype = NamedAttribute("float32")  # type: ignore[assignment]  # noqa: RUF009
    memory_format: TorchMemoryFormat = NamedAttribute("contiguous_format")  # type: ignore[assignment]  # noqa: RUF009
    color: Color = "RGB"
    exif_orientation: bool = False
    fidelity: Fidelity = "exact"
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_output_pixels: int = DEFAULT_MAX_OUTPUT_PIXELS
    max_bytes: int = DEFAULT_MAX_BYTES
    max_work: int = DEFAULT_MAX_WORK
    max_size: int | None = None
    rescale: Rescale = "divide"
    pass_order: PassOrder = "auto"
    truncated: Truncated = "error"

    if TYPE_CHECKING:

        def __init__(self, **fields: Unpack[SpecFields]) -> None: ...

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        put("resize", fields.size("resize", self.resize))
        put("crop", fields.size("crop", self.crop))
        put("interpolation", fields.interpolation(self.interpolation))
        one_of("color", self.color, fields.COLORS)
        one_of("fidelity", self.fidelity, fields.FIDELITIES)
        one_of("rescale", self.rescale, fields.RESCALES)
        one_of("pass_order", self.pass_order, fields.PASS_ORDERS)
        one_of("truncated", self.truncated, fields.TRUNCATED)
        if self.pass_order == "auto":
            put("pass_order", fields.installed_pass_order())
        one_of("dtype", self.dtype_name, fields.DTYPES)
        one_of("memory_format", self.memory_format_name, fields.MEMORY_FORMATS)
        if not isinstance(self.exif_orientation, bool):
            raise TypeError(f"exif_orientation must be True or False, got {self.exif_orientation!r}")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together: both numbers, or both None")
        for name, imagenet in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            value = getattr(self, name)
            if isinstance(value, str) and value == "imagenet":
                put(name, fields.in_color_order(imagenet, self.color))
            elif value is not None:
                put(name, fields.per_channel(name, value, self.channels))
        if self.std is not None and any(abs(v) < fields.FLOAT32_TINY for v in self.std):
            raise ValueError(f"std must not be 0 in float32, got {self.std}")
        for name in LIMITS:
            put(name, fields.limit(name, getattr(self, name)))
        if self.max_size is not None:
            put("max_size", integer("max_size", self.max_size))
            if not isinstance(self.resize, int):
                raise ValueError("max_size needs resize to be an int (the shorter side)")
            if self.max_size <= self.resize:
                raise ValueError(f"max_size must be greater than resize={self.resize}, got {self.max_size}")
        output = self.output_size
        if output is not None and output[0] * output[1] > self.max_output_pixels:
            msg = f"an output of {output[0]}x{output[1]} pixels is over max_output_pixels={self.max_output_pixels}"
            raise ValueError(msg)

    def _values(self) -> dict[str, Any]:
        names = {"dtype": self.dtype_name, "memory_format": self.memory_format_name}
        return {f.name: names[f.name] if f.name in names else getattr(self, f.name) for f in dataclasses.fields(self)}

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Spec) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._values().values()))

    def __repr__(self) -> str:
        always = ("resize", "crop", "interpolation", "mean", "std")
        defaults = {f.name: f.default for f in dataclasses.fields(self)} | {"pass_order": fields.installed_pass_order()}
        shown = [f"{k}={v!r}" for k, v in self._values().items() if k in always or v != defaults[k]]
        return f"Spec({', '.join(shown)})"

    @property
    def channels(self) -> int:
        """Channels of the output: 1 for color="L", else 3."""
        return 1 if self.color == "L" else 3

    @property
    def dtype_name(self) -> str:
        """`dtype` as a string, with or without torch."""
        name: str = self.__dict__["_dtype_name"]
        return name

    @property
    def memory_format_name(self) -> str:
        """`memory_format` as a string, with or without torch."""
        name: str = self.__dict__["_memory_format_name"]
        return name

    @property
    def output_size(self) -> tuple[int, int] | None:
        """(height, width) of every output, or None if it depends on the image."""
        if self.crop is not None:
            return (self.crop, self.crop) if isinstance(self.crop, int) else self.crop
        return self.resize if isinstance(self.resize, tuple) else None

    def compiled(self) -> _core.CompiledSpec:
        """The core's form of this Spec; made once per distinct value."""
        return _compile(self)

    def replace(self, **changes: Unpack[SpecFields]) -> Spec:
        """A copy with some fields changed."""
        values: dict[str, Any] = {**self._values(), **changes}
        return Spec(**values)

    @staticmethod
    def from_torchvision(transform: object) -> Spec:
        """The Spec of a torchvision transform: a weights' preset or a `Compose`, v1 or v2.

        Raises:
            ValueError: the transform holds something that cannot be expressed, named.
            TypeError: it is no torchvision transform.
        """
        from .interop import torchvision

        return Spec(**torchvision.fields(transform))


@functools.lru_cache(maxsize=256)
def _compile(spec: Spec) -> _core.CompiledSpec:
    crop: tuple[int, int] | None = (spec.crop, spec.crop) if isinstance(spec.crop, int) else spec.crop
    mean_std = None if spec.mean is None or spec.std is None else (spec.mean, spec.std)
    return _core.CompiledSpec(
        shorter_side=spec.resize if isinstance(spec.resize, int) else None,
        exact_size=spec.resize if isinstance(spec.resize, tuple) else None,
        max_size=spec.max_size,
        crop=crop,
        interpolation=spec.interpolation,
        mean_std=mean_std if spec.dtype_name != "uint8" else None,
        dtype=spec.dtype_name,
        color=spec.color,
        rescale=spec.rescale,
        pass_order=spec.pass_order,
        exif_orientation=spec.exif_orientation,
        fidelity=spec.fidelity,
        truncated=spec.truncated,
        max_pixels=spec.max_pixels,
        max_output_pixels=spec.max_output_pixels,
        max_bytes=spec.max_bytes,
        max_work=spec.max_work,
    )


def layout(spec: Spec, count: int, size: tuple[int, int]) -> Layout:
    """How `count` outputs of `size` (height, width) lie in memory."""
    return Layout((count, spec.channels, *size), spec.dtype_name, spec.memory_format_name)


Spec.replace = shows_fields_of(Spec, defaults=False)(Spec.replace)  # type: ignore[method-assign]
