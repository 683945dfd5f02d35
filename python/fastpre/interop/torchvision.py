"""torchvision's transforms, v1 and v2, read into the fields of a `Spec`.

Steps are read one by one, and one that a `Spec` cannot express is refused by name. Their names and attributes are
torchvision's public ones; classes are recognized by name, so neither version is imported for the other's sake.
"""

from __future__ import annotations

import dataclasses
import enum
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..typing import DtypeName, Interpolation, Rescale, SpecFields
from .functions import converts_to_rgb, function_of
from .refusals import foreign, named, refused, unknown

__all__ = ["InexactFusionWarning", "Parts", "fields", "parts"]


class InexactFusionWarning(UserWarning):
    """The fused transform is Pillow's where the original resizes a tensor: values differ slightly."""


# torchvision.transforms.InterpolationMode values to Pillow's filters. On PIL images torchvision
# runs NEAREST_EXACT as Pillow's nearest.
_FILTERS: dict[str, Interpolation] = {
    "nearest": "nearest",
    "nearest-exact": "nearest",
    "box": "box",
    "bilinear": "bilinear",
    "hamming": "hamming",
    "bicubic": "bicubic",
    "lanczos": "lanczos",
}

# What Spec can round a float32 result to.
_HALVES: dict[str, DtypeName] = {"float16": "float16", "bfloat16": "bfloat16"}

# timm's, which leave alone what is a tensor already.
_TIMM_CONVERSIONS = ("MaybeToTensor", "MaybePILToTensor")

_LISTS = "fuse reads a list of steps; write torchvision.transforms.Compose([...])"
_REPEAT = "write Grayscale(1) alone, and .expand(3, -1, -1) repeats the channel"

KNOWN = (
    "RGB, Grayscale, Resize, CenterCrop, ToTensor, PILToTensor, ToImage, ToDtype, ConvertImageDtype and Normalize, in "
    "that order"
)


def _is_torchvision(step: object) -> bool:
    return type(step).__module__.partition(".")[0] == "torchvision"


def _refuse_empty(steps: list[Any], transform: Any) -> None:
    if not steps:
        raise ValueError(
            f"an empty {type(transform).__name__} leaves the PIL image as it is; for a tensor of its pixels write "
            "Compose([torchvision.transforms.PILToTensor()])"
        )


def _is_known(step: object) -> bool:
    """True for an object of torchvision's or timm's that may be a transform by itself."""
    theirs = _is_torchvision(step) or type(step).__module__.startswith("timm.data.")
    return theirs and not isinstance(step, enum.Enum)


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
    """A state machine over the steps: what the image is at this step, and the fields so far."""

    fields: SpecFields = dataclasses.field(default_factory=lambda: SpecFields(resize=None, crop=None))
    state: str = "pil"  # then "uint8" (a tensor), "float32" ([0, 1]) and "normalized"
    normalized: bool = False

    @property
    def channels(self) -> int:
        """Of the image at this step."""
        return 1 if self.fields.get("color") == "L" else 3

    def read(self, step: Any) -> None:
        function = function_of(step)
        if function is not None and converts_to_rgb(function):
            if self.state != "pil":
                raise refused(step, "a tensor reaches it; put it before the conversion to a tensor")
            self._read_RGB(step)
            return
        name = type(step).__name__
        known = _is_torchvision(step) or name in ("Identity", *_TIMM_CONVERSIONS)
        method = getattr(self, f"_read_{name}", None) if known else None
        if method is None:
            raise unknown(step, KNOWN)
        method(step)

    def _read_Identity(self, step: Any) -> None:
        pass

    _read_ToPureTensor = _read_Identity

    def _read_RGB(self, step: Any) -> None:
        # Nothing to do: what is fused is the transform of an RGB image.
        if self.channels == 1:
            raise refused(step, f"it follows Grayscale; {_REPEAT}")

    def _read_Grayscale(self, step: Any) -> None:
        if step.num_output_channels != 1:
            raise refused(step, f"{step.num_output_channels} output channels; {_REPEAT}")
        if self.state != "pil":
            raise refused(step, "torchvision's gray of a tensor is not Pillow's; put it before the other steps")
        if self.fields["resize"] is not None:
            raise refused(
                step, "it follows Resize, and fastpre converts before resizing; put it before the other steps"
            )
        self.fields["color"] = "L"  # if it follows CenterCrop: pixel by pixel, so the order does not matter

    def _read_Resize(self, step: Any) -> None:
        if self.fields["resize"] is not None:
            raise refused(step, "there are two of them; keep the one that gives the final size")
        if self.fields["crop"] is not None:
            raise refused(step, "it follows CenterCrop, and fastpre resizes first; write Resize before CenterCrop")
        if step.size is None:
            raise refused(
                step,
                "size=None (max_size alone) cannot be expressed; give the shorter side, Resize(size, max_size=...)",
            )
        self._geometry(step)
        self.fields["resize"] = _pair(step.size)
        self.fields["max_size"] = step.max_size
        self._filter(step, step.interpolation, step.antialias)

    def _read_CenterCrop(self, step: Any) -> None:
        if self.fields["crop"] is not None:
            raise refused(step, "there are two of them; leave one out")
        self._geometry(step)
        self.fields["crop"] = _pair(step.size)

    def _geometry(self, step: Any) -> None:
        if self.state not in ("pil", "uint8"):
            raise refused(step, "it follows the conversion to float, and fastpre does it on 8-bit pixels; put it first")

    def _filter(self, step: Any, interpolation: Any, antialias: Any) -> None:
        value = getattr(interpolation, "value", interpolation)
        if value not in _FILTERS:
            raise refused(step, f"interpolation {value!r} is not one of Pillow's filters ({', '.join(_FILTERS)})")
        self.fields["interpolation"] = _FILTERS[value]
        if self.state == "uint8":
            if antialias is False:
                raise refused(
                    step,
                    "it resizes a tensor with antialias=False, unlike Pillow's filters; write antialias=True",
                )
            message = (
                "Resize after ToImage/PILToTensor runs on a tensor in torchvision; the fused transform gives Pillow's "
                "result, which differs by a level or so. Put Resize first to make both equal."
            )
            warnings.warn(message, InexactFusionWarning, stacklevel=6)

    def _read_ToTensor(self, step: Any) -> None:
        if self.state != "pil":
            raise refused(step, "the image is a tensor already; leave it out")
        self.state = "float32"

    def _read_PILToTensor(self, step: Any) -> None:
        if self.state != "pil":
            raise refused(step, "the image is a tensor already; leave it out")
        self.state = "uint8"

    _read_ToImage = _read_MaybePILToTensor = _read_PILToTensor
    _read_MaybeToTensor = _read_ToTensor

    def _read_ConvertImageDtype(self, step: Any) -> None:
        # v1 divides by 255; v2's class of the same name multiplies, as its ToDtype does.
        rescale: Rescale = "multiply" if ".v2" in type(step).__module__ else "divide"
        self._convert(step, step.dtype, rescale)

    def _read_ToDtype(self, step: Any) -> None:
        dtype = step.dtype
        if isinstance(dtype, dict):
            known = {getattr(k, "__name__", k): v for k, v in dtype.items()}
            dtype = known.get("Image", known.get("others"))
        if dtype is None:
            return
        if not step.scale and self.state == "uint8" and str(dtype) != "torch.uint8":
            raise refused(step, "scale=False keeps values in 0..255 as floats; write ToDtype(dtype, scale=True)")
        self._convert(step, dtype, "multiply")

    def _convert(self, step: Any, dtype: Any, rescale: Rescale) -> None:
        name = str(dtype).removeprefix("torch.")
        if self.state == "pil":
            raise refused(step, "a PIL image reaches it; put ToImage or PILToTensor before")
        if self.state == "uint8":
            if name == "uint8":
                return
            if name != "float32":
                raise refused(step, f"{name} arithmetic: convert to float32 first and to {name} last")
            self.fields["rescale"] = rescale
            self.state = "float32"
        elif name in _HALVES:
            self.fields["dtype"] = _HALVES[name]
            self.state = name
        elif name != self.state:
            raise refused(step, f"it converts {self.state} to {name}; leave it out")

    def _read_Normalize(self, step: Any) -> None:
        if self.normalized:
            raise refused(step, "there are two of them; write one with the means and deviations of both together")
        if self.state != "float32":
            raise refused(
                step, f"it needs float32 values, and gets {self.state}; put ToDtype(torch.float32, scale=True) before"
            )
        self.fields["mean"] = self._per_channel(step, step.mean)
        self.fields["std"] = self._per_channel(step, step.std)
        self.normalized = True

    def _per_channel(self, step: Any, values: Any) -> tuple[float, ...]:
        """One value for each channel; a single one is broadcast, as by torch."""
        try:
            numbers = tuple(float(v) for v in values)
        except TypeError:  # a number, or a tensor of no dimension
            numbers = (float(values),)
        if len(numbers) == 1:
            return numbers * self.channels
        if len(numbers) != self.channels:
            raise refused(
                step, f"{len(numbers)} values for {self.channels} channels; give one for each, or one for all"
            )
        return numbers

    def end(self) -> SpecFields:
        """The fields, once all steps are read."""
        if self.state == "pil":
            raise ValueError(
                "the transform ends with a PIL image; append torchvision.transforms.ToTensor() for "
                "float32 in [0, 1], or PILToTensor() for uint8"
            )
        if self.state == "uint8":
            self.fields["dtype"] = "uint8"
        if not self.normalized:
            self.fields["mean"] = self.fields["std"] = None
        return self.fields


def _preset(transform: Any) -> SpecFields:
    reader = _Reader(state="pil")
    reader._filter(transform, transform.interpolation, transform.antialias)
    return SpecFields(
        resize=_pair(transform.resize_size),
        crop=_pair(transform.crop_size),
        interpolation=reader.fields["interpolation"],
        mean=tuple(transform.mean),
        std=tuple(transform.std),
    )


def fields(transform: Any) -> SpecFields:
    """The fields of a classification preset (`weights.transforms()`), a `Compose` or a single step.

    Raises:
        ValueError: a step that cannot be expressed, by name, and what to write instead.
        TypeError: no torchvision transform at all.

    Warns:
        InexactFusionWarning: a tensor is resized; the warning names the line that called this function's caller.
    """
    if type(transform).__name__ == "ImageClassification" and _is_torchvision(transform):
        return _preset(transform)
    steps = list(_steps(transform))
    _refuse_empty(steps, transform)
    if steps[0] is transform and not _is_known(transform):
        raise TypeError(f"expected a torchvision transform, got {named(transform)}: {foreign(transform) or _LISTS}")
    reader = _Reader()
    for step in steps:
        reader.read(step)
    return reader.end()


class Parts(NamedTuple):
    """A transform of PIL images, by what its steps work on.

    Attributes:
        image: steps on the PIL image.
        ending: the conversion to a tensor and what directly follows of scaling and normalizing; empty if there is none.
        fields: of a Spec that does what `ending` does; None if it is empty.
        after: steps on the tensor.
    """

    image: list[Any]
    ending: list[Any]
    fields: SpecFields | None
    after: list[Any]


CONVERSIONS = frozenset({"ToTensor", "MaybeToTensor", "PILToTensor", "MaybePILToTensor", "ToImage"})
ENDINGS = CONVERSIONS | {"ToDtype", "ConvertImageDtype", "ConvertDtype", "Normalize", "Identity", "ToPureTensor"}


def parts(transform: Any) -> Parts:
    """Any transform's steps, sorted for fusing.

    Raises:
        TypeError: no transform of torchvision or timm at all.
        ValueError: one without steps.
    """
    steps = list(_steps(transform))
    _refuse_empty(steps, transform)
    if steps[0] is transform and not _is_known(transform):
        raise TypeError(f"expected a torchvision transform, got {named(transform)}: {foreign(transform) or _LISTS}")
    begin = next((i for i, step in enumerate(steps) if _ends(step, CONVERSIONS)), len(steps))
    reader = _Reader()
    end = begin
    while end < len(steps) and _ends(steps[end], ENDINGS):
        try:
            reader.read(steps[end])
        except ValueError:  # the user's own step does it, afterwards
            break
        end += 1
    read = reader.end() if end > begin else None
    return Parts(steps[:begin], steps[begin:end], read, steps[end:])


def _ends(step: Any, names: frozenset[str]) -> bool:
    return type(step).__name__ in names and _is_known(step)
