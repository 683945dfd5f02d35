"""TorchScript, torch.export and ONNX files of one small network."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.helper
import pytest
import torch
from torch import nn

from fastpre import Spec
from fastpre.serve.inference import TensorInfo
from fastpre.serve.models import ModelUnavailable, load

SIDE = 32


def network(channels: int = 3, head: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(channels, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
    return nn.Sequential(*layers[:2], head).eval() if head else nn.Sequential(*layers).eval()


class TwoOutputs(nn.Module):
    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return batch.mean((1, 2, 3)), batch.amax(1)


def torchscript(module: nn.Module, path: Path, batch: int = 0, shape: tuple[int, ...] = (3, SIDE, SIDE)) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torch.jit, which is what the test is about
        torch.jit.script(module).save(str(path))
    return path


def exported(module: nn.Module, path: Path, batch: int = 0, shape: tuple[int, ...] = (3, SIDE, SIDE)) -> Path:
    dynamic = None if batch else ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(module, (torch.zeros(batch or 2, *shape),), dynamic_shapes=dynamic), path)
    return path


def onnx_file(module: nn.Module, path: Path, batch: int = 0, shape: tuple[int, ...] = (3, SIDE, SIDE)) -> Path:
    dynamic = None if batch else ({0: torch.export.Dim("batch")},)
    torch.onnx.export(
        module,
        (torch.zeros(batch or 2, *shape),),
        path,
        dynamo=True,
        dynamic_shapes=dynamic,
        external_data=False,
        verbose=False,
    )
    return path


Writer = Callable[..., Path]
KINDS: dict[str, tuple[Writer, str, str]] = {
    "torchscript": (torchscript, "pt", "torchscript"),
    "export": (exported, "pt2", "torch.export"),
    "onnx": (onnx_file, "onnx", "onnxruntime"),
}


def images(count: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    return {kind: write(network(), folder / f"net.{suffix}") for kind, (write, suffix, _) in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_network_s_own_forward(kind: str, files: dict[str, Path]) -> None:
    model = load(f"{kind}:{files[kind]}", spec={"crop": SIDE} if kind == "torchscript" else None)
    assert (model.name, model.platform, model.task) == ("net", KINDS[kind][2], "classification")
    assert model.outputs == (TensorInfo("logits", "FP32", (-1, 5)),)
    assert model.max_batch == 0
    for count in (1, 2, 5):
        batch = images(count)
        with torch.inference_mode():
            expected = network()(batch).numpy()
        result = model(batch)["logits"]
        # ONNX Runtime has kernels of its own, which add in another order.
        assert np.abs(result - expected).max() <= (1e-6 if kind == "onnx" else 0)


@pytest.mark.parametrize(("kind", "resize"), [("torchscript", 256), ("export", 36), ("onnx", 36)])
def test_the_size_is_the_file_s_or_the_usual(kind: str, resize: int, files: dict[str, Path]) -> None:
    crop = 224 if kind == "torchscript" else SIDE
    assert load(f"{kind}:{files[kind]}").spec == Spec(resize=resize, crop=(crop, crop))


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_the_caller_s(kind: str, files: dict[str, Path]) -> None:
    model = load(f"{kind}:{files[kind]}", spec={"crop": SIDE})
    first = model(images(2))["logits"]
    kept = first.copy()
    model(torch.zeros(2, 3, SIDE, SIDE))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("kind", ["export", "onnx"])
def test_a_fixed_batch_is_filled_up(kind: str, tmp_path: Path) -> None:
    write, suffix, _ = KINDS[kind]
    model = load(f"{kind}:{write(network(), tmp_path / f'fixed.{suffix}', batch=4)}")
    assert model.max_batch == 4
    assert model.outputs[0].shape == (-1, 5)
    batch = images(4)
    whole = model(batch)["logits"]
    assert np.array_equal(model(batch[:3])["logits"], whole[:3])
    assert np.array_equal(model(batch)["logits"], whole)
    with pytest.raises(ValueError, match="takes batches of 4, got 5 images"):
        model(images(5))


def test_what_the_sidecar_says(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(files["onnx"].read_bytes())
    labels = ["ant", "bee", "cat", "dog", "eel"]
    sidecar = tmp_path / "net.onnx.json"
    sidecar.write_text(
        json.dumps({"spec": {"resize": [32, 32], "crop": None, "mean": [0.5, 0.5, 0.5]}, "labels": labels})
    )
    model = load(f"onnx:{path}", spec={"std": (0.1, 0.2, 0.3)})
    assert model.labels == tuple(labels)
    assert model.spec == Spec(resize=(32, 32), crop=None, mean=(0.5, 0.5, 0.5), std=(0.1, 0.2, 0.3))
    assert load(f"onnx:{path}", labels=list("abcde"), task="embedding").outputs[0].name == "linear"
    sidecar.write_text('{"labels": ["ant", "bee"]}')
    with pytest.raises(ModelUnavailable, match="2 labels for net, which has 5 classes"):
        load(f"onnx:{path}")
    for text in ("[1]", "{", '{"specs": {}}', '{"spec": 3}'):
        sidecar.write_text(text)
        with pytest.raises(ModelUnavailable, match=r"net\.onnx\.json is to hold"):
            load(f"onnx:{path}")


def test_labels_from_a_file(files: dict[str, Path], tmp_path: Path) -> None:
    lines, listed = tmp_path / "labels.txt", tmp_path / "labels.json"
    lines.write_text("a\nb\nc\nd\ne\n")
    listed.write_text('{"1": "b", "0": "a", "4": "e"}')
    assert load(f"export:{files['export']}", labels=str(lines)).labels == tuple("abcde")
    assert load(f"export:{files['export']}", labels=listed).labels == ("a", "b", "", "", "e")
    with pytest.raises(ModelUnavailable, match="2 labels for net, which has 5 classes"):
        load(f"export:{files['export']}", labels=["a", "b"])
    with pytest.raises(ModelUnavailable, match="labels cannot be read"):
        load(f"export:{files['export']}", labels=tmp_path / "nothing")


def test_outputs_that_are_no_classification_keep_their_names(tmp_path: Path) -> None:
    export = load(f"export:{exported(TwoOutputs(), tmp_path / 'two.pt2')}")
    assert export.task == "tensors"
    assert export.outputs == (TensorInfo("output_0", "FP32", (-1,)), TensorInfo("output_1", "FP32", (-1, 32, 32)))
    assert (export.spec.resize, export.spec.crop) == ((32, 32), None)
    script = torchscript(TwoOutputs(), tmp_path / "two.pt")
    with pytest.raises(ModelUnavailable, match="one tensor, and this one returns Tensor, Tensor"):
        load(f"torchscript:{script}")
    assert load(f"torchscript:{script}", task="tensors").outputs == (
        TensorInfo("output_0", "FP32", (-1,)),
        TensorInfo("output_1", "FP32", (-1, 224, 224)),
    )


def test_segmentation_and_depth_of_a_file(tmp_path: Path) -> None:
    path = exported(network(head=nn.Conv2d(8, 300, 1)), tmp_path / "dense.pt2")
    model = load(f"export:{path}", task="segmentation")
    assert model.outputs == (TensorInfo("classes", "UINT16", (-1, 32, 32)),)
    with pytest.raises(ModelUnavailable, match=r"for depth an output is \(N, H, W\)"):
        load(f"export:{path}", task="depth")
    depth = exported(network(head=nn.Conv2d(8, 1, 1)), tmp_path / "depth.pt2")
    assert load(f"export:{depth}", task="depth").outputs == (TensorInfo("depth", "FP32", (-1, 15, 15)),)


def test_gray_images(tmp_path: Path) -> None:
    model = load(f"export:{exported(network(1), tmp_path / 'gray.pt2', shape=(1, SIDE, SIDE))}")
    assert model.spec.color == "L"
    assert model(images(2, 1))["logits"].shape == (2, 5)


def onnx_of(nodes: list[Any], inputs: list[Any], outputs: list[Any], path: Path) -> Path:
    graph = onnx.helper.make_graph(nodes, "graph", inputs, outputs)
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(made, path)
    return path


def value(name: str, shape: list[Any], kind: int = onnx.TensorProto.FLOAT) -> Any:
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def test_pixels_last_and_bytes(tmp_path: Path) -> None:
    """A model of (N, H, W, C) in bytes, as those of TensorFlow are: its mean of each channel."""
    node = onnx.helper.make_node
    nodes = [
        node("Cast", ["pixels"], ["floats"], to=onnx.TensorProto.FLOAT),
        node("ReduceMean", ["floats", "axes"], ["means"], keepdims=0),
    ]
    nodes.insert(0, node("Constant", [], ["axes"], value_ints=[1, 2]))
    uint8 = onnx.TensorProto.UINT8
    path = onnx_of(
        nodes, [value("pixels", ["n", 20, 30, 3], uint8)], [value("means", ["n", 3])], tmp_path / "last.onnx"
    )
    model = load(f"onnx:{path}", task="embedding")
    assert (model.spec.dtype_name, model.spec.memory_format_name) == ("uint8", "channels_last")
    assert model.spec.output_size == (20, 30)
    batch = torch.randint(0, 256, (4, 3, 20, 30), dtype=torch.uint8)
    expected = batch.float().mean((2, 3)).numpy()
    assert np.allclose(model(batch.contiguous(memory_format=torch.channels_last))["means"], expected, atol=1e-4)
    assert np.allclose(model(batch)["means"], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([["n", 7, 32, 32]], "takes 7 channels"),
        ([["n", 32]], "takes one tensor"),
        ([["n", 3, 32, 32], ["n", 3, 32, 32]], "takes one tensor"),
    ],
)
def test_inputs_that_are_no_images(shapes: list[list[Any]], message: str, tmp_path: Path) -> None:
    inputs = [value(f"input_{index}", shape) for index, shape in enumerate(shapes)]
    nodes = [onnx.helper.make_node("Identity", ["input_0"], ["out"])]
    path = onnx_of(nodes, inputs, [value("out", shapes[0])], tmp_path / "odd.onnx")
    with pytest.raises(ModelUnavailable, match=message):
        load(f"onnx:{path}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_something_else(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"something.{KINDS[kind][1]}"
    path.write_bytes(b"something else")
    with pytest.raises(ModelUnavailable, match=f"something.{KINDS[kind][1]} (is no|cannot be read)"):
        load(f"{kind}:{path}")


@pytest.mark.parametrize("option", ["compile", "fold_batch_norm"])
def test_a_graph_stays_as_it_is(option: str, files: dict[str, Path]) -> None:
    with pytest.raises(ModelUnavailable, match="for models in Python"):
        load(f"export:{files['export']}", **{option: True})  # type: ignore[arg-type]
