"""`python:` and `builtin:` models, and what any model is refused for."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastpre import Spec
from fastpre.serve.inference import TensorInfo
from fastpre.serve.models import ModelUnavailable, load

OWN = """
import numpy as np
import torch
from torch import nn

import fastpre
from fastpre.serve.inference import TensorInfo


class Returns(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.register_buffer("kept", torch.arange(5.0).expand(64, 5).contiguous())

    def forward(self, batch):
        return self.function(self, batch)


class Whole:
    name, platform, task, device = "whole", "mine", "brightness", "cpu"
    spec = fastpre.Spec(crop=8)
    outputs = (TensorInfo("mean", "FP32", (-1,)),)
    labels, max_batch = (), 0

    def __call__(self, batch):
        return {"mean": batch.mean((1, 2, 3)).numpy()}


def linear(classes=5):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))


def ragged():
    return Returns(lambda self, batch: [image[:, : index + 1] for index, image in enumerate(batch)])


def by_value():
    return Returns(lambda self, batch: {"x": batch[:, 0, : 1 + int(batch.max())]})


def no_batch():
    return Returns(lambda self, batch: batch.mean(0))


def text():
    return Returns(lambda self, batch: {"x": "text"})


def raises():
    return Returns(lambda self, batch: 1 / 0)


def buffer():
    return Returns(lambda self, batch: {"kept": self.kept[: len(batch)], "fresh": batch.mean((2, 3))})


def itself():
    return Returns(lambda self, batch: {"same": batch, "part": batch[:, 0]})


def half():
    return Returns(lambda self, batch: {"x": batch.mean((2, 3)).bfloat16(), "y": batch.mean((2, 3)).half()})


def complex_numbers():
    return Returns(lambda self, batch: {"x": batch.mean((2, 3)) + 1j})
"""


@pytest.fixture(autouse=True)
def module_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "own_models", raising=False)
    return tmp_path


def own(factory: str, **options: Any) -> Any:
    return load(f"python:own_models:{factory}", spec={"crop": 8}, **options)


def test_a_module_of_one_s_own() -> None:
    model = own("linear?classes=3", labels=["a", "b", "c"])
    assert (model.name, model.platform, model.task) == ("linear?classes=3".partition("?")[0], "torch", "classification")
    assert model.outputs == (TensorInfo("logits", "FP32", (-1, 3)),)
    assert model.labels == ("a", "b", "c")
    assert model.spec == Spec(crop=8)
    assert model(torch.rand(4, 3, 8, 8))["logits"].shape == (4, 3)


def test_a_model_of_one_s_own_is_taken_as_it_is() -> None:
    model = load("python:own_models:Whole")
    assert type(model).__name__ == "Whole"
    with pytest.raises(ModelUnavailable, match="says name, spec, labels and task itself"):
        load("python:own_models:Whole", labels=["a"])


def test_what_is_neither() -> None:
    with pytest.raises(ModelUnavailable, match=r"neither an nn\.Module nor a Model: it lacks name, platform"):
        load("python:builtins:dict")


def test_a_module_that_lacks_something_itself_says_so(module_of_one_s_own: Path) -> None:
    (module_of_one_s_own / "lacking.py").write_text("import no_such_library\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        load("python:lacking:model")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("ragged", "output output_0 has shape .* outputs need the batch first"),
        ("no_batch", "output output_0 has shape"),
        ("text", "output x of the model is a str"),
        ("raises", "fails on a batch of .*ZeroDivisionError: division by zero"),
        ("complex_numbers", "output x is torch.complex64"),
    ],
)
def test_outputs_without_a_fixed_shape_are_refused(factory: str, message: str) -> None:
    with pytest.raises(ModelUnavailable, match=message):
        own(factory, task="tensors")


def test_a_shape_that_changes_later_costs_its_batch_alone() -> None:
    model = own("by_value", task="tensors")
    assert model.outputs == (TensorInfo("x", "FP32", (-1, 1, 8)),)
    with pytest.raises(ValueError, match=r"output x has shape \(2, 4, 8\) for 2 images"):
        model(torch.full((2, 3, 8, 8), 3.0))
    assert model(torch.zeros(2, 3, 8, 8))["x"].shape == (2, 1, 8)


def test_a_batch_of_another_shape() -> None:
    model = own("linear")
    with pytest.raises(ValueError, match=r"linear takes \(N, 3, 8, 8\), got \(2, 3, 9, 8\)"):
        model(torch.zeros(2, 3, 9, 8))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("factory", ["buffer", "itself"])
def test_results_are_the_caller_s_whatever_the_model_returns(factory: str, layout: torch.memory_format) -> None:
    model = own(factory, task="tensors")
    batch = torch.rand(2, 3, 8, 8).contiguous(memory_format=layout)
    first = model(batch)
    kept = {name: array.copy() for name, array in first.items()}
    for array in first.values():
        assert array.flags.c_contiguous
    for name, array in model(batch).items():
        array[:] = -1  # of a later call: neither the model nor earlier results see it
        assert np.array_equal(first[name], kept[name])
    batch.zero_()
    for name, array in first.items():
        assert np.array_equal(array, kept[name])
    fresh = model(torch.rand(2, 3, 8, 8))
    if factory == "buffer":
        assert np.array_equal(fresh["kept"], kept["kept"])


def test_datatypes_of_halves() -> None:
    assert own("half", task="tensors").outputs == (TensorInfo("x", "FP32", (-1, 3)), TensorInfo("y", "FP16", (-1, 3)))


def test_builtin_tiny_is_the_same_everywhere() -> None:
    model = load("builtin:tiny")
    assert (model.platform, model.task, len(model.labels)) == ("builtin", "classification", 10)
    assert model.spec == Spec(memory_format="channels_last")
    batch = torch.rand(2, 3, 224, 224)
    again, other = load("builtin:tiny"), load("builtin:tiny", seed=1)
    assert np.array_equal(model(batch)["logits"], again(batch)["logits"])
    assert not np.array_equal(model(batch)["logits"], other(batch)["logits"])


def test_random_weights_leave_the_caller_s_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load("builtin:tiny", seed=9)
    assert torch.equal(torch.rand(3), expected)


def test_builtin_sleep_sleeps_without_the_interpreter_s_lock() -> None:
    model = load("builtin:sleep?ms=200")
    worker = threading.Thread(target=model, args=(torch.zeros(1, 3, 224, 224),))
    began = time.monotonic()
    worker.start()
    counted = 0
    while worker.is_alive() and time.monotonic() - began < 30:
        counted += 1
        time.sleep(0.001)
    assert time.monotonic() - began >= 0.2
    assert counted > 5  # this thread went on


def test_compiled_by_request(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def compiler(module: Any) -> Any:
        compiled.append(module)
        return module

    monkeypatch.setattr(torch, "compile", compiler)  # the real one takes seconds and a C++ compiler
    load("builtin:tiny", compile=True)
    assert len(compiled) == 1


def test_the_number_of_threads_is_the_caller_s_wish() -> None:
    load("builtin:tiny")
    assert torch.get_num_threads() == 1
    load("builtin:tiny", num_threads=2)
    assert torch.get_num_threads() == 2


def _logits(make: Any, batch: np.ndarray[Any, Any], results: Any) -> None:
    torch.set_num_threads(1)
    results.put(make()(torch.from_numpy(batch))["logits"])


def test_the_same_arguments_give_the_same_weights_in_another_process() -> None:
    make = functools.partial(load, "builtin:tiny", seed=4, spec={"resize": 64, "crop": 64})
    assert pickle.loads(pickle.dumps(make)).func is load
    batch = np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32)
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=_logits, args=(make, batch, results))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    assert np.array_equal(results.get(), make()(torch.from_numpy(batch))["logits"])
