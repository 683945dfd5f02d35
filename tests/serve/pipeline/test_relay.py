"""A detector and a second model on each of its boxes: the answers, and what happens when something goes wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import fastpre
import pictures
from detecting import Finds, idle, pipeline
from fastpre.serve.engine import Engine, Settings
from fastpre.serve.errors import BadRequest, DeadlinePassed, Draining, ImageRefused, ModelFailed, Overloaded
from fastpre.serve.pipeline.detections import Detections
from fastpre.serve.pipeline.pipeline import Pipeline
from fastpre.serve.pipeline.relay import Relay
from fastpre.serve.scheduling.items import Job, Pixels, Prepared
from serving import Gate, Means

IMAGES = [pictures.photograph(90 + 10 * i, 70 + 5 * i, seed=i) for i in range(4)]
BOXES = ((0.1, 0.2, 0.7, 0.9), (0.5, 0.5, 1.0, 1.0), (-0.2, 0.3, 0.4, 1.1), (0.3, 0.3, 0.6, 0.6))
SCORES = (0.9, 0.8, 0.5, 0.4)


def until(condition: Callable[[], bool]) -> None:
    """Waits for what other threads do, at most ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def finds(**fields: Any) -> Finds:
    detector = Finds(**fields)
    detector.boxes, detector.scores = BOXES, SCORES
    return detector


def means(image: Image.Image, box: tuple[float, ...], model: Means) -> np.ndarray[Any, Any]:
    """By Pillow's crop."""
    x0, y0, x1, y1 = (float(np.float32(value)) for value in box)
    crop = image.crop((x0 * image.width, y0 * image.height, x1 * image.width, y1 * image.height))  # type: ignore[arg-type]
    tensor = fastpre.Preprocessor(model.spec).run_pixels(np.asarray(crop))
    return tensor.mean(dim=(1, 2)).numpy()  # type: ignore[no-any-return]


def ask(relay: Relay, images: list[Any], **fields: Any) -> Job:
    return asyncio.run(relay.infer_all(images, **fields))


def test_each_box_gets_the_second_models_answer() -> None:
    model = Means()
    with pipeline(finds(), model) as relay:
        job = ask(relay, IMAGES)
        for item, image in zip(job.items, IMAGES, strict=True):
            assert item.error is None
            assert item.outputs is not None
            outputs = {name: array[0] for name, array in item.outputs.items()}
            assert outputs["num_detections"] == 3  # the fourth has a lower score than 0.5
            np.testing.assert_array_equal(outputs["boxes"], np.array(BOXES[:3], np.float32))
            np.testing.assert_array_equal(outputs["scores"], np.array(SCORES[:3], np.float32))
            np.testing.assert_array_equal(outputs["classes"], [10, 11, 12])
            for row, box in zip(outputs["crop_mean"], BOXES[:3], strict=True):
                np.testing.assert_array_equal(row, means(pictures.pil(image), box, model))
            assert list(item.stages or ()) == [
                *("queue", "first.queue", "first.preprocess", "first.batch", "first.inference"),
                *("second.queue", "second.preprocess", "second.batch", "second.inference"),
            ]
            assert all(value >= 0 for value in (item.stages or {}).values())
        assert idle(relay)


def test_pixels_and_padding() -> None:
    model, detector = Means(), finds()
    pixels = np.asarray(pictures.pil(IMAGES[0]))
    with pipeline(detector, model, most=5) as relay:
        outputs = ask(relay, [Pixels(pixels)]).items[0].result()
        want = [means(Image.fromarray(pixels), box, model) for box in BOXES[:3]]
        np.testing.assert_array_equal(outputs["crop_mean"][0, :3], want)
        assert outputs["crop_mean"].shape == (1, 5, 3)
        assert not outputs["crop_mean"][0, 3:].any()
        assert not outputs["scores"][0, 3:].any()
        assert not outputs["boxes"][0, 3:].any()
        assert isinstance(ask(relay, [Prepared(np.zeros((3, 16, 16), np.float32))]).items[0].error, BadRequest)
        detector.boxes, detector.scores = (), ()
        job = ask(relay, [IMAGES[1]])
        assert job.items[0].result()["num_detections"] == [0]
        assert "second.queue" not in (job.items[0].stages or {})
        assert idle(relay)


def test_boxes_of_a_model_that_sees_a_part_of_the_image() -> None:
    """Its fractions are of a centre crop; the answer's are of the image."""
    detector, model = finds(spec=fastpre.Spec(resize=20, crop=16)), Means()
    detector.boxes, detector.scores = ((0.0, 0.0, 1.0, 1.0),), (1.0,)
    image = pictures.photograph(160, 80)  # resized to 40 x 20: the crop shows x 12 to 28 and y 2 to 18 of it
    with pipeline(detector, model) as relay:
        outputs = ask(relay, [image]).items[0].result()
        np.testing.assert_allclose(outputs["boxes"][0, 0], [0.3, 0.1, 0.7, 0.9], rtol=1e-6)
        np.testing.assert_array_equal(
            outputs["crop_mean"][0, 0], means(pictures.pil(image), (0.3, 0.1, 0.7, 0.9), model)
        )


def test_one_bad_image_costs_the_others_nothing() -> None:
    cut = pictures.photograph(300, 200)
    cut = cut[: len(cut) // 2]
    with pipeline(finds(), Means()) as relay:
        job = ask(relay, [IMAGES[0], cut, IMAGES[1]])
        assert [type(item.error) for item in job.items] == [type(None), ImageRefused, type(None)]
        with pytest.raises(ImageRefused) as caught:  # its header says it: nothing was begun
            ask(relay, [IMAGES[0], b"no image"])
        assert caught.value.index == 1
        partial = ask(relay, [cut], partial=True).items[0]
        assert partial.error is None
        assert partial.record.truncated
        until(lambda: idle(relay))


def test_a_crop_that_fails_fails_its_image() -> None:
    model = Means()
    model.spec = model.spec.replace(max_pixels=90 * 70)
    detector = finds()
    detector.boxes, detector.scores = ((0.0, 0.0, 1.0, 1.0), (-1.0, -1.0, 1.0, 1.0)), (0.9, 0.8)
    with pipeline(detector, model) as relay:
        error = ask(relay, [IMAGES[0]]).items[0].error
        assert isinstance(error, ImageRefused)
        assert (error.status, error.reason) == (413, "a crop of 140x180 pixels is over max_pixels=6300")
        detector.boxes, detector.scores = ((float("nan"),) * 4,), (0.9,)
        error = ask(relay, [IMAGES[0]]).items[0].error
        assert isinstance(error, ModelFailed)
        assert error.reason == "finds gave a box that is no number"
        until(lambda: idle(relay))


@pytest.mark.parametrize("stage", ["first", "second"])
def test_a_model_that_raises(stage: str) -> None:
    def poison(batch: torch.Tensor) -> None:
        raise RuntimeError("poison")

    detector, model = finds(), Means()
    with pipeline(detector, model) as relay:
        (detector if stage == "first" else model).hook = poison
        error = ask(relay, [IMAGES[0]]).items[0].error
        assert isinstance(error, ModelFailed)
        detector.hook = model.hook = None
        assert ask(relay, [IMAGES[0]]).items[0].error is None
        until(lambda: idle(relay))


def test_a_full_queue_downstream_holds_the_first_stage_back() -> None:
    gate, detector, model = Gate(), finds(), Means()
    with pipeline(detector, model, second_settings={"queue_limit": 4, "batch": 1, "slots": 1}) as relay:
        model.hook = gate
        done: list[Job] = []
        detector.batches.clear()
        for i in range(3):
            relay.submit([IMAGES[i]], done.append)
        assert gate.inside.acquire(timeout=10)
        # Of the first image one crop runs and two wait; each other image needs three of four places, and waits.
        until(lambda: relay.second.scheduler.queued == 2)
        assert relay.second.scheduler.places.wanted == 3
        assert sum(detector.batches) == 1
        with pytest.raises(Overloaded):  # room for two there is, but it is for those that wait
            relay.second.submit([IMAGES[0]], done.append)
        gate.open()
        until(lambda: len(done) == 3)
        assert [job.items[0].error for job in done] == [None] * 3
        assert sum(detector.batches) == 3
        relay.second.submit([IMAGES[0]], done.append)
        until(lambda: len(done) == 4)
        assert idle(relay)


def test_a_full_queue_at_the_first_stage_refuses_at_once() -> None:
    gate, detector, model = Gate(), finds(), Means()
    first = {"queue_limit": 2, "batch": 1, "slots": 1}
    with pipeline(detector, model, first_settings=first) as relay:
        detector.hook = gate
        done: list[Job] = []
        relay.submit([IMAGES[0]], done.append)
        assert gate.inside.acquire(timeout=10)
        relay.submit(IMAGES[:2], done.append)
        with pytest.raises(Overloaded):
            relay.submit([IMAGES[0]], done.append)
        gate.open()
        until(lambda: len(done) == 2)
        assert idle(relay)


@pytest.mark.parametrize("where", ["line", "first", "second"])
@pytest.mark.parametrize("how", ["cancelled", "late"])
def test_what_ends_early_gives_everything_back(where: str, how: str) -> None:
    gate, detector, model = Gate(), finds(), Means()
    limits = {"queue_limit": 4, "batch": 1, "slots": 1}

    async def leave(relay: Relay) -> None:
        count = 3 if where == "line" else 1
        seconds = 0.05 if how == "late" else 10
        tasks = [
            asyncio.create_task(relay.infer_all([IMAGES[i]], deadline=time.monotonic() + seconds)) for i in range(count)
        ]
        if how == "cancelled":
            while not gate.inside.acquire(blocking=False):
                await asyncio.sleep(0.001)
            for task in tasks:
                task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if how == "cancelled":
                assert task.cancelled()
            else:
                assert isinstance(task.exception() or task.result().items[0].error, DeadlinePassed | Overloaded)
        gate.open()

    with pipeline(detector, model, second_settings=limits) as relay:
        (detector if where == "first" else model).hook = gate
        asyncio.run(leave(relay))
        until(lambda: idle(relay))
        assert ask(relay, [IMAGES[0]]).items[0].error is None


def test_priorities_pass_through_both_stages() -> None:
    gate, detector, model = Gate(), finds(), Means()
    order: list[int] = []
    with pipeline(detector, model, second_settings={"queue_limit": 3, "batch": 1, "slots": 1}) as relay:
        model.hook = gate
        relay.submit([IMAGES[0]], lambda job: order.append(job.priority))
        assert gate.inside.acquire(timeout=10)
        for priority in (2, 1):
            relay.submit([IMAGES[priority]], lambda job: order.append(job.priority), priority=priority)
        gate.open()
        until(lambda: len(order) == 3)
        assert order == [0, 1, 2]


def test_a_server_that_closes_answers_those_who_wait() -> None:
    gate, detector, model = Gate(), finds(), Means()
    done: list[Job] = []
    with pipeline(detector, model, second_settings={"queue_limit": 3, "batch": 1, "slots": 1}) as relay:
        model.hook = gate
        for i in range(2):
            relay.submit([IMAGES[i]], done.append)
        assert gate.inside.acquire(timeout=10)
        until(lambda: relay.second.scheduler.places.wanted == 3)
        assert relay.ready
        relay.second.drain()
        assert not relay.ready
        gate.open()
        relay.second.close()
        until(lambda: len(done) == 2)
        assert isinstance(done[-1].items[0].error, Draining) or isinstance(done[0].items[0].error, Draining)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (Means(), Means(), "'means' is no detector .task classification, without boxes."),
        (Finds(), Finds(), "'finds' is a detector, which cannot be the second model"),
        (Finds(fastpre.Spec(resize=(8, 8), crop=None, exif_orientation=True)), Means(), "exif_orientation=True"),
    ],
)
def test_models_that_do_not_fit(first: Any, second: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Detections(Pipeline("both", "a", "b"), first, second)


def test_a_queue_that_is_too_short() -> None:
    first, second = Engine(Finds(), Settings()), Engine(Means(), Settings(queue_limit=2))
    with pytest.raises(ValueError, match="an image keeps 3 places in the queue of 'means', which has 2"):
        Relay(first, second, Detections(Pipeline("both", "a", "b", most=3), first.model, second.model))
