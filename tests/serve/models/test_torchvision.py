from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from fastpre import Spec
from fastpre.serve.inference import TensorInfo
from fastpre.serve.models import ModelUnavailable, load


def images(count: int, *size: int) -> torch.Tensor:
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(1))


def made(name: str, **options: Any) -> torch.nn.Module:
    """The library's own model with the weights that seed 0 gives."""
    torch.manual_seed(0)
    module: torch.nn.Module = torchvision.models.get_model(name, weights=None, **options).eval()
    return module


def test_classification_is_the_library_s_own_forward() -> None:
    model = load("torchvision:shufflenet_v2_x0_5", random_weights=True)
    weights = torchvision.models.ShuffleNet_V2_X0_5_Weights.DEFAULT
    assert (model.name, model.platform, model.task) == ("shufflenet_v2_x0_5", "torchvision", "classification")
    assert model.outputs == (TensorInfo("logits", "FP32", (-1, 1000)),)
    assert model.labels == tuple(weights.meta["categories"])
    assert model.spec == Spec.from_torchvision(weights.transforms()).replace(memory_format="channels_last")
    module = made("shufflenet_v2_x0_5").to(memory_format=torch.channels_last)
    for count in (1, 3):
        batch = images(count, 224, 224).contiguous(memory_format=torch.channels_last)
        logits = model(batch)["logits"]
        assert logits.dtype == np.float32
        with torch.inference_mode():
            assert np.array_equal(logits, module(batch).numpy())


def test_the_memory_format_changes_rounding_alone() -> None:
    batch = images(2, 64, 64)
    results = [
        load("torchvision:resnet18", random_weights=True, channels_last=last, spec={"resize": 64, "crop": 64})(batch)
        for last in (False, True)
    ]
    plain, last = (result["logits"] for result in results)
    with torch.inference_mode():
        assert np.array_equal(plain, made("resnet18")(batch).numpy())
    assert np.abs(plain - last).max() <= 1e-5 * np.abs(plain).max()


def test_folded_batch_norms_change_rounding_alone() -> None:
    batch = images(2, 64, 64)
    plain, folded = (
        load("torchvision:resnet18", random_weights=True, fold_batch_norm=fold, spec={"resize": 64, "crop": 64})
        for fold in (False, True)
    )
    kinds = [{type(module).__name__ for module in model._network.module.modules()} for model in (plain, folded)]  # type: ignore[attr-defined]
    assert "BatchNorm2d" in kinds[0]
    assert "BatchNorm2d" not in kinds[1]
    difference = np.abs(plain(batch)["logits"] - folded(batch)["logits"]).max()
    assert difference <= 1e-5 * np.abs(plain(batch)["logits"]).max()


def test_what_cannot_be_traced_cannot_be_folded() -> None:
    with pytest.raises(ModelUnavailable, match="cannot trace"):
        load("torchvision:ssdlite320_mobilenet_v3_large", random_weights=True, fold_batch_norm=True)


def test_parameters_reach_the_builder_and_labels_of_other_classes_are_dropped() -> None:
    model = load("torchvision:squeezenet1_1?num_classes=7", random_weights=True, name="seven")
    assert model.outputs[0].shape == (-1, 7)
    assert (model.name, model.labels) == ("seven", ())


def test_segmentation_is_the_best_class_of_each_pixel() -> None:
    model = load(
        "torchvision:lraspp_mobilenet_v3_large", random_weights=True, with_logits=True, spec={"resize": (96, 128)}
    )
    assert model.task == "segmentation"
    assert model.labels[0] == "__background__"
    assert model.outputs == (
        TensorInfo("classes", "UINT8", (-1, 96, 128)),
        TensorInfo("logits", "FP32", (-1, 21, 96, 128)),
    )
    batch = images(2, 96, 128).contiguous(memory_format=torch.channels_last)
    module = made("lraspp_mobilenet_v3_large", weights_backbone=None).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        logits = module(batch)["out"]
    found = model(batch)
    assert np.array_equal(found["logits"], logits.numpy())
    assert np.array_equal(found["classes"], logits.argmax(1).numpy())
    assert found["classes"].flags.c_contiguous
    assert found["logits"].flags.c_contiguous


def test_segmentation_takes_the_whole_image_at_torchvision_s_size() -> None:
    model = load("torchvision:lraspp_mobilenet_v3_large", random_weights=True)
    assert (model.spec.resize, model.spec.crop) == ((520, 520), None)
    assert [output.name for output in model.outputs] == ["classes"]


def test_detections_are_the_library_s_as_fractions_padded() -> None:
    model = load("torchvision:ssdlite320_mobilenet_v3_large", random_weights=True, max_detections=400)
    assert (model.spec.resize, model.spec.crop, model.spec.mean) == ((320, 320), None, None)
    assert model.labels[1] == "person"
    assert model.outputs == (
        TensorInfo("boxes", "FP32", (-1, 400, 4)),
        TensorInfo("scores", "FP32", (-1, 400)),
        TensorInfo("classes", "INT64", (-1, 400)),
        TensorInfo("num_detections", "INT32", (-1,)),
    )
    batch = images(2, 320, 320).contiguous(memory_format=torch.channels_last)
    module = made("ssdlite320_mobilenet_v3_large", weights_backbone=None).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = module(list(batch))
    found = model(batch)
    for index, one in enumerate(expected):
        count = len(one["scores"])
        assert 0 < count < 400
        assert found["num_detections"][index] == count
        assert np.array_equal(found["scores"][index, :count], one["scores"].numpy())
        assert np.array_equal(found["classes"][index, :count], one["labels"].numpy())
        assert np.array_equal(found["boxes"][index, :count], (one["boxes"] / 320).numpy())
        assert not found["scores"][index, count:].any()
        assert not found["boxes"][index, count:].any()
        assert (np.diff(found["scores"][index]) <= 0).all()


def test_detections_are_cut_to_the_best() -> None:
    batch = images(1, 320, 320)
    many, few = (
        load("torchvision:ssdlite320_mobilenet_v3_large", random_weights=True, max_detections=most)(batch)
        for most in (100, 5)
    )
    assert few["num_detections"].tolist() == [5]
    assert np.array_equal(few["boxes"], many["boxes"][:, :5])


def test_a_model_of_any_size_is_given_its_shorter_side_squared() -> None:
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    model = load(f"torchvision:{name}", random_weights=True)
    assert model.spec.output_size == (320, 320)


def test_a_whole_spec_and_single_fields() -> None:
    spec = Spec(resize=(48, 48), crop=None, mean=None, std=None)
    assert load("torchvision:squeezenet1_1", random_weights=True, channels_last=False, spec=spec).spec == spec
    changed = load("torchvision:squeezenet1_1", random_weights=True, spec={"fidelity": "fast", "crop": 96})
    assert (changed.spec.fidelity, changed.spec.crop, changed.spec.resize) == ("fast", 96, 256)


def test_a_spec_of_half_precision_has_a_model_of_half_precision() -> None:
    model = load("torchvision:squeezenet1_1", random_weights=True, spec={"dtype": "bfloat16", "crop": 64})
    result = model(images(2, 64, 64).bfloat16())
    assert result["logits"].dtype == np.float32


def test_another_task_of_the_same_tensors() -> None:
    model = load("torchvision:squeezenet1_1", random_weights=True, task="embedding")
    assert (model.task, model.labels) == ("embedding", ())
    assert model.outputs == (TensorInfo("embedding", "FP32", (-1, 1000)),)
    with pytest.raises(ModelUnavailable, match="detects objects; it has no task 'depth'"):
        load("torchvision:ssdlite320_mobilenet_v3_large", random_weights=True, task="depth")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"resize": 224, "crop": None}, "depends on the image"),
        ({"resize": 0}, "resize"),
        ({"colour": "RGB"}, "colour"),
        ({"color": "L"}, "fails on a batch of"),
        ({"crop": 8}, "fails on a batch of"),
    ],
)
def test_a_spec_that_does_not_suit(spec: Any, message: str) -> None:
    with pytest.raises(ModelUnavailable, match=message):
        load("torchvision:squeezenet1_1", random_weights=True, spec={"mean": None, "std": None, **spec})
