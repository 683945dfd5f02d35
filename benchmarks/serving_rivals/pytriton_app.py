"""PyTriton behind Triton's dynamic batcher: images are BYTES; a batch is preprocessed by a thread for each core.

One instance of the function: several would be threads of this process, too. Triton's own Python has to be the one that
this process runs, so its library is named first, as PyTriton's installation page says for pyenv.
"""

from __future__ import annotations

import concurrent.futures
import functools
import os
import sysconfig
from typing import Any

import numpy as np
import torch
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from work import CORES, PORT, Classify, Preprocess, describe

os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(
    filter(None, [sysconfig.get_config_var("LIBDIR"), os.environ.get("LD_LIBRARY_PATH", "")])
)
BATCH, WAIT_US = 8, 2000
describe(
    ["nvidia-pytriton", "numpy"],
    instances=1,
    preprocessing_threads=CORES,
    torch_threads=CORES,
    max_batch_size=BATCH,
    max_queue_delay_us=WAIT_US,
)


preprocess = Preprocess()
pool = concurrent.futures.ThreadPoolExecutor(CORES)


@functools.lru_cache(1)
def classify() -> Classify:
    """Made by the thread that calls it: torch's number of threads is its own."""
    return Classify(CORES)


@batch
def infer(image: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {"logits": classify()(torch.stack(list(pool.map(preprocess, image[:, 0]))))}


if __name__ == "__main__":
    config = TritonConfig(
        http_address="127.0.0.1", http_port=PORT, allow_grpc=False, allow_metrics=False, log_verbose=0
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="model",
            infer_func=infer,
            inputs=[Tensor(name="image", dtype=np.bytes_, shape=(1,))],
            outputs=[Tensor(name="logits", dtype=np.float32, shape=(-1,))],
            config=ModelConfig(max_batch_size=BATCH, batcher=DynamicBatcher(max_queue_delay_microseconds=WAIT_US)),
        )
        triton.serve()
