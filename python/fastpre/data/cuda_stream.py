"""Batches that are decoded on a CUDA stream of their own, and consumed on another."""

from __future__ import annotations

import torch

from .compressed import Compressed
from .decoder import Decoded, Decoder

__all__ = ["OnStream", "hand_over"]


class OnStream:
    """Decodes on a CUDA stream of its own, and leaves an event for the consumer's."""

    def __init__(self, decoder: Decoder, stream: torch.cuda.Stream) -> None:
        self._decoder = decoder
        self._stream = stream

    def __call__(self, batch: Compressed) -> Decoded:
        """The batch, and in `ready` the event of its end."""
        with torch.cuda.stream(self._stream):
            decoded = self._decoder.attempt(batch)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record(self._stream)
        return decoded._replace(ready=ready)


def hand_over(batch: Decoded) -> None:
    """Makes a batch that was decoded on another CUDA stream safe to use on the consumer's current one."""
    if batch.ready is None:
        return
    consumer = torch.cuda.current_stream(batch.tensor.device)
    consumer.wait_event(batch.ready)
    # The memory belongs to the decoding stream's pool. Without the next line, once the consumer drops the tensor, the
    # next batch would be decoded into it while kernels that the consumer has queued still read it.
    batch.tensor.record_stream(consumer)
