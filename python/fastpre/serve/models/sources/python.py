"""`python:PACKAGE.MODULE:FACTORY`: a callable of your own that returns a `Model` or an `nn.Module`.

Parameters are its keyword arguments. Of an `nn.Module` the input is ImageNet's usual one unless `spec` says otherwise,
and the task a classification unless `task` does.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from .. import tasks
from ..errors import ModelUnavailable
from ..found import Found, Options
from ..modules import ModuleNetwork
from ..references import did_you_mean
from ..weights import seeded

__all__ = ["ATTRIBUTES", "find"]

# Of the protocol `Model`.
ATTRIBUTES = ("name", "platform", "task", "spec", "device", "outputs", "labels", "max_batch")


def find(target: str, parameters: Mapping[str, Any], options: Options) -> Any:
    """A `Found`, or the factory's own `Model`."""
    import torch

    name, _, attribute = target.partition(":")
    if not attribute:
        raise ModelUnavailable(f"python:{target} names no callable: write python:{name}:FACTORY")
    factory = getattr(_imported(name), attribute, None)
    if not callable(factory):
        known = [each for each in dir(_imported(name)) if not each.startswith("_")]
        raise ModelUnavailable(f"{name} has no callable {attribute!r}{did_you_mean(attribute, known)}")
    with seeded(options.seed):
        made = factory(**parameters)
    if isinstance(made, torch.nn.Module):
        task = options.task or "classification"
        read = tasks.reader(task, options)
        return Found(network=ModuleNetwork(made), platform="torch", task=task, fields={}, read=read)
    missing = [each for each in ATTRIBUTES if not hasattr(made, each)] + ([] if callable(made) else ["__call__"])
    if missing:
        kind = type(made).__name__
        raise ModelUnavailable(
            f"python:{target} returns {kind}, which is neither an nn.Module nor a Model: it lacks {', '.join(missing)}"
        )
    return made


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as e:
        if e.name is None or not f"{name}.".startswith(f"{e.name}."):
            raise  # the module is there, and lacks something itself
        raise ModelUnavailable(f"there is no module {name!r} on sys.path (PYTHONPATH=. adds this folder)") from e
