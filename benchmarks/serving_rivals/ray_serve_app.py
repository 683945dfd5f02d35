"""Ray Serve: a replica for each core, which collects batches with `serve.batch`."""

from __future__ import annotations

import os
import signal
import threading

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
import torch
from ray import serve
from starlette.requests import Request
from starlette.responses import Response
from work import CORES, MODEL, PORT, Classify, Preprocess, answer, describe

BATCH, WAIT_S = 4, 0.005
describe(["ray"], replicas=CORES, torch_threads=1, max_batch_size=BATCH, batch_wait_timeout_s=WAIT_S)


@serve.deployment(num_replicas=CORES, max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.5})
class Model:
    def __init__(self) -> None:
        self.preprocess, self.classify = Preprocess(), Classify()

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT_S)
    async def infer(self, images: list[bytes]) -> list[bytes]:
        logits = self.classify(torch.stack([self.preprocess(data) for data in images]))
        return [answer(each) for each in logits]

    async def __call__(self, request: Request) -> Response:
        return Response(await self.infer(await request.body()), media_type="application/json")


if __name__ == "__main__":
    passed = {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "SERVING_MODEL": MODEL}
    ray.init(num_cpus=max(2, CORES), include_dashboard=False, log_to_driver=False, logging_level="ERROR",
             runtime_env={"env_vars": passed})  # fmt: skip
    serve.start(http_options={"host": "127.0.0.1", "port": PORT}, logging_config={"log_level": "WARNING"})
    serve.run(Model.bind(), route_prefix="/predict")
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())  # Ray has set its own handler meanwhile
    stopped.wait()
    serve.shutdown()
    ray.shutdown()
