"""A file of `torch.save`, whose tensor lies in a file of its own while its rows are made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from fastpre import Spec

from ..batch import is_channels_last
from ..output_file import PartialFile
from .shard import TENSOR, Shard

__all__ = ["PtShard"]


class PtShard(Shard):
    """A dict for `torch.load`, mapped or not: `images`, (N, C, H, W), and `files`, `spec`, `layout`, `fastpre`.

    With channels_last that is the tensor's memory format, as in results of calls. `torch.save` takes a whole
    tensor at once: its rows are written to a file first, which is then mapped, so that memory need not
    hold it, but the disk does twice for a while.
    """

    def __init__(self, path: str, most: Sequence[str], spec: Spec, size: tuple[int, int]) -> None:
        super().__init__(path, most, spec, size)
        self._rows = PartialFile(f"{os.path.realpath(path)}.rows")  # on the same disk

    def metadata(self) -> dict[str, str]:
        """The tensor's shape is (N, C, H, W) whatever its memory format."""
        return {**super().metadata(), "layout": "NCHW"}

    def open(self) -> None:
        """Begins both files."""
        self._out = self.file.open()
        self.stream = self._rows.open()

    def finish(self) -> None:
        """Saves the rows as one tensor."""
        self._rows.close()
        try:
            torch.save({TENSOR: self._tensor(), "files": self.names, **self.metadata()}, self._out)
        except RuntimeError as e:  # torch's form of an OSError, without its number
            raise OSError(f"torch.save failed, as it does on a full disk ({e})") from e
        self.file.close()
        self._rows.discard()

    def discard(self) -> None:
        """Removes both files."""
        self._rows.discard()
        super().discard()

    def _tensor(self) -> Any:
        if self.names:
            flat = torch.from_numpy(np.memmap(self._rows.partial, np.uint8, mode="c"))
        else:  # no file of no bytes can be mapped
            flat = torch.empty(0, dtype=torch.uint8)
        rows = flat.view(getattr(torch, self.spec.dtype_name)).view(self.shape)
        return rows.permute(0, 3, 1, 2) if is_channels_last(self.spec) else rows
