"""`torchscript:FILE.pt`: what `torch.jit.save` wrote.

The file says neither the size of its input nor what comes out: without `spec` and `task`, in the call or in
FILE.pt.json, these are ImageNet's 224 x 224 and a classification.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ..errors import ModelUnavailable
from ..found import Found, Options
from ..modules import ModuleNetwork
from ..sidecar import model_file
from .files import described, no_parameters

__all__ = ["find"]


def find(target: str, parameters: Mapping[str, Any], options: Options) -> Found:
    """See the module."""
    import torch

    no_parameters("torchscript", parameters)
    path = model_file(target, ".pt")
    try:
        with warnings.catch_warnings():
            # torch tells authors to turn to torch.export; the file is there already.
            warnings.simplefilter("ignore", FutureWarning)
            module = torch.jit.load(str(path), map_location=options.device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as e:
        raise ModelUnavailable(f"{target} is no TorchScript file: {str(e).splitlines()[0]}") from e
    module.eval()
    return described(ModuleNetwork(module, graph=True), "torchscript", path, options)
