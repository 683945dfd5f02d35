"""Watching for clients that go away: nothing for quick answers, a listener for slow ones."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from fastpre.serve.errors import TooSlow
from fastpre.serve.http.alarm import Alarm
from fastpre.serve.http.exchange import ClientGone
from fastpre.serve.http.watch import watched


class Client:
    """Goes away after some seconds; counts how often it is asked."""

    def __init__(self, gone_after_s: float) -> None:
        self.gone_at = time.monotonic() + gone_after_s
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(max(0.0, self.gone_at - time.monotonic()))
        return {"type": "http.disconnect"}


async def work(seconds: float, log: list[str]) -> str:
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        log.append("cancelled")
        raise
    return "done"


def test_a_quick_answer_is_not_watched() -> None:
    async def use() -> None:
        client = Client(60)
        before = len(asyncio.all_tasks())
        for _ in range(3):
            assert await watched(work(0, []), client.receive) == "done"
        assert len(asyncio.all_tasks()) == before
        assert client.asked == 0

    asyncio.run(use())


def test_a_slow_answer_is() -> None:
    async def use() -> None:
        client = Client(60)
        assert await watched(work(0.1, []), client.receive) == "done"
        assert client.asked == 1
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1  # the listener has ended

    asyncio.run(use())


@pytest.mark.parametrize("gone_after_s", [0.0, 0.05])
def test_a_client_that_goes_away(gone_after_s: float) -> None:
    async def use() -> None:
        log: list[str] = []
        with pytest.raises(ClientGone):
            await watched(work(60, log), Client(gone_after_s).receive)
        assert log == ["cancelled"]
        await asyncio.sleep(0)  # and this task goes on

    asyncio.run(use())


def test_other_cancellations_pass() -> None:
    async def use() -> None:
        log: list[str] = []
        task = asyncio.create_task(watched(work(60, log), Client(60).receive))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log == ["cancelled"]

    asyncio.run(use())


def test_alarm() -> None:
    async def use() -> None:
        with Alarm(60, TooSlow("late")):
            await asyncio.sleep(0)
        with pytest.raises(TooSlow, match="late"), Alarm(0.01, TooSlow("late")):
            await asyncio.sleep(60)
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="other"), Alarm(60, TooSlow("late")):
            raise ValueError("other")

    asyncio.run(use())
