"""What clients are told of a pipeline."""

from __future__ import annotations

from typing import Any

from ..inference import ModelInfo
from ..model import Described
from .detections import Detections

__all__ = ["ensemble", "pipeline_info"]


def pipeline_info(joint: Detections, first: ModelInfo, second: Described) -> ModelInfo:
    """A pipeline as a model: the detector's inputs, but not its own tensor, of which nothing can be cropped."""
    return ModelInfo(
        name=joint.pipeline.name,
        versions=first.versions,
        platform="ensemble",
        task="pipeline",
        max_batch=first.max_batch,
        inputs=first.inputs[:2],
        outputs=joint.outputs,
        labels=second.labels,
    )


def ensemble(joint: Detections, info: ModelInfo) -> dict[str, Any]:
    """What a ModelConfig of Triton says of steps; what it has no field for is a parameter."""
    pipeline = joint.pipeline
    boxes = {name: name for name in ("boxes", "scores", "classes", "num_detections")}
    others = [output.name for output in info.outputs if output.name not in boxes]
    crops = {name.removeprefix(pipeline.join): name for name in others}
    image = info.inputs[0].name
    steps = [
        {"model_name": pipeline.first, "model_version": "-1", "input_map": {image: image}, "output_map": boxes},
        {"model_name": pipeline.second, "model_version": "-1", "input_map": {image: "crops"}, "output_map": crops},
    ]
    values = {"score": pipeline.threshold, "most": pipeline.most}
    return {
        "ensemble_scheduling": {"step": steps},
        "parameters": {name: {"string_value": f"{value:g}"} for name, value in values.items()},
    }
