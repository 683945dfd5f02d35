"""What a careful afternoon gives: uvicorn, a thread for each core, fastpre and the model in each; no batches."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import Any

import uvicorn
from work import CORES, MODEL, PORT, Classify, answer, describe

from fastpre import Preprocessor
from fastpre.serve.models import load

describe(["uvicorn"], threads=CORES, torch_threads=1, batch=1)
held = threading.local()
pool = concurrent.futures.ThreadPoolExecutor(CORES)


def work(data: bytes) -> bytes:
    if not hasattr(held, "model"):
        held.model = Classify()
        held.preprocess = Preprocessor(load(MODEL).spec, num_threads=1)
    return answer(held.model(held.preprocess([data]))[0])


async def app(scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message["more_body"]
    done = await asyncio.get_running_loop().run_in_executor(pool, work, body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(done))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": done})


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, http="httptools", loop="uvloop", lifespan="off", log_level="warning", access_log=False)
