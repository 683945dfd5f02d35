"""mosec: a stage of preprocessing with a process for each core, and one that runs the model in batches."""

from __future__ import annotations

import os
from typing import Any

from work import CORES, PORT, Classify, Preprocess, answer, describe

os.environ |= {"MOSEC_PORT": str(PORT), "MOSEC_ADDRESS": "127.0.0.1", "MOSEC_LOG_LEVEL": "warning"}
BATCH, WAIT_MS = 8, 2

import mosec  # noqa: E402  (reads its environment)
import torch  # noqa: E402

describe(["mosec"], preprocessing_processes=CORES, model_processes=1, torch_threads=1, max_batch_size=BATCH,
         max_wait_ms=WAIT_MS)  # fmt: skip


class Preprocessing(mosec.Worker):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        torch.set_num_threads(1)
        self.preprocess = Preprocess()

    def deserialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: bytes) -> Any:
        return self.preprocess(data).numpy()


class Model(mosec.Worker):  # type: ignore[misc]
    resp_mime_type = "application/json"

    def __init__(self) -> None:
        super().__init__()
        self.classify = Classify()

    def forward(self, data: list[Any]) -> list[Any]:
        return list(self.classify(torch.stack([torch.from_numpy(each) for each in data])))

    def serialize(self, data: Any) -> bytes:
        return answer(data)


if __name__ == "__main__":
    server = mosec.Server()
    server.append_worker(Preprocessing, num=CORES)
    server.append_worker(Model, num=1, max_batch_size=BATCH, max_wait_time=WAIT_MS)
    server.run()
