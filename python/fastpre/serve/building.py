"""Models by reference to a service: what `fastpre serve` does before it listens."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from .._core import __version__
from .engine import Engine, Settings
from .engine.answers import Observer
from .engine.preprocessing import Pool
from .handover import Handover
from .handover.kinds import open_handover
from .inference import ModelInfo
from .model_threads import choose_model_threads
from .models.info import model_info
from .models.loading import load
from .observing.recorder import Recorder
from .pipeline.describing import ensemble, pipeline_info
from .pipeline.detections import Detections
from .pipeline.doubts import Doubts, classifies, same_outputs
from .pipeline.pipeline import Pipeline
from .pipeline.relay import Relay
from .pipeline.rungs import CascadeChoice, RungChoice
from .pipeline.variants import Variant, Variants
from .scheduling.ladder import Ladder
from .service import EngineService, Runner

__all__ = ["ModelChoice", "build"]


@dataclasses.dataclass(frozen=True)
class ModelChoice:
    """A model to serve.

    Attributes:
        reference: as `models.load` takes it.
        options: the other arguments of `models.load`.
        handover: the way to it; empty: that of the other models.
    """

    reference: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    handover: str = ""


def build(
    choices: Sequence[ModelChoice],
    settings: Settings,
    *,
    handover: str = "threads",
    max_images: int = 64,
    pipelines: Sequence[Pipeline] = (),
    rungs: Sequence[RungChoice] = (),
    cascade: CascadeChoice | None = None,
) -> EngineService:
    """A service of engines that are started; the caller closes them.

    Args:
        handover: "threads", "shared-memory", "redis://…" or "nats://…", for every model that has none of its own.
        max_images: of one request.
        pipelines: of two of the models each, served beside them.
        rungs: of the quality ladder, best first, for every model; one that is another model needs the server to have
            only one.
        cascade: for every classifier.

    Raises:
        ModelUnavailable: a model cannot be had; the message says why.
        ValueError: two models have the same name, or something that was declared does not fit the models.
    """
    building = Building(settings, handover, max_images, rungs, cascade)
    try:
        for choice in choices:
            building.add(choice, alone=len(choices) == 1)
        if cascade is not None and not any(recorder.cheap is not None for recorder in building.recorders.values()):
            raise ValueError("a cascade needs a classifier, and none of the models is one")
        for pipeline in pipelines:
            building.join(pipeline)
    except BaseException:
        for engine in building.engines.values():
            engine.close(0)
        raise
    if not any("num_threads" in choice.options for choice in choices):
        choose_model_threads(building.engines.values())
    b = building
    return EngineService("fastpre", __version__, b.engines, b.infos, b.recorders, b.runners, b.configs)


class Building:
    """A service, as far as it is built."""

    def __init__(
        self,
        settings: Settings,
        handover: str,
        max_images: int,
        rungs: Sequence[RungChoice],
        cascade: CascadeChoice | None,
    ) -> None:
        self.engines: dict[str, Engine] = {}
        self.infos: dict[str, ModelInfo] = {}
        self.recorders: dict[str, Recorder] = {}
        self.runners: dict[str, Runner] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self._settings = settings
        self._handover = handover
        self._max_images = max_images
        self._rungs = rungs
        self._cascade = cascade
        self._pool = Pool(settings.threads)

    def add(self, choice: ModelChoice, *, alone: bool) -> None:
        """A model, with its rungs and its cascade."""
        way = self._opened(choice)
        model = way.description
        cascade = self._cascade if classifies(model) else None
        models = [rung for rung in (*self._rungs, *([cascade.cheap] if cascade else [])) if rung.model]
        try:
            if model.name in self.engines:
                raise ValueError(f"two models are called {model.name!r}; name one of them: NAME={choice.reference}")
            if models and not alone:
                raise ValueError(
                    f"rung {models[0].name!r} is another model: the server can have only one that it is for"
                )
            if cascade is not None and any(rung.model for rung in self._rungs):
                raise ValueError("a cascade and a ladder with another model do not go together")
            try:
                settings, names = self._settings_for(way, cascade)
            except ValueError as error:
                raise ValueError(f"{model.name}: {error}") from error
        except ValueError:
            way.close()
            raise
        if cascade is not None and cascade.cheap.model:
            names = (*names, cascade.cheap.name)
        cheap = None if cascade is None else names.index(cascade.cheap.name)
        recorder = self.recorders[model.name] = Recorder(names, cheap)
        engine = self._start(model.name, way, settings, recorder if cascade is None else recorder.batches_alone())
        self.infos[model.name] = model_info(model, max_batch=self._max_images)
        if cascade is not None and cheap is not None:
            first = engine if not cascade.cheap.model else self._variant(choice, cascade.cheap, engine)
            joint = Doubts(engine.model, cascade.below, cheap if first is engine else 0, names, cheap)
            self.runners[model.name] = Relay(first, engine, joint, recorder)
        elif models:
            self.runners[model.name] = self._variants(choice, engine, settings)

    def _settings_for(self, way: Handover, cascade: CascadeChoice | None) -> tuple[Settings, tuple[str, ...]]:
        """The engine's settings, and the names of its qualities."""
        spec = way.description.spec
        ladder = [rung.rung(spec) for rung in self._rungs if not rung.model]
        apart = []
        if cascade is not None and not cascade.cheap.model and cascade.cheap.name not in [r.name for r in ladder]:
            apart = [cascade.cheap.rung(spec)]
        if any(rung.model for rung in self._rungs):  # the ladder is in front of the engines
            ladder, apart = [], ladder
        names = ["full", *(rung.name for rung in (*ladder, *apart))]
        if len(set(names)) < len(names):
            raise ValueError(f"rungs need names that differ: {', '.join(names[1:])}")
        return dataclasses.replace(self._settings, ladder=ladder, apart=apart), tuple(names)

    def _variant(self, choice: ModelChoice, rung: RungChoice, full: Engine) -> Engine:
        """The engine of a rung that is another model."""
        name = f"{full.model.name}.{rung.name.removeprefix('model=')}"
        own = dataclasses.replace(choice, reference=rung.model, options={**choice.options, "name": name})
        way = self._opened(own)
        try:
            same_outputs(full.model, way.description)
        except ValueError:
            way.close()
            raise
        recorder = self.recorders[name] = Recorder()
        return self._start(name, way, self._settings, recorder)

    def _variants(self, choice: ModelChoice, full: Engine, settings: Settings) -> Variants:
        variants = [Variant("full", full, 0)]
        for rung in self._rungs:
            if rung.model:
                variants.append(Variant(rung.name, self._variant(choice, rung, full), 0))
            else:
                variants.append(Variant(rung.name, full, full.qualities.index(rung.name)))
        ladder = Ladder(len(variants), settings.ladder_down_ms / 1e3, settings.ladder_up_ms / 1e3)
        return Variants(variants, ladder)

    def _opened(self, choice: ModelChoice) -> Handover:
        factory = functools.partial(load, choice.reference, **choice.options)
        way = open_handover(choice.handover or self._handover, factory, instances=self._settings.instances)
        way.start()
        return way

    def _start(self, name: str, way: Handover, settings: Settings, observe: Observer) -> Engine:
        engine = Engine(way.description, settings, handover=way, pool=self._pool, observe=observe)
        self.engines[name] = engine
        return engine.start()

    def join(self, pipeline: Pipeline) -> None:
        """A pipeline of models that were added."""
        if pipeline.name in self.infos:
            raise ValueError(f"a model and a pipeline are called {pipeline.name!r}")
        for name in (pipeline.first, pipeline.second):
            if name not in self.engines:
                raise ValueError(
                    f"pipeline {pipeline.name!r}: there is no model {name!r}; give one: --model {name}=REF"
                )
        first, second = self.engines[pipeline.first], self.engines[pipeline.second]
        qualities = max(first.qualities, second.qualities, key=len)
        joint = Detections(pipeline, first.model, second.model, first.specs, qualities)
        recorder = self.recorders[pipeline.name] = Recorder(qualities)
        self.runners[pipeline.name] = Relay(first, second, joint, recorder)
        info = self.infos[pipeline.name] = pipeline_info(joint, self.infos[pipeline.first], second.model)
        self.configs[pipeline.name] = ensemble(joint, info)
