"""`--device cuda`: the memory of a batch is the device's, and comes to the host once it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import fastpre
from command_line import call
from fastpre import _core
from fastpre.cli.batch import Batch


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() or bool(_core.cuda_info()["missing"]),
    reason=f"no CUDA device: {_core.cuda_info()['missing'] or 'torch sees none'}",
)
@pytest.mark.parametrize("options", [[], ["--channels-last", "--dtype", "bfloat16"], ["--dtype", "uint8"]])
def test_a_gpu_writes_what_the_cpu_does(folder: Path, tmp_path: Path, options: list[str]) -> None:
    host, device = tmp_path / "host.safetensors", tmp_path / "device.safetensors"
    assert call("run", folder, "-o", host, *options).exit_code == 0
    result = call("run", folder, "-o", device, "--device", "cuda:0", "--batch-size", 2, "--compare", *options)
    assert result.exit_code == 0, result.output
    assert "device: cuda:0" in result.stdout
    assert "on 5 of 5 files" in result.stdout
    assert torch.equal(
        safetensors.torch.load_file(device)["images"].view(torch.uint8),
        safetensors.torch.load_file(host)["images"].view(torch.uint8),
    )


@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "uint8"])
def test_a_batch_comes_from_its_device(monkeypatch: pytest.MonkeyPatch, layout: str, dtype: str) -> None:
    """Host memory stands for the device's."""
    empty = torch.empty
    asked: list[str] = []

    def on_host(*shape: Any, device: str = "cpu", **options: Any) -> torch.Tensor:
        asked.append(device)
        return empty(*shape, **options).zero_()

    monkeypatch.setattr(torch, "empty", on_host)
    spec = fastpre.Spec(dtype=dtype, memory_format=layout, crop=4, mean=None, std=None)
    batch = Batch(3, spec, (4, 4), "cuda:1")
    assert asked == ["cpu", "cuda:1"]
    pixels = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4).to(spec.dtype)
    batch.rows(2).copy_(pixels)
    assert not batch.raw(2).any()
    batch.fetch(2)
    rows = pixels.permute(0, 2, 3, 1) if layout == "channels_last" else pixels
    np.testing.assert_array_equal(batch.raw(2), rows.contiguous().view(torch.uint8).numpy().reshape(-1))
