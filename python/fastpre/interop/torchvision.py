"""torchvision's transforms, v1 and v2, read into a `Spec`: step by step, refusing by name.

The steps' names and attributes are torchvision's public ones; classes are recognized by name, so
neither version is imported for the other's sake.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

from ..spec import Spec

__all__ = ["InexactFusionWarning", "spec_from_torchvision"]


class InexactFusionWarning(UserWarning):
    """The fused transform is Pillow's where the original resizes a tensor: values differ slightly."""


# torchvision.transforms.InterpolationMode values to Pillow's filters. On PIL images torchvision
# runs NEAREST_EXACT as Pillow's nearest.
_FILTERS = {
    "nearest": "nearest",
    "nearest-exact": "nearest",
    "box": "box",
    "bilinear": "bilinear",
    "hamming": "hamming",
    "bicubic": "bicubic",
    "lanczos": "lanczos",
}


def _refuse(step: object, why: str) -> ValueError:
    return ValueError(f"cannot fuse {type(step).__name__}: {why}")


def _is_torchvision(step: object) -> bool:
    return type(step).__module__.partition(".")[0] == "torchvision"


def _steps(transform: Any) -> Iterator[Any]:
    """The leaves of nested `Compose`s and `nn.Sequential`s."""
    name = type(transform).__name__
    if name == "Compose" and hasattr(transform, "transforms"):
        for step in transform.transforms:
            yield from _steps(step)
    elif name == "Sequential" and hasattr(transform, "children"):
        for step in transform.children():
            yield from _steps(step)
    else:
        yield transform


def _pair(size: Any) -> Any:
    if isinstance(size, int):
        return size
    size = tuple(int(s) for s in size)
    return size[0] if len(size) == 1 else size


@dataclasses.dataclass
class _Reader:
    """A machine that walks the steps: which kind of value flows, and the Spec's fields so far."""

    fields: dict[str, Any] = dataclasses.field(default_factory=lambda: {"resize": None, "crop": None})
    state: str = "pil"  # then "uint8" (a tensor), "float32" ([0, 1]) and "normalized"
    normalized: bool = False

    def read(self, step: Any) -> None:
        name = type(step).__name__
        method = getattr(self, f"_read_{name}", None)
        if not _is_torchvision(step) and name != "Identity":
            raise _refuse(step, "it is not one of torchvision's transforms")
        if method is None:
            known = "Resize, CenterCrop, ToTensor, PILToTensor, ToImage, ToDtype, ConvertImageDtype, Normalize"
            raise _refuse(step, f"fastpre can express {known}, in that order")
        method(step)

    def _read_Identity(self, step: Any) -> None:
        pass

    _read_ToPureTensor = _read_Identity

    def _read_Resize(self, step: Any) -> None:
        if self.fields["resize"] is not None:
            raise _refuse(step, "there are two of them")
        if self.fields["crop"] is not None:
            raise _refuse(step, "it follows CenterCrop; fastpre resizes first")
        if step.size is None:
            raise _refuse(step, "size=None (max_size alone) cannot be expressed")
        self._geometry(step)
        self.fields["resize"] = _pair(step.size)
        self.fields["max_size"] = step.max_size
        self._filter(step, step.interpolation, step.antialias)

    def _read_CenterCrop(self, step: Any) -> None:
        if self.fields["crop"] is not None:
            raise _refuse(step, "there are two of them")
        self._geometry(step)
        self.fields["crop"] = _pair(step.size)

    def _geometry(self, step: Any) -> None:
        if self.state not in ("pil", "uint8"):
            raise _refuse(step, "it follows the conversion to float; fastpre does it on 8-bit pixels")

    def _filter(self, step: Any, interpolation: Any, antialias: Any) -> None:
        value = getattr(interpolation, "value", interpolation)
        if value not in _FILTERS:
            raise _refuse(step, f"interpolation {value!r} is not one of Pillow's filters")
        self.fields["interpolation"] = _FILTERS[value]
        if self.state == "uint8":
            if antialias is False:
                raise _refuse(step, "it resizes a tensor with antialias=False; Pillow's filters are antialiased")
            message = (
                "Resize after ToImage/PILToTensor runs on a tensor in torchvision; the fused transform gives Pillow's "
                "result, which differs by a level or so. Put Resize first to make both equal."
            )
            warnings.warn(message, InexactFusionWarning, stacklevel=6)

    def _read_ToTensor(self, step: Any) -> None:
        if self.state != "pil":
            raise _refuse(step, "the image is a tensor already")
        self.state = "float32"

    def _read_PILToTensor(self, step: Any) -> None:
        if self.state != "pil":
            raise _refuse(step, "the image is a tensor already")
        self.state = "uint8"

    _read_ToImage = _read_PILToTensor

    def _read_ConvertImageDtype(self, step: Any) -> None:
        # v1 divides by 255; v2's class of the same name multiplies, as its ToDtype does.
        rescale = "multiply" if ".v2" in type(step).__module__ else "divide"
        self._convert(step, step.dtype, rescale)

    def _read_ToDtype(self, step: Any) -> None:
        dtype = step.dtype
        if isinstance(dtype, dict):
            known = {getattr(k, "__name__", k): v for k, v in dtype.items()}
            dtype = known.get("Image", known.get("others"))
        if dtype is None:
            return
        if not step.scale and self.state == "uint8" and str(dtype) != "torch.uint8":
            raise _refuse(step, "scale=False keeps values in 0..255 as floats")
        self._convert(step, dtype, "multiply")

    def _convert(self, step: Any, dtype: Any, rescale: str) -> None:
        name = str(dtype).removeprefix("torch.")
        if self.state == "pil":
            raise _refuse(step, "a PIL image reaches it; put ToImage or PILToTensor before")
        if self.state == "uint8":
            if name == "uint8":
                return
            if name != "float32":
                raise _refuse(step, f"{name} arithmetic: convert to float32 first and to {name} last")
            self.fields["rescale"] = rescale
            self.state = "float32"
        elif name in ("float16", "bfloat16"):
            self.fields["dtype"] = name
            self.state = name
        elif name != self.state:
            raise _refuse(step, f"{self.state} to {name}")

    def _read_Normalize(self, step: Any) -> None:
        if self.normalized:
            raise _refuse(step, "there are two of them")
        if self.state != "float32":
            raise _refuse(step, f"it needs float32 values, and gets {self.state}")
        self.fields["mean"] = tuple(float(v) for v in step.mean)
        self.fields["std"] = tuple(float(v) for v in step.std)
        self.normalized = True

    def spec(self) -> Spec:
        if self.state == "pil":
            raise ValueError(
                "cannot fuse: the transform ends with a PIL image; it needs ToTensor, PILToTensor or ToImage"
            )
        if self.state == "uint8":
            self.fields["dtype"] = "uint8"
        if not self.normalized:
            self.fields["mean"] = self.fields["std"] = None
        return Spec(**self.fields)


def _preset(transform: Any) -> Spec:
    reader = _Reader(state="pil")
    reader._filter(transform, transform.interpolation, transform.antialias)
    return Spec(
        resize=_pair(transform.resize_size),
        crop=_pair(transform.crop_size),
        interpolation=reader.fields["interpolation"],
        mean=tuple(transform.mean),
        std=tuple(transform.std),
    )


def spec_from_torchvision(transform: Any) -> Spec:
    """The Spec of a classification preset (`weights.transforms()`), a `Compose` or a single step."""
    if type(transform).__name__ == "ImageClassification" and _is_torchvision(transform):
        return _preset(transform)
    steps = list(_steps(transform))
    if not any(_is_torchvision(step) for step in steps):
        raise TypeError(f"expected a torchvision transform, got {type(transform).__name__}")
    reader = _Reader()
    for step in steps:
        reader.read(step)
    return reader.spec()
