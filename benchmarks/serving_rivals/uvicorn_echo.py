"""The floor: an ASGI application on uvicorn that reads an image and answers in a word."""

from __future__ import annotations

from typing import Any

import uvicorn
from work import PORT, describe

describe(["uvicorn", "httptools", "uvloop"], http="httptools", loop="uvloop", workers=1)


async def app(scope: Any, receive: Any, send: Any) -> None:
    while (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"read"})


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, http="httptools", loop="uvloop", lifespan="off", log_level="warning", access_log=False)
