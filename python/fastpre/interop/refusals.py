"""Why a Spec cannot express something, and what to write instead."""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from typing import Any

from .functions import function_of

__all__ = ["foreign", "named", "refused", "unknown"]

TIMM = (
    "timm's transforms are not supported yet; with cfg = timm.data.resolve_model_data_config(model) and "
    "crop_mode='center' write fastpre.Spec(resize=int(cfg['input_size'][-1] / cfg['crop_pct']), "
    "crop=cfg['input_size'][-1], interpolation=cfg['interpolation'], mean=cfg['mean'], std=cfg['std'])"
)
TRANSFORMERS = (
    "transformers' image processors are not supported yet; write fastpre.Spec(resize=processor.size['shortest_edge'], "
    "crop=processor.crop_size['height'], interpolation='bicubic', mean=processor.image_mean, std=processor.image_std) "
    "for one that resizes the shorter side and crops, resize=(height, width), crop=None for one that only resizes"
)
WHOLE = "fastpre.transforms.fuse(transform) takes the whole transform, and runs it as it is"
RANDOM = f"it draws at random, which a Spec does not; {WHOLE}"
OTHERWISE = f"leave it out, or let it run: {WHOLE}"
AUGMENTATIONS = frozenset(
    {"AugMix", "AutoAugment", "ColorJitter", "CutMix", "ElasticTransform", "MixUp", "RandAugment", "ScaleJitter"}
    | {"TrivialAugmentWide"}
)


def named(step: Any) -> str:
    """How to call a step in a message: its class, and where that comes from unless it is torchvision."""
    function = function_of(step)
    if function is not None:
        inside = f"the function {function.__name__}"
        return inside if step is function else f"Lambda with {inside}"
    kind, origin = type(step).__name__, _library(step)
    return kind if origin in ("torchvision", "builtins") else f"{kind} ({origin})"


def refused(step: Any, why: str) -> ValueError:
    """The error of a step that no Spec expresses."""
    return ValueError(f"a Spec cannot express {named(step)}: {why}")


def unknown(step: Any, known: str) -> ValueError:
    """The error of a step of a kind that the reader does not know.

    Args:
        known: names of the steps that it knows.
    """
    kind = type(step).__name__
    if kind.startswith("Random") or kind in AUGMENTATIONS:
        return refused(step, RANDOM)
    other = foreign(step)
    if other is not None:
        return refused(step, other)
    if function_of(step) is not None:
        return refused(step, f"what it does is not known, except for image.convert('RGB') alone; {OTHERWISE}")
    return refused(step, f"fastpre can express {known}; {OTHERWISE}")


def foreign(thing: Any) -> str | None:
    """What to write instead of an object of timm or transformers, or of their configurations as dicts; else None."""
    keys = set(thing) if isinstance(thing, Mapping) else set()
    preset = getattr(thing, "func", thing) if isinstance(thing, functools.partial) else thing
    if isinstance(thing, enum.Enum) and hasattr(thing, "transforms"):
        return f"write {type(thing).__name__}.{thing.name}.transforms(), with which it was trained"
    if preset is not thing and getattr(preset, "__module__", "").startswith("torchvision."):
        return "it is to be called: write weights.transforms()"
    if _library(thing) == "timm" or keys & {"crop_pct", "input_size"}:
        return TIMM
    if _library(thing) == "transformers" or keys & {"image_mean", "image_processor_type"}:
        return TRANSFORMERS
    return None


def _library(thing: object) -> str:
    return type(thing).__module__.partition(".")[0]
