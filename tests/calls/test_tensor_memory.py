"""Tensors and modes of torch without memory of their own are refused by name; ordinary subclasses are not."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import pytest
import torch

import fastpre
import odd_tensors
import streams

JPEG = streams.encode(streams.picture("RGB", 64, 48))
PRE = fastpre.Preprocessor(fastpre.Spec(resize=32, crop=24), num_threads=1)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@functools.cache
def outcomes() -> dict[str, str]:
    """What became of each call, made in processes that may crash."""
    path = os.pathsep.join(sys.path)
    run = subprocess.run(
        [sys.executable, odd_tensors.__file__],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        timeout=300,
        check=True,
    )
    found: dict[str, str] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        (kind, use)
        for kind in odd_tensors.REFUSED
        for use in ("out", "bytes", "pixels")
        if use == "out" or kind != "MaskedTensor"  # which is never uint8
    ],
)
def test_a_tensor_without_memory_of_its_own_is_refused_by_name(kind: str, use: str) -> None:
    told = outcomes()[f"{use} {kind}"]
    assert told.startswith("ValueError: out " if use == "out" else "TypeError: "), told
    assert ("CPU" if kind == "meta" and use != "out" else kind) in told


@pytest.mark.parametrize("use", ["out", "bytes", "pixels"])
@pytest.mark.parametrize("kind", odd_tensors.ACCEPTED)
def test_a_tensor_with_memory_of_its_own_is_taken_whatever_its_class(kind: str, use: str) -> None:
    assert outcomes()[f"{use} {kind}"] == "ok"


@pytest.mark.parametrize("name", odd_tensors.TRANSFORMS)
def test_wrappers_of_torch_func(name: str) -> None:
    told = {use: text for use in ("out", "bytes", "pixels") if (text := outcomes().get(f"{use} {name}"))}
    assert "out" in told
    for use, text in told.items():
        assert text.startswith(("ValueError", "TypeError")), use
        assert name in text


@pytest.mark.parametrize("use", ["", ", large", ", out", ", transform"])
@pytest.mark.parametrize("mode", odd_tensors.TRACED)
def test_a_mode_that_would_replace_or_lose_the_pixels_is_refused_by_name(mode: str, use: str) -> None:
    told = outcomes()[f"under {mode}{use}"]
    assert told.startswith("ValueError: fastpre ")
    named = {"make_fx real": "ProxyTorchDispatchMode", "make_fx fake": "FakeTensorMode", "torch.export": "FakeTensor"}
    assert named.get(mode, mode) in told


@pytest.mark.parametrize("use", ["", ", large", ", out", ", transform"])
@pytest.mark.parametrize("mode", odd_tensors.UNTRACED)
def test_a_mode_that_only_looks_on_is_fine(mode: str, use: str) -> None:
    assert outcomes()[f"under {mode}{use}"] == "ok"


def test_a_proxy_of_a_tensor_is_none() -> None:
    assert outcomes()["out proxy"].startswith("TypeError: out must be a torch tensor or a NumPy array")


def test_an_empty_batch_needs_no_memory() -> None:
    out = torch.empty(0, 3, 24, 24)
    assert PRE([], out=out) is out


# Autograd. `kept` is saved by the multiplication, and its gradient is what `out` held then.


def graph(saved: torch.Tensor) -> torch.Tensor:
    weight = torch.ones(saved.shape, requires_grad=True)
    return (weight * saved).sum()


@pytest.mark.parametrize("view", ["itself", "a view of it", "its detached twin", "its base", "a leaf's memory"])
def test_backward_through_a_tensor_that_was_overwritten_is_an_error(view: str) -> None:
    out = torch.zeros(2, 3, 24, 24)
    if view == "itself":
        loss = graph(out)
    elif view == "a view of it":
        loss = graph(out[:1])
    elif view == "its detached twin":
        loss = graph(out.detach())
    elif view == "its base":
        base = torch.zeros(4, 3, 24, 24)
        loss, out = graph(base), base[1:3]
    else:
        leaf = torch.zeros(2, 3, 24, 24, requires_grad=True)
        loss, out = (leaf * leaf).sum(), leaf.detach()
    PRE([JPEG] * 2, out=out)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_backward_through_what_was_left_alone_works() -> None:
    out = torch.zeros(2, 3, 24, 24)
    loss = graph(out.clone())
    PRE([JPEG] * 2, out=out)
    loss.backward()


@pytest.mark.parametrize("on_error", ["fill", "skip", "raise"])
def test_a_batch_with_a_bad_image_counts_as_written(on_error: fastpre.spec.OnError) -> None:
    out = torch.zeros(2, 3, 24, 24)
    loss = graph(out)
    if on_error == "raise":
        with pytest.raises(fastpre.CorruptImage):
            PRE([b"", JPEG], out=out)
    else:
        PRE([b"", JPEG], out=out, on_error=on_error)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_an_out_that_is_refused_was_not_written() -> None:
    out = torch.zeros(2, 3, 24, 25)
    before = out._version
    with pytest.raises(ValueError, match="out has shape"):
        PRE([JPEG] * 2, out=out)
    assert out._version == before


def test_inference_mode_writes_into_an_ordinary_tensor() -> None:
    out = torch.zeros(1, 3, 24, 24)
    loss = graph(out)
    with torch.inference_mode():
        PRE([JPEG], out=out)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inference_tensors_can_be_written_anywhere() -> None:
    """They have no version counter, and a later image moves up within one."""
    want = PRE([JPEG])
    with torch.inference_mode():
        out = torch.zeros(3, 3, 24, 24)
    rows = PRE([b"", JPEG, JPEG], out=out, on_error="skip")
    assert rows.data_ptr() == out.data_ptr()
    assert torch.equal(rows, want.expand(2, 3, 24, 24))
