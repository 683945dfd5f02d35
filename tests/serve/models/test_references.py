from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fastpre.serve.models import ModelUnavailable, load
from fastpre.serve.models.loading import SOURCES
from fastpre.serve.models.references import Reference


@pytest.mark.parametrize(
    ("text", "source", "target", "parameters", "short"),
    [
        ("torchvision:resnet18", "torchvision", "resnet18", {}, "resnet18"),
        ("torchvision:resnet18?num_classes=10", "torchvision", "resnet18", {"num_classes": 10}, "resnet18"),
        ("transformers:google/vit-base", "transformers", "google/vit-base", {}, "vit-base"),
        (
            "transformers:vit?a=[1,2]&b=x&c=true&d=0.5&e=",
            "transformers",
            "vit",
            {"a": [1, 2], "b": "x", "c": True, "d": 0.5, "e": ""},
            "vit",
        ),
        ("onnx:/models/cats v2.onnx", "onnx", "/models/cats v2.onnx", {}, "cats_v2"),
        ("export:C:\\models\\cats.pt2", "export", "C:\\models\\cats.pt2", {}, "cats"),
        ("python:shop.models:cats?size=3", "python", "shop.models:cats", {"size": 3}, "cats"),
        ("timm:vit_tiny_patch16_224.augreg_in21k", "timm", "vit_tiny_patch16_224.augreg_in21k", {}, None),
        ("transformers:./checkpoints/", "transformers", "./checkpoints/", {}, "checkpoints"),
    ],
)
def test_parts(text: str, source: str, target: str, parameters: dict[str, object], short: str | None) -> None:
    parsed = Reference.parse(text, SOURCES)
    assert (parsed.source, parsed.target, parsed.parameters) == (source, target, parameters)
    assert parsed.short == (target if short is None else short)


def test_a_file_may_have_a_question_mark_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "what?is=this.onnx"
    path.touch()
    assert Reference.parse(f"onnx:{path}", SOURCES).target == str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("resnet18", "write, for example, torchvision:resnet18"),
        ("models/cats.onnx", "write onnx:models/cats.onnx"),
        ("cats.pt2", "write export:cats.pt2"),
        ("onxn:cats", "did you mean onnx"),
        ("torchvision:", "names no model"),
        ("torchvision:resnet81", "did you mean resnet18"),
        ("torchvision:r3d_18", "several frames"),
        ("torchvision:raft_small", "two images"),
        ("torchvision:resnet18?weights=IMAGENET", "ResNet18_Weights has IMAGENET1K_V1"),
        ("torchvision:resnet18?nonsense=3", "unexpected keyword argument"),
        ("timm:mobilenet_v3_small", "did you mean mobilenetv3_small"),
        ("transformers:vitt", "did you mean vit"),
        ("transformers:./nothing", "is no folder"),
        ("builtin:tinny", "did you mean tiny"),
        ("builtin:tiny?layers=3", "unexpected keyword argument"),
        ("python:json", "write python:json:FACTORY"),
        ("python:json:loadz", "did you mean load"),
        ("python:jsno:load", "no module 'jsno'"),
        ("onnx:nothing.onnx", "no file 'nothing.onnx'"),
        ("onnx:nothing.onnx?a=1", "takes no parameters, got a"),
    ],
)
def test_what_is_not_there_is_one_line(text: str, message: str) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        load(text, random_weights=True)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_a_similar_name_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "resnet18.onnx").touch()
    with pytest.raises(ModelUnavailable, match=r"did you mean resnet18\.onnx"):
        load(f"onnx:{tmp_path}/resnet81.onnx")


@pytest.mark.parametrize(
    ("library", "text", "command"),
    [
        ("timm", "timm:resnet18", "pip install timm"),
        ("transformers", "transformers:vit", "pip install transformers"),
        ("onnxruntime", "onnx:cats.onnx", "pip install onnxruntime"),
    ],
)
def test_a_library_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, library: str, text: str, command: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # importing it raises ModuleNotFoundError
    with pytest.raises(ModelUnavailable, match=command):
        load(text, random_weights=True)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("torchvision:squeezenet1_1", "--random-weights"),
        ("timm:mobilenetv3_small_050", "--random-weights"),
        ("transformers:fastpre/no-such-model", "a folder that has the checkpoint"),
        ("transformers:vit", "has no weights: use --random-weights"),
    ],
)
def test_without_a_network_the_error_says_how_to_go_on(text: str, hint: str) -> None:
    with pytest.raises(ModelUnavailable) as caught:
        load(text)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("device", ["cuda:99", "mps", "nonsense"])
def test_a_device_that_is_not_there(device: str) -> None:
    with pytest.raises(ModelUnavailable, match="device"):
        load("builtin:tiny", device=device)
