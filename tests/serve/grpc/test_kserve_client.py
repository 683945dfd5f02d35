"""KServe's own gRPC client, unmodified, in a process of its own.

Its generated code and tritonclient's register the same protobuf names, so that no process can import both.
"""

from __future__ import annotations

import json
import subprocess
import sys

from grpc_serving import CLASSES, served

CODE = """
import asyncio, json, sys
import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from fastpre.serve.protocol import schema

async def main(url):
    found = {}
    async with InferenceGRPCClient(url=url, timeout=20) as client:
        found["live"] = await client.is_server_live()
        found["ready"] = await client.is_server_ready()
        found["model"] = await client.is_model_ready("net")
        image = InferInput("image", [2], "BYTES")
        image.set_data_from_numpy(np.array([b"four", b"7 bytes"], dtype=np.object_), binary_data=True)
        response = await client.infer(InferRequest("net", [image], request_id="k"))
        found["id"] = response.id
        found["raw"] = {output.name: output.as_numpy().tolist() for output in response.outputs}
        typed = InferInput("pixels", [1, 3], "FP32", data=[1.0, 2.0, 3.0])
        response = await client.infer(InferRequest("net", [typed]))
        found["typed"] = {output.name: output.as_numpy().tolist() for output in response.outputs}
        try:
            await client.infer(InferRequest("nothing", [image]))
        except grpc.RpcError as error:
            found["error"] = [error.code().name, error.details()]
    # The server's own classes do not clash with KServe's.
    found["own"] = schema.message("inference.ModelInferRequest").DESCRIPTOR.full_name
    print(json.dumps(found))

asyncio.run(main(sys.argv[1]))
"""


def test_kserves_client() -> None:
    with served() as server:
        done = subprocess.run(
            [sys.executable, "-c", CODE, server.url], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["live"], found["ready"], found["model"]) == (True, True, True)
    assert found["id"] == "k"
    assert found["raw"]["sizes"] == [4, 7]
    assert [len(row) for row in found["raw"]["scores"]] == [CLASSES, CLASSES]
    assert found["typed"]["sizes"] == [3]
    assert found["error"] == ["NOT_FOUND", "there is no model 'nothing' of version ''"]
    assert found["own"] == "inference.ModelInferRequest"
