"""`export:FILE.pt2`: what `torch.export.save` wrote.

The file says the shape of its input. If its batch is fixed there, smaller ones are filled up with zeros.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from typing import Any

from ..errors import ModelUnavailable
from ..found import Found, Options
from ..modules import ModuleNetwork
from ..sidecar import model_file
from .files import InputShape, described, no_parameters

__all__ = ["find"]


def find(target: str, parameters: Mapping[str, Any], options: Options) -> Found:
    """See the module."""
    import torch

    no_parameters("export", parameters)
    path = model_file(target, ".pt2")
    if not zipfile.is_zipfile(path):
        raise ModelUnavailable(f"{target} is no file of torch.export.save")
    try:
        program = torch.export.load(path)
    except Exception as e:  # whatever its parts raise while they are read
        raise ModelUnavailable(f"{target} cannot be read by torch.export.load: {' '.join(str(e).split())}") from e
    if options.device != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, options.device)
    network = ModuleNetwork(program.module(), graph=True)
    return described(network, "torch.export", path, options, _shape(program, target), _ranks(program))


def _shape(program: Any, target: str) -> InputShape:
    inputs = [
        node.meta["val"]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    ]
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = [tuple(value.shape) for value in inputs]
        raise ModelUnavailable(f"{target} takes {shapes}, and a model to be served takes one tensor of (N, C, H, W)")
    batch, channels, height, width = (side if isinstance(side, int) else 0 for side in inputs[0].shape)
    return InputShape(batch, channels, height, width, str(inputs[0].dtype).removeprefix("torch."))


def _ranks(program: Any) -> tuple[int, ...]:
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    names = program.graph_signature.user_outputs
    return tuple(node.meta["val"].dim() for node in output.args[0] if node.name in names)
