"""LitServe with batches, one worker process for each core, and the queue that its documentation has for throughput."""

# Annotations are looked at by LitServe as they are, so they are no strings here.
from typing import Annotated, Any

import litserve
import torch
from fastapi import Depends, Request, Response
from work import CORES, PORT, Classify, Preprocess, answer, describe

BATCH, WAIT_S = 4, 0.005
describe(
    ["litserve", "fastapi", "uvicorn"],
    workers_per_device=CORES,
    torch_threads=1,
    max_batch_size=BATCH,
    batch_timeout_s=WAIT_S,
    fast_queue=True,
    num_api_servers=1,
)


async def body(request: Request) -> bytes:
    return await request.body()


class Api(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.preprocess, self.classify = Preprocess(), Classify()

    def decode_request(self, request: Annotated[bytes, Depends(body)]) -> torch.Tensor:
        return self.preprocess(request)

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(list(inputs))

    def predict(self, x: torch.Tensor) -> Any:
        return self.classify(x)

    def unbatch(self, output: Any) -> list[Any]:
        return list(output)

    def encode_response(self, output: Any) -> Response:
        return Response(answer(output), media_type="application/json")


if __name__ == "__main__":
    api = Api(max_batch_size=BATCH, batch_timeout=WAIT_S)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=CORES, fast_queue=True)
    server.run(host="127.0.0.1", port=PORT, num_api_servers=1, generate_client_file=False, log_level="warning")
