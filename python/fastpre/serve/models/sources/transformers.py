"""`transformers:NAME`: a checkpoint of the hub (`google/vit-base-patch16-224`), a folder of one, or a model type.

A model type (`vit`, `dpt`, `detr`, `segformer` ...) has no weights: it needs `random_weights`, and is the type's
default configuration. Parameters change the configuration (`transformers:vit?hidden_size=64&num_hidden_layers=2`).

The task is `task`, or that of the checkpoint's architecture, or the first that the model type has of depth, detection,
classification, segmentation. Input is what the checkpoint's image processor says, as Pillow does it
(`fastpre.interop.transformers`); where that makes images of different sizes, they are squashed to one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....interop import transformers as interop
from ....typing import SpecFields
from .. import tasks
from ..errors import ModelUnavailable
from ..found import Found, Options, Reader
from ..labels import labels_of
from ..libraries import required
from ..modules import ModuleNetwork
from ..references import did_you_mean
from ..tasks import detection
from ..weights import fetching, seeded

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["find"]

INSTEAD = "use a folder that has the checkpoint, or a model type (transformers:vit) with --random-weights"

# By task: transformers' class for it, and what its architectures are called.
CLASSES = {
    "depth": ("AutoModelForDepthEstimation", "ForDepthEstimation"),
    "detection": ("AutoModelForObjectDetection", "ForObjectDetection"),
    "classification": ("AutoModelForImageClassification", "ForImageClassification"),
    "segmentation": ("AutoModelForSemanticSegmentation", "ForSemanticSegmentation"),
}


def find(target: str, parameters: Mapping[str, Any], options: Options) -> Found:
    """See the module."""
    library = required("transformers", "transformers")
    config, is_type = _config(library, target, parameters, options)
    task = _task(library, config, target, options)
    auto = getattr(library, CLASSES[task][0])
    with seeded(options.seed), fetching(f"weights of transformers:{target}", INSTEAD):
        module: nn.Module = (
            auto.from_config(config) if options.random_weights else auto.from_pretrained(target, config=config)
        )
        processor = _default_processor(config) if is_type else library.AutoImageProcessor.from_pretrained(target)
    return Found(
        network=ModuleNetwork(module, _by_keyword),
        platform="transformers",
        task=task,
        fields=_fields(processor, config, is_type),
        read=_reader(task, config, options),
        labels=labels_of(config.id2label),
    )


def _config(library: Any, target: str, parameters: Mapping[str, Any], options: Options) -> tuple[Any, bool]:
    """The configuration, and True if it is a model type's."""
    types = list(library.CONFIG_MAPPING)
    if not os.path.isdir(target) and target in types:
        if not options.random_weights:
            raise ModelUnavailable(
                f"{target!r} is a model type, which has no weights: use --random-weights (random_weights=True), or the "
                "name of a checkpoint or a folder of one"
            )
        return library.AutoConfig.for_model(target, **parameters), True
    if not os.path.isdir(target) and ("/" not in target or target.startswith((".", "/", "~"))):
        raise ModelUnavailable(f"transformers:{target} is no folder, and no model type{did_you_mean(target, types)}")
    with fetching(f"transformers:{target}", INSTEAD):
        return library.AutoConfig.from_pretrained(target, **parameters), False


def _task(library: Any, config: Any, target: str, options: Options) -> str:
    if options.task is not None:
        if options.task not in CLASSES:
            raise ModelUnavailable(f"transformers: no task {options.task!r}; known are {', '.join(CLASSES)}")
        return options.task
    for architecture in config.architectures or ():
        for task, (_, ending) in CLASSES.items():
            if architecture.endswith(ending):
                return task
    for task, (auto, _) in CLASSES.items():
        if type(config) in getattr(library, auto)._model_mapping:
            return task
    raise ModelUnavailable(f"transformers:{target} ({config.model_type}) has no task of {', '.join(CLASSES)}")


def _default_processor(config: Any) -> Any:
    """The image processor that goes with a model type, as its class makes it without arguments."""
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING

    try:
        classes = IMAGE_PROCESSOR_MAPPING[type(config)]
    except KeyError as e:
        raise ModelUnavailable(f"transformers has no image processor for {config.model_type}: give a spec") from e
    # By backend; before transformers 5 a pair, slow and fast.
    known = classes.values() if isinstance(classes, Mapping) else classes
    return next(cls for cls in known if cls is not None)()


def _fields(processor: Any, config: Any, is_type: bool) -> SpecFields:
    try:
        found = interop.fields(processor, closest=True)
    except ValueError as e:
        raise ModelUnavailable(f"{e}; give a spec") from e
    side = getattr(config, "image_size", None)
    if is_type and side is not None:  # the processor's default is another model's size
        found["resize"], found["crop"] = (side, side) if isinstance(side, int) else (int(side[0]), int(side[1])), None
    return found


def _by_keyword(module: nn.Module, batch: torch.Tensor) -> Any:
    return module(pixel_values=batch)


def _reader(task: str, config: Any, options: Options) -> Reader:
    if task == "detection":
        return detection.Queries(config.num_labels, options.max_detections)
    return tasks.reader(task, options)
