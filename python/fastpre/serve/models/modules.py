"""An `nn.Module` (or TorchScript, or an exported graph) made ready to be served."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...spec import Spec
from .errors import ModelUnavailable
from .found import Options

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["ModuleNetwork"]


def _plain(module: nn.Module, batch: torch.Tensor) -> Any:
    return module(batch)


class ModuleNetwork:
    """A `Network` of a torch module.

    Args:
        call: how it takes a batch, where that is not `module(batch)`.
        graph: it is a file's graph, which nothing can be done to but to move it.
    """

    def __init__(
        self, module: nn.Module, call: Callable[[nn.Module, torch.Tensor], Any] = _plain, *, graph: bool = False
    ) -> None:
        self.module: Any = module
        self._call = call
        self._graph = graph

    def __call__(self, batch: torch.Tensor) -> Any:
        """See `Network`."""
        return self._call(self.module, batch)

    def prepare(self, spec: Spec, options: Options) -> Spec:
        """See `Network`; the module is moved and changed in place."""
        import torch

        if options.num_threads is not None:
            torch.set_num_threads(options.num_threads)
        if self._graph and (options.fold_batch_norm or options.compile):
            raise ModelUnavailable("fold_batch_norm and compile are for models in Python, and this is a file's graph")
        if not self._graph:
            self.module.eval()
        if options.fold_batch_norm:
            self.module = _folded(self.module)
        dtype = getattr(torch, spec.dtype_name)
        if dtype.is_floating_point and not self._graph:
            self.module.to(dtype=dtype)
        self.module.to(device=options.device)
        if self._channels_last(options):
            self.module.to(memory_format=torch.channels_last)
            spec = spec.replace(memory_format="channels_last")
        if options.compile:
            self.module = torch.compile(self.module)
        return spec

    def _channels_last(self, options: Options) -> bool:
        """True if convolutions are to get their input as (N, H, W, C) in memory.

        On the CPU that is what oneDNN's fastest kernels read: resnet18 takes 0.81 to 0.84 of the contiguous time and
        mobilenet_v3_small 0.87, in batches of 1 and 8 on one core (benchmarks/models.py). A vision transformer has a
        single convolution, which cuts the patches; nothing is gained there. On CUDA, where halves want channels last
        for the tensor cores and float32 may have either, nothing is measured yet.
        """
        if options.channels_last is not None:
            return options.channels_last
        names = [getattr(each, "original_name", type(each).__name__) for each in self.module.modules()]
        convolutional = sum(name.startswith("Conv2d") for name in names) > 1  # timm has Conv2dSame
        half = next(self.module.parameters()).element_size() == 2 if convolutional else False
        return convolutional and (options.device == "cpu" or half)


def _folded(module: nn.Module) -> nn.Module:
    """Batch norms folded into the convolutions before them. Outputs move by less than 1e-6 of the largest."""
    from torch.fx.experimental.optimization import fuse

    try:
        folded: nn.Module = fuse(module)
    except Exception as e:  # torch.fx raises whatever the module's code does with what stands for a tensor
        raise ModelUnavailable(f"fold_batch_norm: torch.fx cannot trace {type(module).__name__}: {e}") from e
    return folded
