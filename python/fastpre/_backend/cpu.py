"""Batches that are made on the host."""

from __future__ import annotations

from typing import Any

from .. import _core
from . import output
from .call import Call
from .output import Draws, Layout, Output


class Cpu:
    """The host."""

    name = "cpu"

    def allocate(self, layout: Layout, pin_memory: bool) -> Output:
        return output.allocate(layout, pin_memory)

    def adopt(self, out: Any, layout: Layout) -> Output:
        return output.adopt(out, layout)

    def execute(
        self,
        compiled: _core.CompiledSpec,
        items: list[Any],
        memory: Output,
        size: tuple[int, int],
        call: Call,
        draws: Draws = None,
    ) -> list[_core.Record]:
        return _core.run(
            compiled, items, memory.data_ptr, size, memory.strides, call.threads, call.fill, *call.ending(), draws
        )
