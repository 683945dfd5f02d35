from __future__ import annotations

import numpy as np
import pytest
import timm
import timm.data
import torch

from fastpre.serve.inference import TensorInfo
from fastpre.serve.models import ModelUnavailable, load


def test_it_is_the_library_s_own_forward() -> None:
    model = load("timm:mobilenetv3_small_050", random_weights=True)
    assert (model.platform, model.task) == ("timm", "classification")
    assert model.outputs == (TensorInfo("logits", "FP32", (-1, 1000)),)
    assert model.labels == tuple(timm.data.ImageNetInfo().label_descriptions())
    assert (model.spec.resize, model.spec.crop, model.spec.interpolation) == (256, (224, 224), "bicubic")
    torch.manual_seed(0)
    module = timm.create_model("mobilenetv3_small_050").eval().to(memory_format=torch.channels_last)
    batch = torch.rand(2, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert np.array_equal(model(batch)["logits"], module(batch).numpy())


def test_without_classes_it_gives_embeddings() -> None:
    model = load("timm:mobilenetv3_small_050?num_classes=0", random_weights=True)
    assert (model.task, model.labels) == ("embedding", ())
    assert model.outputs == (TensorInfo("embedding", "FP32", (-1, 1024)),)


def test_a_transformer_keeps_the_contiguous_format() -> None:
    model = load("timm:test_vit", random_weights=True)
    assert model.spec.memory_format_name == "contiguous_format"
    assert model.spec.output_size == (160, 160)


def test_a_tag_that_is_not_there() -> None:
    with pytest.raises(ModelUnavailable, match="Invalid pretrained tag"):
        load("timm:resnet18.nonsense")


def test_a_parameter_that_is_not_there() -> None:
    with pytest.raises(ModelUnavailable, match="unexpected keyword argument"):
        load("timm:test_vit?nonsense=3", random_weights=True)
