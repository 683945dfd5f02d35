"""The engine: real threads, real images, a model that a test can hold."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

import fastpre
import pictures
from fastpre.serve.engine import Engine, Settings
from fastpre.serve.engine.settings import Rung
from fastpre.serve.errors import DeadlinePassed, Draining, ImageRefused, ModelFailed, Overloaded, ServeError, WorkerLost
from fastpre.serve.handover import WorkerDied
from fastpre.serve.handover.threads import Threads
from fastpre.serve.scheduling.items import Job, Pixels, Prepared
from serving import Gate, Means

IMAGES = [pictures.photograph(30, 20 + i, seed=i) for i in range(8)]


def until(condition: Callable[[], bool]) -> None:
    """Waits for what other threads do, at most ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def settings(**fields: Any) -> Settings:
    return Settings(**{"threads": 2, "batch": 8, **fields})


def idle(engine: Engine) -> bool:
    s = engine.scheduler
    return (s.queued, s.preprocessing, s.ready, s.running, s.slots.free) == (0, 0, 0, 0, s.slots.count)


def test_each_image_gets_its_own_answer_from_many_threads() -> None:
    model = Means()
    with Engine(model, settings()) as engine, concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: (i % 8, engine.run(IMAGES[i % 8])), range(200)))
        for i, prediction in answers:
            np.testing.assert_array_equal(prediction.outputs["mean"], model.expected(IMAGES[i]))
            assert list(prediction.stages_ms) == ["queue", "preprocess", "batch", "inference"]
            assert all(value >= 0 for value in prediction.stages_ms.values())
            assert prediction.quality == "full"
            assert prediction.image.width == 30
        assert idle(engine)


def test_each_image_gets_its_own_answer_from_an_event_loop() -> None:
    model = Means()

    async def ask(engine: Engine) -> None:
        answers = await asyncio.gather(*(engine.infer(IMAGES[i % 8]) for i in range(100)))
        for i, prediction in enumerate(answers):
            np.testing.assert_array_equal(prediction.outputs["mean"], model.expected(IMAGES[i % 8]))

    with Engine(model, settings()) as engine:
        asyncio.run(ask(engine))
        asyncio.run(ask(engine))  # another loop
        assert idle(engine)


def test_one_bad_image_in_sixteen_fails_alone() -> None:
    bad = IMAGES[0][:100]

    async def ask(engine: Engine) -> list[Any]:
        images = [bad if i % 16 == 5 else IMAGES[i % 8] for i in range(160)]
        return await asyncio.gather(*(engine.infer(image) for image in images), return_exceptions=True)

    with Engine(Means(), settings()) as engine:
        answers = asyncio.run(ask(engine))
        failed = [i for i, answer in enumerate(answers) if isinstance(answer, Exception)]
        assert failed == [i for i in range(160) if i % 16 == 5]
        assert {type(answers[i]) for i in failed} == {ImageRefused}
        assert idle(engine)


def test_damage_that_only_decoding_finds() -> None:
    whole = pictures.photograph(300, 200)
    cut = whole[: len(whole) // 2]
    with Engine(Means(), settings()) as engine:
        with pytest.raises(ImageRefused) as caught:
            engine.run(cut)
        assert (caught.value.status, caught.value.code) == (422, "corrupt_image")
        job = asyncio.run(engine.infer_all([cut], partial=True))
        assert job.items[0].error is None
        assert job.items[0].record.truncated
        assert idle(engine)


def test_limits_are_held_before_decoding() -> None:
    model = Means()
    model.spec = model.spec.replace(max_pixels=500)
    with Engine(model, settings()) as engine:
        with pytest.raises(ImageRefused) as caught:
            engine.run(IMAGES[0])
        assert (caught.value.status, caught.value.code) == (413, "image_too_large")
        assert engine.scheduler.arrivals.per_second(time.monotonic()) == 0  # it was never taken


def test_pixels_and_model_input() -> None:
    model = Means()
    pixels = np.asarray(pictures.pil(pictures.photograph(35, 25, seed=3)))
    prepared = fastpre.Preprocessor(model.spec).run_pixels(pixels)
    want = prepared.mean(dim=(1, 2)).numpy()[None]
    with Engine(model, settings()) as engine:
        np.testing.assert_array_equal(engine.run(Pixels(pixels)).outputs["mean"], want)
        np.testing.assert_array_equal(engine.run(Prepared(prepared.numpy())).outputs["mean"], want)
        with pytest.raises(ServeError, match=r"the model takes \(3, 16, 16\), got \(3, 8, 8\)"):
            engine.run(Prepared(np.zeros((3, 8, 8), np.float32)))
        with pytest.raises(ServeError, match="uint8"):
            engine.run(Pixels(np.zeros((8, 8, 2), np.uint8)))
        assert idle(engine)


def test_batches_form_while_the_model_runs() -> None:
    gate = Gate()
    model = Means()
    with Engine(model, settings(wait_ms=0)) as engine, concurrent.futures.ThreadPoolExecutor(8) as pool:
        model.hook, model.batches = gate, []
        first = pool.submit(engine.run, IMAGES[0])
        assert gate.inside.acquire(timeout=10)
        rest = [pool.submit(engine.run, IMAGES[i]) for i in range(1, 6)]
        until(lambda: engine.scheduler.ready == 5)
        gate.open()
        for i, future in enumerate([first, *rest]):
            np.testing.assert_array_equal(future.result(10).outputs["mean"], model.expected(IMAGES[i]))
        assert model.batches == [1, 5]


def test_a_model_that_raises_hangs_nothing() -> None:
    def poison(batch: torch.Tensor) -> None:
        if poisoned.is_set():
            raise RuntimeError("poison")

    poisoned = threading.Event()
    with Engine(Means(poison), settings()) as engine:
        poisoned.set()
        with pytest.raises(ModelFailed, match="RuntimeError: poison"):
            engine.run(IMAGES[0])
        poisoned.clear()
        engine.run(IMAGES[0])
        assert idle(engine)


def test_a_request_that_is_cancelled_gives_its_slot_back() -> None:
    gate = Gate()
    model = Means()

    async def leave(engine: Engine) -> None:
        tasks = [asyncio.create_task(engine.infer(IMAGES[0]))]
        while engine.scheduler.running < 1:
            await asyncio.sleep(0.001)
        tasks += [asyncio.create_task(engine.infer(image)) for image in IMAGES[1:6]]
        while engine.scheduler.ready < 5:
            await asyncio.sleep(0.001)
        for task in tasks[1:]:
            task.cancel()
        await asyncio.wait(tasks[1:])
        assert all(task.cancelled() for task in tasks[1:])
        assert engine.scheduler.ready == 0
        assert engine.scheduler.slots.free == engine.scheduler.slots.count - 1
        gate.open()
        await tasks[0]

    with Engine(model, settings()) as engine:
        model.hook = gate
        asyncio.run(leave(engine))
        until(lambda: idle(engine))


@pytest.mark.parametrize("way", ["thread", "loop"])
def test_a_deadline_ends_the_wait_though_the_model_hangs(way: str) -> None:
    ways: dict[str, Callable[[Engine], object]] = {
        "thread": lambda engine: engine.run(IMAGES[0], timeout_s=0.05),
        "loop": lambda engine: asyncio.run(engine.infer(IMAGES[0], deadline=time.monotonic() + 0.05)),
    }
    gate = Gate()
    model = Means()
    with Engine(model, settings()) as engine:
        model.hook = gate
        with pytest.raises(DeadlinePassed):
            ways[way](engine)
        gate.open()
        until(lambda: idle(engine))


def test_a_full_queue_refuses_and_recovers() -> None:
    gate = Gate()
    model = Means()
    with Engine(model, settings(queue_limit=2, slots=8)) as engine:
        model.hook = gate
        jobs: list[Job] = []
        for i in range(10):  # 8 slots, and 2 that wait
            jobs.append(engine.submit([IMAGES[0]], lambda job: None))
            free = max(7 - i, 0)
            until(lambda free=free: engine.scheduler.slots.free == free)
        with pytest.raises(Overloaded):
            engine.submit([IMAGES[0]], lambda job: None)
        gate.open()
        until(lambda: all(job.left == 0 for job in jobs))
        engine.run(IMAGES[0])
        assert all(job.items[0].error is None for job in jobs)


class Mortal(Threads):
    """Dies with the first batches that it is told to."""

    deaths = 0

    def run(self, memory: torch.Tensor, first: int, count: int, instance: int) -> Mapping[str, np.ndarray[Any, Any]]:
        if self.deaths:
            self.deaths -= 1
            raise WorkerDied("killed")
        return super().run(memory, first, count, instance)


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_worker_that_dies_costs_one_more_try(deaths: int) -> None:
    model = Means()
    handover = Mortal(lambda: model)
    with Engine(model, settings(), handover=handover) as engine:
        handover.deaths = deaths
        if deaths == 1:
            np.testing.assert_array_equal(engine.run(IMAGES[0]).outputs["mean"], model.expected(IMAGES[0]))
        else:
            with pytest.raises(WorkerLost, match="killed"):
                engine.run(IMAGES[0])
        engine.run(IMAGES[1])
        assert idle(engine)


def test_closing_finishes_what_was_begun_and_takes_nothing_new() -> None:
    gate = Gate()
    model = Means()
    engine = Engine(model, settings()).start()
    model.hook = gate
    assert engine.ready
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        running = pool.submit(engine.run, IMAGES[0])
        assert gate.inside.acquire(timeout=10)
        closing = pool.submit(engine.close)
        until(lambda: not engine.ready)
        with pytest.raises(Draining):
            engine.run(IMAGES[1])
        gate.open()
        assert running.result(10).outputs["mean"].shape == (1, 3)
        closing.result(10)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fastpre-")]
    engine.start()  # again
    engine.run(IMAGES[0])
    engine.close()


def test_closing_has_a_bound() -> None:
    gate = Gate()
    model = Means()
    engine = Engine(model, settings(batch=1)).start()
    model.hook = gate
    ended: list[Job] = []
    engine.submit([IMAGES[0]], ended.append)
    assert gate.inside.acquire(timeout=10)
    engine.submit([IMAGES[1]], ended.append)
    until(lambda: engine.scheduler.ready == 1)
    closing = threading.Thread(target=engine.close, args=(0.05,))
    closing.start()
    until(lambda: len(ended) == 1)  # the one that waited has its refusal, though the model hangs
    assert isinstance(ended[0].items[0].error, Draining)
    gate.open()
    closing.join(10)
    assert [job.items[0].error for job in ended[1:]] == [None]


def test_quality_steps_down_under_load() -> None:
    gate = Gate()
    model = Means()
    ladder = [Rung("fast", model.spec.replace(interpolation="nearest"))]
    down = settings(ladder=ladder, ladder_down_ms=0.001, ladder_up_ms=0.0)
    with Engine(model, down) as engine, concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert engine.run(IMAGES[0]).quality == "full"  # nothing is under way
        model.hook = gate
        first = pool.submit(engine.run, IMAGES[0])
        assert gate.inside.acquire(timeout=10)
        second = pool.submit(engine.run, IMAGES[0])
        until(lambda: engine.scheduler.ready == 1)
        gate.open()
        assert first.result(10).quality == "full"
        assert second.result(10).quality == "fast"
        want = fastpre.Preprocessor(ladder[0].spec)([IMAGES[0]]).mean(dim=(2, 3)).numpy()
        np.testing.assert_array_equal(second.result().outputs["mean"], want)


def test_engines_can_share_their_threads() -> None:
    first = Engine(Means(), settings())
    second = Engine(Means(size=8), settings(), pool=first.pool)
    with first, second:
        first.run(IMAGES[0])
        second.run(IMAGES[0])
        names = [thread.name for thread in threading.enumerate() if thread.name.startswith("fastpre-preprocess")]
        assert len(names) == 2


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        Settings(batch=0)
    with pytest.raises(ValueError, match="wait_ms must be at least 0"):
        Settings(wait_ms=-1)
    with pytest.raises(ValueError, match="must hold a batch of 16"):
        Settings(slots=4)
    model = Means()
    model.spec = fastpre.Spec(resize=256, crop=None)
    with pytest.raises(ValueError, match="fixed output size"):
        Engine(model)
