"""PyTriton: a process of the model for each core behind Triton's dynamic batcher; images are BYTES."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from work import CORES, PORT, Classify, Preprocess, describe

BATCH, WAIT_US = 4, 2000
describe(["nvidia-pytriton", "numpy"], instances=CORES, torch_threads=1, max_batch_size=BATCH, max_queue_delay_us=WAIT_US)  # fmt: skip


class Infer:
    """One instance; PyTriton runs each in a process of its own."""

    def __init__(self) -> None:
        self.held: tuple[Preprocess, Classify] | None = None

    @batch
    def __call__(self, image: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
        if self.held is None:
            self.held = Preprocess(), Classify()
        preprocess, classify = self.held
        return {"logits": classify(torch.stack([preprocess(data) for data in image[:, 0]]))}


if __name__ == "__main__":
    config = TritonConfig(http_address="127.0.0.1", http_port=PORT, allow_grpc=False, allow_metrics=False, log_verbose=0)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="model",
            infer_func=[Infer() for _ in range(CORES)],
            inputs=[Tensor(name="image", dtype=np.bytes_, shape=(1,))],
            outputs=[Tensor(name="logits", dtype=np.float32, shape=(-1,))],
            config=ModelConfig(max_batch_size=BATCH, batcher=DynamicBatcher(max_queue_delay_microseconds=WAIT_US)),
        )
        triton.serve()
