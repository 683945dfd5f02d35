"""Models on a CUDA device: what they say is what they say on the CPU, in memory of the host."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastpre.serve.models import load

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_a_gpu_says_what_the_cpu_does(where: str) -> None:
    here, there = load("builtin:tiny"), load("builtin:tiny", device="cuda")
    assert there.device.startswith("cuda:")
    assert there.outputs == here.outputs
    batch = torch.rand(3, 3, 224, 224)
    expected = here(batch)["logits"]
    result = there(batch.to(where))["logits"]
    assert np.abs(result - expected).max() <= 1e-3 * np.abs(expected).max()  # TF32 in convolutions
    kept = result.copy()
    there(torch.zeros(3, 3, 224, 224))
    assert np.array_equal(result, kept)


def test_detections_come_from_a_gpu() -> None:
    model = load("torchvision:ssdlite320_mobilenet_v3_large", random_weights=True, device="cuda")
    found = model(torch.rand(2, 3, 320, 320))
    assert {name: array.shape for name, array in found.items()} == {
        "boxes": (2, 100, 4),
        "scores": (2, 100),
        "classes": (2, 100),
        "num_detections": (2,),
    }
    assert (found["num_detections"] > 0).all()
