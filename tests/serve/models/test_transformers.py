from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from fastpre.serve.inference import TensorInfo
from fastpre.serve.models import ModelUnavailable, load

SMALL = "hidden_size=32&num_hidden_layers=4&num_attention_heads=2&intermediate_size=64&patch_size=16"
VIT = f"transformers:vit?{SMALL}&image_size=32&num_labels=5"
DPT = (
    f"transformers:dpt?{SMALL}&image_size=32&backbone_out_indices=[0,1,2,3]&neck_hidden_sizes=[8,8,8,8]"
    "&fusion_hidden_size=8"
)
YOLOS = f"transformers:yolos?{SMALL}&image_size=[32,48]&num_detection_tokens=7&num_labels=4"
CONDITIONAL = (
    "transformers:conditional_detr?d_model=16&encoder_layers=1&decoder_layers=1&encoder_attention_heads=2"
    "&decoder_attention_heads=2&encoder_ffn_dim=16&decoder_ffn_dim=16&num_queries=9&num_labels=4"
)
SEGFORMER = (
    "transformers:segformer?depths=[1,1,1,1]&hidden_sizes=[8,8,16,16]&num_attention_heads=[1,1,2,2]"
    "&decoder_hidden_size=16&num_labels=3"
)


def images(count: int, *size: int) -> torch.Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(1))


def made(model: Any) -> torch.nn.Module:
    """The same model by the library alone, with the weights that seed 0 gives."""
    config = model._network.module.config
    torch.manual_seed(0)
    module: torch.nn.Module = type(model._network.module)(config)
    return module.eval()


def forward(model: Any, batch: torch.Tensor) -> Any:
    module = made(model)
    if model.spec.memory_format_name == "channels_last":
        module = module.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return module(pixel_values=batch)


def rows(scores: Any, classes: Any, boxes: Any) -> list[tuple[float, ...]]:
    """Detections in an order that does not depend on ties."""
    return sorted((-score, label, *box) for score, label, box in zip(scores, classes, boxes.tolist(), strict=True))


def test_classification() -> None:
    model = load(VIT, random_weights=True)
    assert (model.name, model.platform, model.task) == ("vit", "transformers", "classification")
    assert model.outputs == (TensorInfo("logits", "FP32", (-1, 5)),)
    assert model.labels == tuple(f"LABEL_{index}" for index in range(5))
    assert (model.spec.resize, model.spec.mean) == ((32, 32), (0.5, 0.5, 0.5))
    batch = images(3, 32, 32)
    assert np.array_equal(model(batch)["logits"], forward(model, batch).logits.numpy())


def test_depth() -> None:
    model = load(DPT, random_weights=True)
    assert model.task == "depth"
    assert model.labels == ()
    assert model.outputs == (TensorInfo("depth", "FP32", (-1, 32, 32)),)
    batch = images(2, 32, 32).contiguous(memory_format=torch.channels_last)
    assert np.array_equal(model(batch)["depth"], forward(model, batch).predicted_depth.numpy())


def test_depth_anything_is_squashed() -> None:
    backbone = (
        '{"model_type":"dinov2","hidden_size":32,"num_hidden_layers":4,"num_attention_heads":2,"patch_size":14,'
        '"image_size":70,"out_indices":[1,2,3,4],"apply_layernorm":true,"reshape_hidden_states":false}'
    )
    model = load(
        f"transformers:depth_anything?backbone_config={backbone}&reassemble_hidden_size=32"
        "&neck_hidden_sizes=[8,8,8,8]&fusion_hidden_size=8&head_hidden_size=8",
        random_weights=True,
        spec={"resize": (70, 84)},
    )
    assert model.outputs == (TensorInfo("depth", "FP32", (-1, 70, 84)),)


def test_segmentation_is_as_the_library_s_own_processing() -> None:
    model = load(SEGFORMER, random_weights=True, task="segmentation", spec={"resize": (64, 96)})
    assert model.outputs == (TensorInfo("classes", "UINT8", (-1, 64, 96)),)
    batch = images(2, 64, 96).contiguous(memory_format=torch.channels_last)
    raw = forward(model, batch)
    processor = transformers.SegformerImageProcessor()
    expected = processor.post_process_semantic_segmentation(raw, target_sizes=[(64, 96)] * 2)
    assert np.array_equal(model(batch)["classes"], torch.stack(expected).numpy())


@pytest.mark.parametrize(
    ("reference", "size", "processor", "candidates"),
    [
        (YOLOS, (32, 48), "YolosImageProcessor", 7),  # softmax, with a class for "no object"
        (CONDITIONAL, (64, 64), "ConditionalDetrImageProcessor", 36),  # sigmoid: pairs of query and class
    ],
)
def test_detections_are_as_the_library_s_own_processing(
    reference: str, size: tuple[int, int], processor: str, candidates: int
) -> None:
    model = load(reference, random_weights=True, max_detections=40, spec={"resize": size, "crop": None})
    assert model.task == "detection"
    assert model.outputs[0] == TensorInfo("boxes", "FP32", (-1, 40, 4))
    batch = images(2, *size).contiguous(memory_format=getattr(torch, model.spec.memory_format_name))
    raw = forward(model, batch)
    expected = getattr(transformers, processor)().post_process_object_detection(raw, threshold=0.0)
    found = model(batch)
    for index, one in enumerate(expected):
        count = len(one["scores"])
        assert count == found["num_detections"][index] == candidates
        ours = [found[name][index, :count] for name in ("scores", "classes", "boxes")]
        # Equal scores, which random weights give, come in either order.
        assert rows(*ours) == rows(*(one[name].numpy() for name in ("scores", "labels", "boxes")))
        assert (np.diff(found["scores"][index]) <= 0).all()
        assert not found["scores"][index, count:].any()


def test_a_folder_is_a_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(3)
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
        id2label={0: "ant", 1: "bee", 2: "cat"},
    )
    module = transformers.ViTForImageClassification(config).eval()
    module.save_pretrained(tmp_path)
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessor(size=size, resample=3, image_mean=[0.1, 0.2, 0.3]).save_pretrained(tmp_path)
    model = load(f"transformers:{tmp_path}")
    assert (model.name, model.labels) == (tmp_path.name, ("ant", "bee", "cat"))
    assert (model.spec.interpolation, model.spec.mean) == ("bicubic", (0.1, 0.2, 0.3))
    batch = images(2, 32, 32)
    with torch.inference_mode():
        assert np.array_equal(model(batch)["logits"], module(pixel_values=batch).logits.numpy())
    other = load(f"transformers:{tmp_path}", random_weights=True)
    assert not np.array_equal(other(batch)["logits"], model(batch)["logits"])


@pytest.mark.parametrize(
    ("reference", "task", "message"),
    [
        (VIT, "pose", "no task 'pose'; known are depth"),
        ("transformers:bert", None, "has no task"),
    ],
)
def test_what_has_no_task(reference: str, task: str | None, message: str) -> None:
    with pytest.raises(ModelUnavailable, match=message):
        load(reference, random_weights=True, task=task)
