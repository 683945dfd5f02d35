"""What stands for the targets of a sample that was lost together with them.

A shard that is cut off has lost samples whose labels nothing tells. Their error still takes a place in a batch, as
`(ImageReadError, *targets)`, so that `on_error` decides; and the targets must collate with those of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["LOST", "LOST_LABEL", "blank_like", "with_targets"]

LOST_LABEL: Final = -100  # `ignore_index` of torch's cross_entropy: with on_error="fill" it costs no loss


class _Lost:
    """A target of a kind that only a whole sample shows, JSON for instance."""

    def __repr__(self) -> str:
        return "LOST"

    def __reduce__(self) -> str:
        return "LOST"


LOST: Final = _Lost()


def blank_like(target: Any) -> Any:
    """A target that collates with this one: -100 for whole numbers, NaN for others, "" for text."""
    if isinstance(target, bool):
        return False
    if isinstance(target, int):
        return LOST_LABEL
    if isinstance(target, float):
        return float("nan")
    if isinstance(target, (str, bytes)):
        return type(target)()
    if isinstance(target, Mapping):
        return {key: blank_like(value) for key, value in target.items()}
    if isinstance(target, (list, tuple)):
        blanks = [blank_like(value) for value in target]
        return type(target)(*blanks) if hasattr(target, "_fields") else type(target)(blanks)
    return target  # arrays and tensors: of the same shape, whatever they hold


def with_targets(samples: list[Any]) -> list[Any]:
    """The samples of a batch, where `LOST` targets are made like those of one that has them."""
    if not any(target is LOST for sample in samples for target in sample[1:]):
        return samples
    whole = next((s for s in samples if not any(target is LOST for target in s[1:])), None)
    model = samples[0] if whole is None else whole
    # Where no sample of the batch is whole, empty dicts take the place: they collate, and `select` finds no rows there.
    blanks = [{} if target is LOST else blank_like(target) for target in model[1:]]
    return [_filled(sample, blanks) for sample in samples]


def _filled(sample: Any, blanks: list[Any]) -> Any:
    if not any(target is LOST for target in sample[1:]):
        return sample
    return (sample[0], *(blank if target is LOST else target for target, blank in zip(sample[1:], blanks, strict=True)))
