"""KServe's own REST client, unmodified, in a process of its own.

Its generated code and tritonclient's register the same protobuf names, so that no process can import both.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np

import http_serving as serving
from fastpre.serve.http import Application

CODE = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

def request(images):
    image = InferInput("image", [len(images)], "BYTES")
    image.set_data_from_numpy(np.array(images, object), binary_data=True)
    return InferRequest(model_name="classify", infer_inputs=[image])

async def ask(url):
    found = {}

    async def tell(key, call):
        try:
            found[key] = await call
        except Exception as error:
            found[key] = str(error)

    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    await tell("live", client.is_server_live(url))
    await tell("ready", client.is_server_ready(url))
    await tell("model", client.is_model_ready(url, "classify"))
    await tell("missing", client.is_model_ready(url, "other"))
    if found["ready"] is True:
        response = await client.infer(url, request([b"\\xff\\xd8", b"\\xff"]), model_name="classify")
        found["binary"] = response.outputs[0].as_numpy().tolist()
        typed = InferInput("x", [1, 2], "FP32", data=[1.5, 2.5])
        asked = InferRequest(model_name="mirror", infer_inputs=[typed])
        found["json"] = (await client.infer(url, asked, model_name="mirror")).outputs[0].data
        asked = InferRequest(model_name="mirror", infer_inputs=[typed], parameters={"binary_data_output": True})
        found["asked"] = (await client.infer(url, asked, model_name="mirror")).outputs[0].data
        await tell("error", client.infer(url, request([b"bad"]), model_name="classify"))
    await client.close()
    return found

print(json.dumps([asyncio.run(ask(url)) for url in sys.argv[1:]]))
"""


def test_kserves_client() -> None:
    draining = serving.FakeService()
    draining.ready = False
    with (
        serving.running(Application(serving.FakeService())) as first,
        serving.running(Application(draining)) as second,
    ):
        command = [sys.executable, "-c", CODE, first.url, second.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found, not_ready = json.loads(done.stdout.splitlines()[-1])
    assert (found["live"], found["ready"], found["model"], found["missing"]) == (True, True, True, False)
    expected = np.array([serving.scores(image) for image in (b"\xff\xd8", b"\xff")], np.float32)
    np.testing.assert_array_equal(np.array(found["binary"], np.float32), expected)
    assert found["json"] == [1.5, 2.5]
    assert found["asked"] == [1.5, 2.5]
    assert found["error"].startswith("not an image, '422")
    assert (not_ready["live"], not_ready["model"]) == (True, False)
    assert "503" in not_ready["ready"]
