"""Cascades and quality ladders: which images get less, and what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import fastpre
import pictures
from detecting import idle
from fastpre.serve.building import ModelChoice, build
from fastpre.serve.engine import Engine, Settings
from fastpre.serve.engine.settings import Rung
from fastpre.serve.errors import ImageRefused, Overloaded
from fastpre.serve.inference import InferRequest, InferResponse, InputTensor, TensorInfo
from fastpre.serve.models.loading import load
from fastpre.serve.pipeline.doubts import Doubts, confidence
from fastpre.serve.pipeline.pipeline import Pipeline
from fastpre.serve.pipeline.relay import Relay
from fastpre.serve.pipeline.rungs import CascadeChoice, RungChoice
from fastpre.serve.pipeline.variants import Variant, Variants
from fastpre.serve.scheduling.ladder import Ladder
from fastpre.serve.service import EngineService
from serving import Gate, Means

IMAGES = [pictures.photograph(300 + 10 * i, 200, seed=i) for i in range(6)]
SETTINGS = Settings(threads=2, batch=4)
CHEAP = "interpolation=nearest"


def request(images: Sequence[bytes], model: str = "tiny") -> InferRequest:
    now = time.monotonic()
    inputs = (InputTensor("IMAGE", "BYTES", (len(images),), tuple(images)),)
    return InferRequest(model, inputs, received=now, arrived=now)


def ask(service: EngineService, images: Sequence[bytes], model: str = "tiny") -> InferResponse:
    return asyncio.run(service.infer(request(images, model)))


@pytest.fixture
def served() -> Iterator[Callable[..., EngineService]]:
    """Builds services of `builtin:tiny`, and closes them."""
    found: list[EngineService] = []

    def make(*references: str, **fields: Any) -> EngineService:
        choices = [ModelChoice(reference) for reference in references or ("builtin:tiny",)]
        found.append(build(choices, fields.pop("settings", SETTINGS), **fields))
        return found[-1]

    yield make
    for service in found:
        for engine in service.engines.values():
            engine.close(0)


@functools.cache
def logits(image: bytes, interpolation: Any = "bilinear") -> np.ndarray[Any, Any]:
    """What the model gives, outside of any server."""
    model = load("builtin:tiny")
    batch = fastpre.Preprocessor(model.spec.replace(interpolation=interpolation))([image])
    return model(batch)["logits"]


def test_confidence() -> None:
    assert confidence(np.array([0.0, 0.0])) == 0.5
    assert confidence(np.array([1000.0, 0.0])) == 1.0
    assert confidence(np.array([0.7, 0.3])) == pytest.approx(0.7)  # probabilities already
    assert np.isnan(confidence(np.array([np.nan, 0.0])))


def test_a_cascade_looks_again_where_it_is_not_sure(served: Callable[..., EngineService]) -> None:
    sure = {image: confidence(logits(image, "nearest")[0]) for image in IMAGES}
    below = float(np.median(list(sure.values())))
    service = served(cascade=CascadeChoice.parse(f"{CHEAP}:{below!r}"))
    kept = 0
    for image, confident in sure.items():
        response = ask(service, [image])
        cheap = confident >= below
        kept += cheap
        assert response.parameters == (
            {"quality": CHEAP, "cascade": "kept"} if cheap else {"quality": "full", "cascade": "retried"}
        )
        want = logits(image, "nearest" if cheap else "bilinear")
        np.testing.assert_allclose(response.outputs[0].array, want, rtol=1e-5, atol=1e-6)
        assert ("second.inference" in response.stages_ms) is not cheap
    assert 0 < kept < len(IMAGES)
    together = ask(service, IMAGES)
    assert together.parameters == {
        "quality": CHEAP,
        "cascade": "retried",
    }  # the worst, and that some were looked at again
    recorder = service.recorders["tiny"]
    assert recorder.cheap == 1
    assert recorder.qualities == {0: 2 * (len(IMAGES) - kept), 1: 2 * kept}
    assert recorder.images == 2 * len(IMAGES)


def test_a_bad_image_is_refused_once(served: Callable[..., EngineService]) -> None:
    service = served(cascade=CascadeChoice.parse(f"{CHEAP}:1.0"))
    cut = IMAGES[0][: len(IMAGES[0]) // 2]
    engine = service.engines["tiny"]
    for image in (cut, b"no image"):
        with pytest.raises(ImageRefused):
            ask(service, [image])
    assert sum(batch.count for batch in service.recorders["tiny"].batches.values()) == 0
    assert service.recorders["tiny"].outcomes.total() == 2
    s = engine.scheduler
    assert (s.queued, s.preprocessing, s.places.kept, s.slots.free) == (0, 0, 0, s.slots.count)


def test_a_cascade_of_two_models(served: Callable[..., EngineService]) -> None:
    service = served("builtin:tiny", cascade=CascadeChoice.parse("small:model=builtin:sleep:1.0"))
    response = ask(service, IMAGES[:2])
    assert response.parameters == {"quality": "full", "cascade": "retried"}
    np.testing.assert_allclose(response.outputs[0].array, np.concatenate([logits(i) for i in IMAGES[:2]]), rtol=1e-5)
    assert set(service.engines) == {"tiny", "tiny.small"}
    assert [info.name for info in service.models()] == ["tiny"]


def test_a_full_queue_of_a_cascade_does_not_wait_for_itself() -> None:
    gate, model = Gate(), Means()
    rung = Rung("nearest", model.spec.replace(interpolation="nearest"))
    model.outputs = (TensorInfo("mean", "FP32", (-1, 3)),)
    with Engine(model, Settings(threads=2, batch=1, slots=1, queue_limit=4, apart=[rung])) as engine:
        relay = Relay(engine, engine, Doubts(model, 1.0, 1, engine.qualities, 1))
        model.hook = gate
        done: list[Any] = []
        taken = 0
        for image in IMAGES:
            with contextlib.suppress(Overloaded):
                relay.submit([image], done.append)
                taken += 1
        assert taken >= 2
        gate.open()
        end = time.monotonic() + 10
        while len(done) < taken:
            assert time.monotonic() < end
            time.sleep(0.001)
        assert [job.items[0].error for job in done] == [None] * taken
        assert [job.items[0].rung for job in done] == [0] * taken
        assert idle(relay)


def test_the_ladder_steps_down_under_load_and_up_when_it_is_quiet(served: Callable[..., EngineService]) -> None:
    rungs = [RungChoice.parse("interpolation=box"), RungChoice.parse(CHEAP)]
    slow = "builtin:sleep?ms=4"
    settings = Settings(threads=2, batch=1, ladder_down_ms=30.0, ladder_up_ms=10.0)
    service = served(slow, rungs=rungs, settings=settings)
    engine = service.engines["sleep"]
    assert engine.scheduler.ladder is not None
    engine.scheduler.ladder.hold_s = 0.02
    assert ask(service, IMAGES[:1], "sleep").parameters == {"quality": "full"}

    async def many() -> list[InferResponse]:
        return await asyncio.gather(*(service.infer(request([IMAGES[i % 6]], "sleep")) for i in range(60)))

    answers = asyncio.run(many())
    assert {answer.parameters["quality"] for answer in answers} >= {"interpolation=box", CHEAP}
    assert {answer.outputs[0].array.shape for answer in answers} == {(1, 10)}
    end = time.monotonic() + 10
    while ask(service, IMAGES[:1], "sleep").parameters != {"quality": "full"}:  # a rung at a time
        assert time.monotonic() < end
    assert service.recorders["sleep"].qualities.total() >= 62


def test_a_rung_can_be_another_model(served: Callable[..., EngineService]) -> None:
    rungs = [RungChoice.parse(CHEAP), RungChoice.parse("small:model=builtin:sleep")]
    settings = Settings(threads=2, batch=4, ladder_down_ms=1e-3, ladder_up_ms=0.0)
    service = served("builtin:tiny", rungs=rungs, settings=settings)
    variants = service._runners["tiny"]
    assert isinstance(variants, Variants)
    assert variants.qualities == ("full", CHEAP, "small")
    variants._ladder.hold_s = 0.0
    assert [ask(service, IMAGES[:1]).parameters["quality"] for _ in range(3)] == [CHEAP, "small", "small"]
    np.testing.assert_allclose(service.engines["tiny"].run(IMAGES[0]).outputs["logits"], logits(IMAGES[0]), rtol=1e-5)
    assert service.recorders["tiny.small"].images == 2


def test_what_does_not_fit_together(served: Callable[..., EngineService]) -> None:
    cascade = CascadeChoice.parse(f"{CHEAP}:0.5")
    small = RungChoice.parse("model=builtin:tiny")
    with pytest.raises(ValueError, match="a cascade needs a classifier"):
        served("builtin:detector", cascade=cascade)
    with pytest.raises(ValueError, match="rung 'model=builtin:tiny' is another model"):
        served("builtin:tiny", "builtin:detector", rungs=[small])
    with pytest.raises(ValueError, match="do not go together"):
        served("builtin:tiny", rungs=[small], cascade=cascade)
    with pytest.raises(ValueError, match="cannot stand in for 'detector': its outputs are logits"):
        served("builtin:detector", rungs=[RungChoice.parse("model=builtin:tiny")])
    with pytest.raises(ValueError, match="names that differ"):
        served(rungs=[RungChoice.parse(CHEAP)] * 2)
    with pytest.raises(ValueError, match="detector: rung 'crop=32' has output size"):
        served("builtin:detector", rungs=[RungChoice.parse("crop=32")])
    with pytest.raises(ValueError, match="there is no model 'det'"):
        served(pipelines=[Pipeline("spot", "det", "tiny")])
    with pytest.raises(ValueError, match="a model and a pipeline are called 'tiny'"):
        served("builtin:detector", "builtin:tiny", pipelines=[Pipeline("tiny", "detector", "tiny")])


def test_variants_need_the_same_outputs() -> None:
    one, other = Means(), Means()
    other.name, other.outputs = "other", (TensorInfo("mean", "FP32", (-1, 4)),)
    engines = [Engine(model, SETTINGS) for model in (one, other)]
    variants = [Variant("full", engines[0], 0), Variant("low", engines[1], 0)]
    with pytest.raises(ValueError, match="'other' cannot stand in for 'means'"):
        Variants(variants, Ladder(2, 0.1, 0.0))
