"""Options are the Spec's fields, and wrong usage says so."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

import fastpre
from command_line import GOOD, call, images, metadata
from fastpre._backend import fields
from fastpre.cli.command import SectionOption
from fastpre.cli.options import spec_options
from fastpre.cli.run import run


def test_run_passes_all_options_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    result = call(
        *("run", folder, "-o", out, "--resize", "200x180", "--crop", "96x128", "--interpolation", "lanczos"),
        *("--mean", "0.5", "--std", "0.25,0.5,1", "--color", "BGR", "--exif-orientation", "--fidelity", "fast"),
        *("--max-pixels", 1_000_000, "--max-bytes", 500_000, "--threads", 1),
        *("--rescale", "multiply", "--pass-order", "adaptive"),
    )
    assert result.exit_code == 0, result.output
    spec = fastpre.Spec(
        resize=(200, 180),
        crop=(96, 128),
        interpolation="lanczos",
        mean=0.5,
        std=(0.25, 0.5, 1),
        color="BGR",
        exif_orientation=True,
        fidelity="fast",
        max_pixels=1_000_000,
        max_bytes=500_000,
        rescale="multiply",
        pass_order="adaptive",
    )
    assert metadata(out)["spec"] == repr(spec)
    expected = fastpre.Preprocessor(spec)([folder / name for name in GOOD])
    np.testing.assert_array_equal(images(out), expected.numpy())


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "{folder}"],
        ["run", "{folder}", "-o", "{out}", "--resize", "wide"],
        ["run", "{folder}", "-o", "{out}", "--crop", "0"],
        ["run", "{folder}", "-o", "{out}", "--crop", "none"],
        ["run", "{folder}", "-o", "{out}", "--mean", "none"],
        ["run", "{folder}", "-o", "{out}", "--mean", "1,2", "--std", "1,2"],
        ["run", "{folder}", "-o", "{out}", "--max-size", "200"],
        ["run", "{folder}", "-o", "{out}", "--device", "gpu"],
        ["run", "{folder}", "-o", "{out}", "--threads", "1000000"],
        ["run", "{folder}", "-o", "{out}", "--mean", "0", "--std", "0"],
        ["run", "{folder}/absent", "-o", "{out}"],
        ["run", "{folder}/empty", "-o", "{out}"],
        ["run", "{folder}", "-o", "{folder}/notes.txt/out.safetensors"],
        ["inspect"],
        ["inspect", "{folder}/empty"],
        ["bench", "{folder}/absent"],
        ["bench", "{folder}/empty"],
        ["fly"],
    ],
)
def test_wrong_usage_is_exit_code_2(folder: Path, tmp_path: Path, arguments: list[str]) -> None:
    (folder / "empty").mkdir()
    out = tmp_path / "out.safetensors"
    result = call(*(a.format(folder=folder, out=out) for a in arguments))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stderr
    assert not out.exists()


def test_every_field_of_spec_is_an_option() -> None:
    """A new field gets an option of itself; its help has to be written."""
    assert isinstance(run, click.Command)
    options = {p.name: p for p in run.params if isinstance(p, SectionOption)}
    fields = {f.name: f for f in dataclasses.fields(fastpre.Spec)}
    assert list(options) == list(fields)
    for name, option in options.items():
        assert option.help, f"--{name} says nothing: fastpre.cli.options.HELP"
        words = "channels-last" if name == "memory_format" else name.replace("_", "-")
        assert option.opts == [f"--{words}"]


@pytest.mark.parametrize(
    ("option", "value", "changes"),
    [
        ("--resize", "none", {"resize": None}),
        ("--resize", "300x200", {"resize": (300, 200)}),
        ("--crop", "100x90", {"crop": (100, 90)}),
        ("--max-size", "500", {"max_size": 500}),
        ("--channels-last", None, {"memory_format": "channels_last"}),
        ("--exif-orientation", None, {"exif_orientation": True}),
        ("--color", "L", {"color": "L"}),
        ("--mean", "imagenet", {}),
        *(("--interpolation", name, {"interpolation": name}) for name in fields.INTERPOLATIONS),
        *(("--pass-order", name, {"pass_order": name}) for name in fields.PASS_ORDERS),
        *(("--rescale", name, {"rescale": name}) for name in fields.RESCALES),
        *(("--truncated", name, {"truncated": name}) for name in fields.TRUNCATED),
        *(("--fidelity", name, {"fidelity": name}) for name in fields.FIDELITIES),
        *(("--dtype", name, {"dtype": name}) for name in ("float32", "float16", "bfloat16", "uint8")),
    ],
)
def test_an_option_is_its_field(option: str, value: str | None, changes: dict[str, Any]) -> None:
    seen: list[fastpre.Spec] = []

    @click.command()
    @spec_options
    def command(spec: fastpre.Spec) -> None:
        seen.append(spec)

    for arguments in ([], [option] if value is None else [option, value]):
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 0, result.output
    assert seen == [fastpre.Spec(), fastpre.Spec(**changes)]


@pytest.mark.parametrize(
    ("given", "missing", "value"),
    [("mean", "std", "0.5"), ("std", "mean", "0.5"), ("mean", "std", "0.5,0.4,0.3"), ("mean", "std", "none")],
)
def test_half_a_normalization_is_refused(folder: Path, tmp_path: Path, given: str, missing: str, value: str) -> None:
    """The other half would stay ImageNet's."""
    out = tmp_path / "out.safetensors"
    result = call("run", folder, "-o", out, f"--{given}", value)
    assert result.exit_code == 2
    assert f"--{given} needs --{missing}" in result.stderr
    assert not out.exists()
    assert call("run", folder, "-o", out, f"--{given}", value, f"--{missing}", value).exit_code == 0


def test_device(folder: Path, tmp_path: Path) -> None:
    """The emulator stands for CUDA: the same bits, by other code."""
    host, device = tmp_path / "host.safetensors", tmp_path / "device.safetensors"
    small = ("--resize", "40", "--crop", "32")
    assert "device: cpu" in call("run", folder, "-o", host, *small).stdout
    result = call("run", folder, "-o", device, *small, "--device", "emulated", "--compare")
    assert result.exit_code == 0, result.output
    assert "device: emulated" in result.stdout
    assert "on 5 of 5 files" in result.stdout
    np.testing.assert_array_equal(images(device), images(host))
    report = json.loads(call("run", folder, "-o", device, *small, "--device", "emulated", "--json").stdout)
    assert report["device"] == "emulated"
    for command in ("run", "bench"):
        text = call(command, "--help").stdout
        assert "--device cpu|cuda|cuda:N" in text
        assert "emulated" not in text


@pytest.mark.parametrize("command", ["run", "bench"])
def test_a_device_that_is_not_there_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    missing = {"missing": "no driver:\n  install one", "devices": []}
    monkeypatch.setattr(fastpre._core, "cuda_info", lambda: missing)
    out = tmp_path / "out.safetensors"
    result = call(command, folder, "--device", "cuda:0", *(("-o", out) if command == "run" else ()))
    assert result.exit_code == 2
    assert result.stderr == "Error: device='cuda:0': no driver: install one\n"
    assert not out.exists()
