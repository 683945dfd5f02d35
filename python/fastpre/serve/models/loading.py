"""From a reference to a model that is ready to run."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from ...spec import Spec
from ...typing import SpecFields
from .errors import ModelUnavailable
from .found import Found, Options
from .labels import labels_of
from .references import Reference
from .running import LoadedModel

if TYPE_CHECKING:
    from ..model import Model

__all__ = ["SOURCES", "load"]

# What a reference begins with, and the module that finds the rest.
SOURCES: Mapping[str, str] = {
    "torchvision": "fastpre.serve.models.sources.torchvision",
    "timm": "fastpre.serve.models.sources.timm",
    "transformers": "fastpre.serve.models.sources.transformers",
    "torchscript": "fastpre.serve.models.sources.torchscript",
    "export": "fastpre.serve.models.sources.exported",
    "onnx": "fastpre.serve.models.sources.onnx",
    "python": "fastpre.serve.models.sources.python",
    "builtin": "fastpre.serve.models.sources.builtin",
}

WITH_CLASSES = ("classification", "segmentation", "detection")


def load(
    reference: str,
    *,
    device: str = "cpu",
    random_weights: bool = False,
    name: str | None = None,
    spec: Spec | SpecFields | None = None,
    labels: Sequence[str] | str | os.PathLike[str] | None = None,
    task: str | None = None,
    num_threads: int | None = None,
    channels_last: bool | None = None,
    compile: bool = False,  # noqa: A002
    fold_batch_norm: bool = False,
    max_detections: int = 100,
    with_logits: bool = False,
    seed: int = 0,
) -> Model:
    """A model by name or file, checked with batches of zeros, which also warms it up.

    The same arguments give the same weights in any process: to have a model in another one, send these
    (`functools.partial(load, reference, ...)` can be pickled).

    Args:
        reference: SOURCE:TARGET, with ?PARAMETER=VALUE&... for what makes the model: `torchvision:resnet18`,
            `timm:mobilenetv3_small_050`, `transformers:FOLDER`, `torchscript:FILE.pt`, `export:FILE.pt2`,
            `onnx:FILE.onnx`, `python:MODULE:FACTORY`, `builtin:tiny`. The modules of `sources` say more.
        device: where it runs and takes its input: "cpu", "cuda", "cuda:1".
        random_weights: True: no weights are fetched.
        name: what it is called; None: the target's last part.
        spec: a Spec instead of the one that the model was trained with, or some fields to change in that.
        labels: names of the classes, or a file of them: a name per line, or JSON.
        task: "classification", "segmentation", "detection", "depth", "embedding", or any other word where the model's
            tensors are to be delivered as they are. None: what the source knows of it.
        num_threads: of one forward pass. For torch's models it is the process's setting (`torch.set_num_threads`);
            None leaves that alone.
        channels_last: memory format of torch's models; None: where it pays (`modules.ModuleNetwork`).
        compile: True: torch.compile, with the compiler that it needs; loading takes some seconds more.
        fold_batch_norm: True: batch norms become part of the convolutions before them. That takes 4 to 17% off
            torchvision's CNNs on a CPU, and outputs differ by less than 1e-6 of the largest; timm's batch norms are of
            another kind, which stays as it is.
        max_detections: M, to which detections are cut or padded.
        with_logits: True: for segmentation also the logits.
        seed: of random weights.

    Raises:
        ModelUnavailable: there is no such model, or no library, weights or device for it; or its outputs are not
            arrays of a fixed shape. The message is one line that says what to do.
    """
    parsed = Reference.parse(reference, SOURCES)
    options = Options(
        device=_device(device),
        random_weights=random_weights,
        seed=seed,
        task=task,
        num_threads=num_threads,
        channels_last=channels_last,
        fold_batch_norm=fold_batch_norm,
        compile=compile,
        max_detections=max_detections,
        with_logits=with_logits,
    )
    found: Found | Model = importlib.import_module(SOURCES[parsed.source]).find(
        parsed.target, parsed.parameters, options
    )
    if not isinstance(found, Found):
        if spec is not None or labels is not None or task is not None or name is not None:
            raise ModelUnavailable(f"{reference} returns a Model, which says name, spec, labels and task itself")
        return found
    if labels is not None:
        found.labels, found.labels_are_given = labels_of(labels), True
    elif found.task not in WITH_CLASSES:
        found.labels = ()
    return LoadedModel(name or parsed.short, found, _spec(found.fields, spec), options)


def _spec(fields: SpecFields, given: Spec | SpecFields | None) -> Spec:
    if isinstance(given, Spec):
        return given
    try:
        return Spec(**cast("SpecFields", {**fields, **(given or {})}))
    except (TypeError, ValueError) as e:
        raise ModelUnavailable(f"the model's spec is wrong: {e}") from e


def _device(device: str) -> str:
    if device == "cpu":
        return device
    import torch

    try:
        asked = torch.device(device)
    except RuntimeError as e:
        raise ModelUnavailable(f"device is to be cpu, cuda or cuda:1, got {device!r}") from e
    if asked.type != "cuda" or not torch.cuda.is_available() or (asked.index or 0) >= torch.cuda.device_count():
        raise ModelUnavailable(f"torch finds no device {device!r} here; it has {_devices(torch)}")
    return f"cuda:{torch.cuda.current_device() if asked.index is None else asked.index}"


def _devices(torch: Any) -> str:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ", ".join(["cpu", *(f"cuda:{index}" for index in range(count))])
