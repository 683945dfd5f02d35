"""What clients are told of a model, and how they may send images to it.

A request has one of these inputs:

| input | datatype | shape | what |
|---|---|---|---|
| `IMAGE` | BYTES | (-1, 1); or (-1,) | encoded images, of any size |
| `PIXELS` | UINT8 | (-1, -1, -1, C) | decoded images, of any size, the same for all of one request: everything but \
decoding is done; C is 3 (RGB), or 1 (gray) for models of gray images |
| `INPUT` | FP32 (FP16, BF16, UINT8) | (-1, C, H, W) | the model's input itself, preprocessed by the client |
"""

from __future__ import annotations

from ..inference import ModelInfo, TensorInfo
from ..model import Described

__all__ = ["IMAGE", "INPUT", "PIXELS", "model_info"]

IMAGE, PIXELS, INPUT = "IMAGE", "PIXELS", "INPUT"

_DATATYPES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16", "uint8": "UINT8"}


def model_info(model: Described, *, max_batch: int, versions: tuple[str, ...] = ("1",)) -> ModelInfo:
    """A model as metadata says it.

    Args:
        max_batch: largest number of images of one request; a model that takes fewer at a time lowers it not, since
            the engine cuts.

    Raises:
        ValueError: the outputs of its Spec have no fixed size.
    """
    size = model.spec.output_size
    if size is None:
        raise ValueError(f"{model.name}: the Spec's output size depends on the image; give it a crop or (H, W)")
    channels = model.spec.channels
    inputs = (
        TensorInfo(IMAGE, "BYTES", (-1, 1)),
        TensorInfo(PIXELS, "UINT8", (-1, -1, -1, channels)),
        TensorInfo(INPUT, _DATATYPES[model.spec.dtype_name], (-1, channels, *size)),
    )
    return ModelInfo(
        name=model.name,
        versions=versions,
        platform=model.platform,
        task=model.task,
        max_batch=max_batch,
        inputs=inputs,
        outputs=model.outputs,
        labels=model.labels,
    )
