"""fastpre.data.Loader on CUDA: its stream and the consumer's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import fastpre
import fastpre.data
from fastpre.data import cuda_stream
from loading import ARRANGEMENTS, GPU, QUIET_FORK, SPEC, labelled, load

pytestmark = QUIET_FORK


@pytest.mark.skipif(not GPU, reason="needs a CUDA device")
@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_cuda(workers: int, ahead: int, batch: list[bytes]) -> None:
    """On a device, with work queued on the consumer's stream so that a missing wait would show."""
    want = fastpre.Preprocessor(SPEC, "cuda")(batch)
    loader = load(labelled(batch * 20), batch_size=12, device="cuda", num_workers=workers, prefetch_batches=ahead)
    busy = torch.rand(2048, 2048, device="cuda")
    sums = []
    for images, labels in loader:
        assert (images.device.type, labels.device.type) == ("cuda", "cpu")
        busy = busy @ busy / 1024
        sums.append((images - want).abs().sum() + 0 * busy[0, 0].clamp(0, 1))
        del images
    assert torch.stack(sums).max().item() == 0


def test_the_consumers_stream_waits(batch: list[bytes], want: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What CUDA is asked for, in order; torch.cuda is played by a list."""
    log: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_event(self, event: Any) -> None:
            log.append(f"{self.name} waits for {event.after}")

    class Event:
        after = "nothing"

        def record(self, stream: Stream) -> None:
            log.append(f"event on {stream.name}")
            self.after = stream.name

    class Current:
        def __init__(self, stream: Stream) -> None:
            log.append(f"use {stream.name}")

        def __enter__(self) -> None:
            pass

        def __exit__(self, *args: object) -> None:
            pass

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", Current)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("the consumer's"))
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, s: log.append(f"kept for {s.name}"))
    loader = load(batch, batch_size=12)
    on_stream = cuda_stream.OnStream(loader._decoder, Stream("ours"))  # type: ignore[arg-type]
    monkeypatch.setattr(loader, "_background_decoder", lambda _: on_stream)
    (got,) = loader
    assert torch.equal(got, want)
    assert log == ["use ours", "event on ours", "the consumer's waits for ours", "kept for the consumer's"]


@pytest.mark.skipif(GPU, reason="there is a CUDA device")
def test_cuda_without_a_gpu(batch: list[bytes]) -> None:
    for device in ("cuda", "cuda:0", torch.device("cuda")):
        with pytest.raises(fastpre.BackendUnavailable, match="cuda"):
            load(batch, device=device)
    with pytest.raises(fastpre.BackendUnavailable, match="pin_memory"):
        load(batch, pin_memory=True)
    with pytest.raises(fastpre.BackendUnavailable, match="cuda"):
        fastpre.data.collate(SPEC, device="cuda")
