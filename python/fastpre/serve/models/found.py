"""What a source of models is asked for, and what it gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ...spec import Spec
from ...typing import SpecFields

if TYPE_CHECKING:
    import torch

__all__ = ["Found", "Network", "Options", "Outputs", "Reader"]

Outputs: TypeAlias = "Mapping[str, torch.Tensor]"

# From what a network returns, and the (height, width) of its input, to tensors of (N, ...) by name.
Reader: TypeAlias = Callable[[Any, tuple[int, int]], Outputs]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What `load` was asked for; it says what each one means."""

    device: str = "cpu"
    random_weights: bool = False
    seed: int = 0
    task: str | None = None
    num_threads: int | None = None
    channels_last: bool | None = None
    fold_batch_norm: bool = False
    compile: bool = False
    max_detections: int = 100
    with_logits: bool = False


class Network(Protocol):
    """What computes."""

    def prepare(self, spec: Spec, options: Options) -> Spec:
        """Makes it ready for batches as the Spec makes them, and returns that with the memory format that suits it."""

    def __call__(self, batch: torch.Tensor) -> Any:
        """What it says of a batch of (N, C, H, W)."""


@dataclasses.dataclass(kw_only=True)
class Found:
    """A network with what is known about it.

    Attributes:
        platform: what runs it.
        fields: of the Spec that makes its input.
        read: makes named tensors of what the network returns.
        labels: names of the classes.
        labels_are_given: they were meant for this model: an error if it has another number of classes. Otherwise they
            are those that its kind was trained with, and dropped.
        fixed_batch: the only batch that it takes; 0: any.
    """

    network: Network
    platform: str
    task: str
    fields: SpecFields
    read: Reader
    labels: tuple[str, ...] = ()
    labels_are_given: bool = False
    fixed_batch: int = 0
