"""An application of your own around fastpre's engine: a FastAPI path that classifies an image.

pip install fastapi uvicorn 'fastpre[torch]'
uvicorn serve_fastapi:app
curl --data-binary @cat.jpg http://127.0.0.1:8000/classify
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, HTTPException, Request

from fastpre.serve import Engine, ServeError, Settings, load

engine = Engine(load("builtin:tiny"), Settings(target_p99_ms=50))


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    with engine:  # starts its threads, and finishes what was begun at the end
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/classify")
async def classify(request: Request) -> dict[str, Any]:
    try:
        prediction = await engine.infer(await request.body())
    except ServeError as error:  # a bad image, an overload, a deadline: each with its status
        raise HTTPException(error.status, error.reason) from None
    best = int(prediction.outputs["logits"].argmax())
    return {"label": engine.model.labels[best], "stages_ms": prediction.stages_ms}
