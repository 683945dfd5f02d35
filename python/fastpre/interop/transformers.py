"""transformers' image processors, read into the fields of a `Spec`.

The result equals that of the processor's Pillow variety (`ViTImageProcessorPil`; before transformers 5 the "slow" one)
to the bit. The torchvision variety resizes a tensor of 8-bit pixels, which is up to two levels of 255 away from
Pillow's result, and folds rescaling into the normalization, which rounds otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..typing import Interpolation, SpecFields

__all__ = ["fields"]

# PIL.Image.Resampling by number, as configurations store it.
_FILTERS: dict[int, Interpolation] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}

_STEPS = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_flip_channel_order"}
# What they go by, and what changes nothing of the pixels.
_PARAMETERS = {"size", "crop_size", "resample", "rescale_factor", "image_mean", "image_std", "default_to_square"}
_NO_STEPS = {"do_convert_rgb", "do_convert_annotations", "do_reduce_labels", "format", "image_processor_type"}
_NO_STEPS |= {"processor_class", "data_format", "return_tensors"}
# What makes the size depend on the image.
_SIZES = {"do_pad", "pad_size", "keep_aspect_ratio", "ensure_multiple_of"}


def fields(processor: Any, *, closest: bool = False) -> SpecFields:
    """The fields of an image processor that resizes to an exact size, rescales and normalizes.

    Args:
        closest: True: what a Spec cannot do is replaced by the closest thing that gives every image the same size, as
            batches need. Where the size depends on the image (DETR, Depth Anything), images are squashed to the height
            and width that the processor has, or to a square of its shorter side, without padding. Its centre crop,
            which rounds down where torchvision's and a Spec's round to even, may be one pixel off.

    Raises:
        ValueError: it holds something that cannot be expressed, named.
    """
    values = {key: value for key, value in processor.to_dict().items() if value is not None and value is not False}
    for key in sorted(values.keys() - _STEPS - _PARAMETERS - _NO_STEPS):
        if not (key in _SIZES and (closest or _is_idle(key, values))):
            raise _refused(processor, f"{key}={values[key]!r}")
    found = SpecFields(resize=None, crop=None, mean=None, std=None)
    if "do_resize" in values:
        found["resize"] = _resize(processor, values, closest)
        found["interpolation"] = _filter(processor)
    if "do_center_crop" in values:
        if not closest:
            raise _refused(processor, "do_center_crop: it rounds down where a Spec rounds to even")
        found["crop"] = (int(values["crop_size"]["height"]), int(values["crop_size"]["width"]))
    if "do_rescale" not in values or not math.isclose(values["rescale_factor"], 1 / 255, rel_tol=1e-9):
        raise _refused(processor, "do_rescale with another factor than 1/255")
    if "do_flip_channel_order" in values:
        found["color"] = "BGR"
    if "do_normalize" in values:
        found["mean"], found["std"] = _per_channel(values["image_mean"]), _per_channel(values["image_std"])
    return found


def _is_idle(key: str, values: Mapping[str, Any]) -> bool:
    """True if `ensure_multiple_of` leaves an exact size as it is."""
    return key == "ensure_multiple_of" and all(side % values[key] == 0 for side in dict(values["size"]).values())


def _resize(processor: Any, values: Mapping[str, Any], closest: bool) -> int | tuple[int, int]:
    size = {key: value for key, value in dict(values["size"]).items() if value is not None}
    if size.keys() == {"height", "width"}:
        return int(size["height"]), int(size["width"])
    if size.keys() == {"shortest_edge"} and "do_center_crop" in values:
        return int(size["shortest_edge"])
    if "shortest_edge" in size and closest:
        return int(size["shortest_edge"]), int(size["shortest_edge"])
    raise _refused(processor, f"size={size}: the result's size depends on the image")


def _filter(processor: Any) -> Interpolation:
    number = int(processor.resample)
    if number not in _FILTERS:
        raise _refused(processor, f"resample={number}")
    return _FILTERS[number]


def _per_channel(values: Any) -> tuple[float, ...]:
    return (float(values),) * 3 if isinstance(values, (int, float)) else tuple(float(value) for value in values)


def _refused(processor: Any, what: str) -> ValueError:
    return ValueError(f"a Spec cannot express what {type(processor).__name__} does: {what}")
