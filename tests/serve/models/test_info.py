from __future__ import annotations

import subprocess
import sys

import pytest

import fastpre
from fastpre.serve.inference import TensorInfo
from fastpre.serve.models import load, model_info


def test_what_clients_are_told() -> None:
    model = load("builtin:tiny", name="ten")
    info = model_info(model, max_batch=16, versions=("1", "2"))
    assert (info.name, info.versions, info.platform, info.task) == ("ten", ("1", "2"), "builtin", "classification")
    assert info.max_batch == 16
    assert info.inputs == (
        TensorInfo("IMAGE", "BYTES", (-1, 1)),
        TensorInfo("PIXELS", "UINT8", (-1, -1, -1, 3)),
        TensorInfo("INPUT", "FP32", (-1, 3, 224, 224)),
    )
    assert info.outputs == (TensorInfo("logits", "FP32", (-1, 10)),)
    assert info.labels == model.labels


@pytest.mark.parametrize(
    ("fields", "pixels", "model_input"),
    [
        ({"color": "L", "crop": 32}, ("UINT8", (-1, -1, -1, 1)), ("FP32", (-1, 1, 32, 32))),
        ({"dtype": "bfloat16", "crop": (8, 9)}, ("UINT8", (-1, -1, -1, 3)), ("BF16", (-1, 3, 8, 9))),
        ({"dtype": "uint8", "resize": (8, 9), "crop": None}, ("UINT8", (-1, -1, -1, 3)), ("UINT8", (-1, 3, 8, 9))),
    ],
)
def test_inputs_are_as_the_spec_makes_them(fields: dict[str, object], pixels: object, model_input: object) -> None:
    model = load("builtin:sleep")
    model.spec = fastpre.Spec(**fields)  # type: ignore[arg-type]
    _, second, third = model_info(model, max_batch=1).inputs
    assert (second.datatype, second.shape) == pixels
    assert (third.datatype, third.shape) == model_input


def test_a_spec_of_no_fixed_size() -> None:
    model = load("builtin:sleep")
    model.spec = fastpre.Spec(crop=None)
    with pytest.raises(ValueError, match="depends on the image"):
        model_info(model, max_batch=1)


def test_importing_it_loads_no_library() -> None:
    code = "import sys, fastpre.serve.models; print(*{'torch', 'timm', 'transformers', 'onnxruntime'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
