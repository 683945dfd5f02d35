"""The files that `fastpre run` writes: one format a module, chosen by the output's name."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping

import click

from fastpre import Spec

from ..errors import Unusable
from ..files import printable
from .shard import TENSOR, Shard

__all__ = ["FORMATS", "TENSOR", "Shard", "format_of", "shard_paths"]

# Imported when asked for, so that torch is needed for its own format alone.
FORMATS: Mapping[str, str] = {
    ".safetensors": "safetensors:SafetensorsShard",
    ".npy": "npy:NpyShard",
    ".pt": "pt:PtShard",
}


def format_of(path: str, spec: Spec) -> type[Shard]:
    """The format that a name asks for.

    Raises:
        click.UsageError: it asks for none that there is, or for one that has no such images.
        Unusable: a library is missing.
    """
    suffix = os.path.splitext(path)[1]
    target = FORMATS.get(suffix.lower())
    if target is None:
        *others, last = FORMATS
        says = f"ends in {printable(suffix)}" if suffix else "says no format"
        raise click.UsageError(f"-o {printable(path)} {says}: name it {', '.join(others)} or {last}")
    module, _, name = target.partition(":")
    try:
        shard: type[Shard] = getattr(importlib.import_module(f".{module}", __name__), name)
    except ImportError as e:
        raise Unusable(f"a {suffix} file needs {e.name}: pip install {e.name}") from e
    if spec.dtype_name not in shard.dtypes:
        raise click.UsageError(f"a {suffix} file has no {spec.dtype_name}: it has {', '.join(shard.dtypes)}")
    return shard


def shard_paths(path: str, images: int, shard_size: int) -> list[str]:
    """`out.safetensors`, or `out-00001-of-00003.safetensors` and so on, if there are more images than fit."""
    count = max(1, -(-images // shard_size))
    if count == 1:
        return [path]
    stem, suffix = os.path.splitext(path)
    return [f"{stem}-{i:05}-of-{count:05}{suffix}" for i in range(1, count + 1)]
