"""The files that `fastpre pack` writes: one format a module."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from ..errors import Unusable
from .shard import Shard

__all__ = ["FORMATS", "shard_type_of"]

# Imported when asked for, so that pyarrow is needed for its own format alone.
FORMATS: Mapping[str, str] = {"tar": ".tar:TarShard", "parquet": ".parquet:ParquetShard"}


def shard_type_of(file_format: str) -> type[Shard]:
    """A format by its name in FORMATS.

    Raises:
        Unusable: a library is missing.
    """
    module, _, name = FORMATS[file_format].partition(":")
    try:
        found: type[Shard] = getattr(importlib.import_module(module, __package__), name)
    except ImportError as e:
        raise Unusable(f"--format {file_format} needs {e.name}: pip install 'fastpre[pack]'") from e
    return found
