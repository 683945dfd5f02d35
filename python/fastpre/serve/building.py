"""Models by reference to a service: what `fastpre serve` does before it listens."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from .._core import __version__
from .engine import Engine, Settings
from .engine.preprocessing import Pool
from .handover.kinds import open_handover
from .models.info import model_info
from .models.loading import load
from .observing.recorder import Recorder
from .service import EngineService

__all__ = ["ModelChoice", "build"]


@dataclasses.dataclass(frozen=True)
class ModelChoice:
    """A model to serve.

    Attributes:
        reference: as `models.load` takes it.
        options: the other arguments of `models.load`.
    """

    reference: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def build(
    choices: Sequence[ModelChoice], settings: Settings, *, handover: str = "threads", max_images: int = 64
) -> EngineService:
    """A service of engines that are started; the caller closes them.

    Args:
        handover: "threads", "shared-memory", "redis://…" or "nats://…", for every model.
        max_images: of one request.

    Raises:
        ModelUnavailable: a model cannot be had; the message says why.
        ValueError: two models have the same name, or a setting does not fit.
    """
    pool = Pool(settings.threads)
    engines: dict[str, Engine] = {}
    infos, recorders = {}, {}
    try:
        for choice in choices:
            factory = functools.partial(load, choice.reference, **choice.options)
            way = open_handover(handover, factory, instances=settings.instances)
            way.start()
            model = way.description
            if model.name in engines:
                way.close()
                raise ValueError(f"two models are called {model.name!r}; name one of them: NAME={choice.reference}")
            recorders[model.name] = Recorder()
            engine = Engine(model, settings, handover=way, pool=pool, observe=recorders[model.name])
            engines[model.name] = engine
            infos[model.name] = model_info(model, max_batch=max_images)
            engine.start()
    except BaseException:
        for engine in engines.values():
            engine.close(0)
        raise
    return EngineService("fastpre", __version__, engines, infos, recorders)
