"""timm's preprocessing for evaluation, read into the fields of a `Spec`.

`timm.data.create_transform(**config, is_training=False)` is what the fields repeat, bit by bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..typing import SpecFields

__all__ = ["fields"]

_FILTERS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")


def fields(config: Mapping[str, Any]) -> SpecFields:
    """The fields of a data configuration: what `timm.data.resolve_data_config` returns.

    Args:
        config: with "input_size" (C, H, W), "crop_pct", "crop_mode", "interpolation", "mean" and "std".

    Raises:
        ValueError: it holds something that cannot be expressed, named.
    """
    channels, *size = config["input_size"]
    if channels != 3:
        raise _refused("input_size", config, "a Spec makes 3 channels of what timm gives")
    if config["interpolation"] not in _FILTERS:
        raise _refused("interpolation", config, f"known are {', '.join(_FILTERS)}")
    if config.get("crop_border_pixels"):
        raise _refused("crop_border_pixels", config, "it trims the image before it is resized")
    return SpecFields(
        resize=_resize(config, size),
        crop=(size[0], size[1]),
        interpolation=config["interpolation"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def _resize(config: Mapping[str, Any], size: list[int]) -> int | tuple[int, int]:
    """As in timm.data.transforms_factory.transforms_imagenet_eval."""
    height, width = (math.floor(side / float(config["crop_pct"])) for side in size)
    mode = config.get("crop_mode") or "center"
    if mode == "squash":
        return height, width
    if mode != "center":
        raise _refused("crop_mode", config, 'it pads the image; known are "center" and "squash"')
    if height != width:
        raise _refused("input_size", config, 'only a square has one shorter side; write crop_mode="squash"')
    return height


def _refused(field: str, config: Mapping[str, Any], why: str) -> ValueError:
    return ValueError(f"a Spec cannot express timm's {field}={config[field]!r}: {why}")
