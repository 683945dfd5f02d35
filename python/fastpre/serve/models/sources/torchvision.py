"""`torchvision:NAME`: torchvision's models for classification, segmentation and detection.

Parameters are the builder's, and `weights`, the name of one of its weights (`weights=IMAGENET1K_V1`; else the default).
A model for detection gets the whole image squashed to the size that it works at (`ssdlite320_mobilenet_v3_large`:
320 x 320, `ssd300_vgg16`: 300 x 300, Faster R-CNN and the like: their shorter side squared, 800 x 800), one for
segmentation to 520 x 520, the shorter side that torchvision evaluates at. Masks and keypoints are not delivered.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....interop import torchvision as interop
from ....typing import SpecFields
from .. import tasks
from ..errors import ModelUnavailable
from ..found import Found, Options
from ..libraries import required
from ..modules import ModuleNetwork
from ..references import did_you_mean
from ..tasks import detection
from ..weights import fetching, seeded

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["find"]

NOT_SERVED = {"optical_flow": "it compares two images", "video": "it takes several frames"}


def find(target: str, parameters: Mapping[str, Any], options: Options) -> Found:
    """See the module."""
    models = required("torchvision", "torchvision").models
    if target not in models.list_models():
        raise ModelUnavailable(f"torchvision has no model {target!r}{did_you_mean(target, models.list_models())}")
    builder = models.get_model_builder(target)
    kind = builder.__module__.removeprefix("torchvision.models.").partition(".")[0]
    if kind in NOT_SERVED:
        raise ModelUnavailable(f"{target} cannot be served: {NOT_SERVED[kind]}")
    parameters = dict(parameters)
    weights = _weights(models.get_model_weights(target), parameters.pop("weights", "DEFAULT"))
    module = _made(builder, target, parameters, weights, options)
    labels = tuple(weights.meta.get("categories", ()))
    if kind == "detection":
        if options.task not in (None, kind):
            raise ModelUnavailable(f"torchvision:{target} detects objects; it has no task {options.task!r}")
        return Found(
            network=ModuleNetwork(module, _as_list),
            platform="torchvision",
            task=kind,
            fields=_whole(module),
            read=detection.Lists(options.max_detections),
            labels=labels,
        )
    preset = weights.transforms()
    task = options.task or ("segmentation" if kind == "segmentation" else "classification")
    return Found(
        network=ModuleNetwork(module),
        platform="torchvision",
        task=task,
        fields=_squashed(preset) if kind == "segmentation" else interop.fields(preset),
        read=tasks.reader(task, options),
        labels=labels,
    )


def _weights(known: Any, name: str) -> Any:
    if not hasattr(known, name):
        names = ", ".join(weights.name for weights in known)
        raise ModelUnavailable(f"there are no weights {name!r}; {known.__name__} has {names}")
    return getattr(known, name)


def _made(builder: Any, target: str, parameters: dict[str, Any], weights: Any, options: Options) -> nn.Module:
    """With the weights, or with random ones; those of a backbone are part of them either way."""
    if "weights_backbone" in inspect.signature(builder).parameters:
        parameters["weights_backbone"] = None
    given = None if options.random_weights else weights
    try:
        with seeded(options.seed), fetching(f"weights of torchvision:{target}"):
            module: nn.Module = builder(weights=given, **parameters)
    except TypeError as e:
        raise ModelUnavailable(f"torchvision:{target}: {e}") from e
    return module


def _as_list(module: nn.Module, batch: torch.Tensor) -> Any:
    return module(list(batch))


def _whole(module: nn.Module) -> SpecFields:
    """Of a detection model, which normalizes by itself, and is given its own size so that it resizes nothing."""
    transform: Any = module.transform
    if transform.fixed_size is not None:
        width, height = transform.fixed_size
    else:
        width = height = transform.min_size[-1]
    return SpecFields(resize=(height, width), crop=None, interpolation="bilinear", mean=None, std=None)


def _squashed(preset: Any) -> SpecFields:
    side = preset.resize_size[0]
    return SpecFields(
        resize=(side, side),
        crop=None,
        interpolation=preset.interpolation,
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
