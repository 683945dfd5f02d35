"""FastAPI with blocking work in a thread pool, as its documentation on concurrency advises; a thread for each core."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import uvicorn
from fastapi import FastAPI, Request, Response
from work import CORES, PORT, Classify, Preprocess, answer, describe

describe(["fastapi", "uvicorn"], threads=CORES, torch_threads=1, batch=1, workers=1)
app = FastAPI()
pool = concurrent.futures.ThreadPoolExecutor(CORES)
held = threading.local()


def work(data: bytes) -> bytes:
    if not hasattr(held, "model"):
        held.preprocess, held.model = Preprocess(), Classify()
    return answer(held.model(held.preprocess(data)[None])[0])


@app.post("/predict")
async def predict(request: Request) -> Response:
    done = await asyncio.get_running_loop().run_in_executor(pool, work, await request.body())
    return Response(done, media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning", access_log=False)
