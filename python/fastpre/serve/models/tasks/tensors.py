"""A model's tensors as they are, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ModelUnavailable
from ..found import Outputs

if TYPE_CHECKING:
    import torch

__all__ = ["Tensors", "only", "plain"]


class Tensors:
    """Reads a tensor, a sequence of them, or a mapping."""

    def __init__(self, task: str) -> None:
        self._one = "embedding" if task == "embedding" else "output_0"

    def __call__(self, raw: Any, size: tuple[int, int]) -> Outputs:
        """All of its tensors, under the mapping's keys or numbered."""
        import torch

        if isinstance(raw, torch.Tensor):
            return {self._one: plain(raw)}
        named: Iterable[tuple[str, Any]]
        if isinstance(raw, Mapping):
            named = raw.items()
        elif isinstance(raw, (list, tuple)):
            named = ((f"output_{index}", value) for index, value in enumerate(raw))
        else:
            raise ModelUnavailable(
                f"the model returns a {type(raw).__name__}; tensors are needed, in a tuple or a dict"
            )
        found = {}
        for name, value in named:
            if not isinstance(value, torch.Tensor):
                raise ModelUnavailable(
                    f"output {name} of the model is a {type(value).__name__}; tensors of a fixed shape are needed "
                    "(python:MODULE:FACTORY can wrap it)"
                )
            found[name] = plain(value)
        return found


def only(raw: Any, task: str, keys: Iterable[str] = ()) -> torch.Tensor:
    """The one tensor that a task is about: itself, the first of these keys, or the only one that there is."""
    import torch

    if isinstance(raw, Mapping):
        named = next((raw[key] for key in keys if key in raw), None)
        values = list(raw.values()) if named is None else [named]
    else:
        values = list(raw) if isinstance(raw, (list, tuple)) else [raw]
    if len(values) != 1 or not isinstance(values[0], torch.Tensor):
        kinds = ", ".join(type(value).__name__ for value in values)
        raise ModelUnavailable(f"for {task} a model is to return one tensor, and this one returns {kinds}")
    return values[0]


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """As NumPy can hold it: bfloat16, which it lacks, as float32."""
    import torch

    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor
