"""What the sources that read a file share: its input's shape, the sidecar, and the usual for what neither says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....typing import DtypeName, SpecFields
from .. import tasks
from ..errors import ModelUnavailable
from ..found import Found, Network, Options
from ..sidecar import Sidecar

__all__ = ["InputShape", "described", "no_parameters"]

# Without a size in the file: ImageNet's usual crop. The image's shorter side is the crop's by 0.875, as in torchvision.
USUAL_SIDE = 224
CROP_SHARE = 0.875

_DTYPES: dict[str, DtypeName] = {name: name for name in ("float32", "float16", "bfloat16", "uint8")}


@dataclasses.dataclass(frozen=True)
class InputShape:
    """Of a model's input as its file says it; 0 where it varies or is not said."""

    batch: int
    channels: int
    height: int
    width: int
    dtype: str


def no_parameters(source: str, parameters: Mapping[str, Any]) -> None:
    """Refuses them: a file is made already."""
    if parameters:
        raise ModelUnavailable(f"{source}: a file takes no parameters, got {', '.join(parameters)}")


def described(
    network: Network,
    platform: str,
    path: Path,
    options: Options,
    shape: InputShape | None = None,
    ranks: tuple[int, ...] = (2,),
) -> Found:
    """The file's network with what is known of it: the sidecar's word before the file's, and that before the usual.

    Args:
        ranks: dimensions of its outputs. A single one of (N, K) is taken for a classification; other outputs are
            delivered as they are, as the task "tensors", where nothing else is said.
    """
    sidecar = Sidecar.beside(path)
    task = options.task or sidecar.task or ("classification" if ranks == (2,) else "tensors")
    usual = _fields(shape or InputShape(0, 0, 0, 0, "float32"), task, path)
    fields: SpecFields = {**usual, **sidecar.spec}
    return Found(
        network=network,
        platform=platform,
        task=task,
        fields=fields,
        read=tasks.reader(task, options),
        labels=sidecar.labels,
        labels_are_given=bool(sidecar.labels),
        fixed_batch=shape.batch if shape else 0,
    )


def _fields(shape: InputShape, task: str, path: Path) -> SpecFields:
    if shape.channels not in (0, 1, 3):
        raise ModelUnavailable(f"{path} takes {shape.channels} channels; an image has 3, or 1 in gray")
    if shape.dtype not in _DTYPES:
        raise ModelUnavailable(f"{path} takes {shape.dtype}, and a Spec makes {', '.join(_DTYPES)}")
    height, width = shape.height or USUAL_SIDE, shape.width or USUAL_SIDE
    found = SpecFields(color="L" if shape.channels == 1 else "RGB", dtype=_DTYPES[shape.dtype])
    if task == "classification" and height == width:
        found["resize"], found["crop"] = int(height / CROP_SHARE), (height, width)
    else:
        found["resize"], found["crop"] = (height, width), None
    return found
