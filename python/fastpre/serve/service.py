"""Requests to engines, and what engines give to responses: the `Service` behind every protocol."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .engine import Engine
from .engine.engine import stages_ms
from .errors import BadRequest, Draining, NotFound, Overloaded, ServeError
from .inference import InferRequest, InferResponse, InputTensor, ModelInfo, OutputTensor
from .models.info import PIXELS
from .observing.failure_log import FailureLog
from .observing.recorder import Recorder
from .observing.triton import statistics
from .scheduling.items import Item, Job, Pixels, Prepared

if TYPE_CHECKING:
    from .observing.tracing import Tracing

__all__ = ["EngineService", "Runner"]

VERSION = "1"


class Runner(Protocol):
    """An `Engine`, or what stands before some."""

    @property
    def qualities(self) -> tuple[str, ...]:
        """What the quality of an answer can be, best first."""

    @property
    def ready(self) -> bool:
        """True if images are taken and everything behind it can run."""

    async def infer_all(
        self, images: Sequence[Any], *, deadline: float | None = None, priority: int = 0, partial: bool = False
    ) -> Job:
        """As `Engine.infer_all`."""


class EngineService:
    """Engines by the names of their models.

    Args:
        name, version: of the server, for its metadata.
        engines: by model name.
        infos: what clients are told of each model.
        recorders: what counts each model's requests.
        runners: what stands before the engines, by the names that clients use: pipelines, which have no engine of their
            own; cascades and other models for lower quality.
        configs: what a pipeline's configuration has beside the rest, by its name.

    Attributes:
        draining: the server will stop taking requests soon, and is not ready any more.
        refusals: what counts the requests that came to no model.
        tracing: told of each request; None: of none.
    """

    def __init__(
        self,
        name: str,
        version: str,
        engines: Mapping[str, Engine],
        infos: Mapping[str, ModelInfo],
        recorders: Mapping[str, Recorder],
        runners: Mapping[str, Runner] | None = None,
        configs: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.engines = engines
        self.recorders = recorders
        self.draining = False
        self.refusals = Recorder()
        self.tracing: Tracing | None = None
        self._failure_log = FailureLog()
        self._infos = infos
        self._runners: dict[str, Runner] = {**engines, **(runners or {})}
        self._configs = configs or {}

    # --- models ---

    @property
    def ready(self) -> bool:
        """True if requests are taken and every model is ready."""
        return not self.draining and all(engine.ready for engine in self.engines.values())

    def models(self) -> Sequence[ModelInfo]:
        """All models."""
        return list(self._infos.values())

    def model(self, name: str, version: str = "") -> ModelInfo:
        """One model."""
        info = self._infos.get(name)
        if info is None:
            raise NotFound(f"there is no model {name!r}; there is {', '.join(map(repr, self._infos))}")
        if version not in ("", *info.versions):
            raise NotFound(f"model {name!r} has no version {version!r}; it has {', '.join(info.versions)}")
        return info

    def model_ready(self, name: str, version: str = "") -> bool:
        """True if it takes requests."""
        return not self.draining and self._runners[self.model(name, version).name].ready

    def config(self, name: str, version: str = "") -> dict[str, Any]:
        """Its configuration, in the shape of Triton's ModelConfig as JSON."""
        info = self.model(name, version)
        config = {
            "name": name,
            "platform": info.platform,
            "backend": "fastpre",
            "max_batch_size": info.max_batch,
            # Alternatives. Clients that make up their input take the first one, and must bring it if none is optional.
            "input": [{**_config_tensor(tensor), "optional": i > 0} for i, tensor in enumerate(info.inputs)],
            "output": [_config_tensor(tensor) for tensor in info.outputs],
        }
        if name in self._configs:
            return config | self._configs[name]
        settings = self.engines[name].settings
        wait_us = 0 if settings.wait_ms is None else int(settings.wait_ms * 1e3)
        return config | {
            "dynamic_batching": {
                "preferred_batch_size": [self.engines[name].largest],
                "max_queue_delay_microseconds": wait_us,
            },
            "instance_group": [{"name": name, "kind": "KIND_CPU", "count": settings.instances}],
        }

    def statistics(self, name: str = "", version: str = "") -> list[dict[str, Any]]:
        """Counters in the shape of Triton's `model_stats` as JSON, of one model or of all."""
        names = [self.model(name, version).name] if name else list(self._infos)
        return [statistics(one, VERSION, self.recorders[one]) for one in names]

    # --- requests ---

    def admit(self) -> ServeError | None:
        """What is known before a request's body is read: whether there can be room for it."""
        engines = self.engines.values()
        if not any(engine.accepts for engine in engines):
            return Draining("the server is shutting down")
        schedulers = [engine.scheduler for engine in engines]
        if all(scheduler.queued >= scheduler.queue_limit for scheduler in schedulers):
            wait = min(scheduler.predicted_wait_s() for scheduler in schedulers)
            return Overloaded("the queue is full", retry_after_s=wait / 2)
        return None

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answers one request."""
        info = self.model(request.model, request.version)
        recorder = self.recorders[info.name]
        begun = request.received or time.monotonic()
        try:
            response = await self._infer(info, request)
        except asyncio.CancelledError:
            recorder.abandoned(time.monotonic() - begun)
            raise
        except Exception as error:
            self._failed(info.name, request, begun, error)
            raise
        now = time.monotonic()
        stages = response.stages_ms
        assert isinstance(stages, dict)
        stages["respond"] = max(0.0, (now - begun) * 1e3 - sum(stages.values()))
        recorder.answered(now - begun, stages)
        if self.tracing is not None:
            self.tracing.answered(request, begun, response)
        return response

    def _failed(self, model: str, request: InferRequest, begun: float, error: Exception) -> None:
        seen = error if isinstance(error, ServeError) else ServeError("internal error")
        self.recorders[model].failed(seen, time.monotonic() - begun, request.id)
        self._failure_log.failed(model, seen, request.id)
        if self.tracing is not None:
            self.tracing.failed(request, begun, seen)

    def refused(self, error: ServeError, model: str = "") -> None:
        """A protocol answers with an error; it is counted, unless `infer` has done so.

        Args:
            model: the request's, where that is known. If there is no room, that is the only model's, if there is one.
        """
        if error.recorded:
            return
        if not model and len(self.recorders) == 1 and isinstance(error, (Overloaded, Draining)):
            model = next(iter(self.recorders))
        known = model if model in self.recorders else ""
        self.recorders.get(known, self.refusals).failed(error, 0.0, "")
        self._failure_log.failed(known, error, "")

    async def _infer(self, info: ModelInfo, request: InferRequest) -> InferResponse:
        engine = self._runners[info.name]
        images = _images(request.inputs, info)
        names = [output.name for output in request.outputs] or [output.name for output in info.outputs]
        known = {output.name: output for output in info.outputs}
        for name in names:
            if name not in known:
                raise BadRequest(f"model {info.name!r} has no output {name!r}; it has {', '.join(known)}")
        job = await engine.infer_all(
            images,
            deadline=request.deadline,
            priority=request.priority,
            partial=request.parameters.get("truncated") == "partial",
        )
        failed = next((i for i, item in enumerate(job.items) if item.error is not None), None)
        if failed is not None:
            error = job.items[failed].error
            assert isinstance(error, ServeError)
            error = copy.copy(error)  # other requests of its batch may have the same one
            if len(images) > 1 and error.status < 500:  # the image's fault, not the model's or the server's
                error.index = failed
            try:
                raise error
            finally:  # its traceback has this frame: neither is to wait for the garbage collector, nor the images
                del error, job
        outputs = [OutputTensor(name, known[name].datatype, _rows(job.items, name)) for name in names]
        parameters: dict[str, bool | int | float | str] = {}
        if len(engine.qualities) > 1:
            parameters["quality"] = engine.qualities[max(item.rung for item in job.items)]
        cheap = self.recorders[info.name].cheap
        if cheap is not None:
            parameters["cascade"] = "kept" if all(item.rung == cheap for item in job.items) else "retried"
        if any(item.record is not None and item.record.truncated for item in job.items):
            parameters["truncated"] = True
        stages = _stages(job, request)
        job.items.clear()  # they and the job would keep each other, and the upload, for the garbage collector
        return InferResponse(info.name, VERSION, outputs, request.id, parameters, stages)


def _images(inputs: Sequence[InputTensor], info: ModelInfo) -> list[Any]:
    """The request's images, as the engine takes them."""
    if len(inputs) != 1:
        raise BadRequest(f"a request has one input, one of {_names(info)}; got {len(inputs)}")
    tensor = inputs[0]
    wanted = next((one for one in info.inputs if one.name == tensor.name), None)
    if wanted is None:
        raise BadRequest(f"model {info.name!r} has no input {tensor.name!r}; it takes one of {_names(info)}")
    if tensor.datatype != wanted.datatype:
        raise BadRequest(f"input {tensor.name!r} must be {wanted.datatype}, got {tensor.datatype}")
    if isinstance(tensor.data, np.ndarray):
        _check_shape(tensor, wanted.shape)
        kind = Pixels if wanted.name == PIXELS else Prepared
        images: list[Any] = [kind(array) for array in tensor.data]
    else:
        if len(tensor.shape) not in (1, 2) or (len(tensor.shape) == 2 and tensor.shape[1] != 1):
            raise BadRequest(f"input {tensor.name!r} must be of shape (n) or (n, 1), got {tuple(tensor.shape)}")
        images = list(tensor.data)
    if not 1 <= len(images) <= info.max_batch:
        raise BadRequest(f"a request has 1 to {info.max_batch} images, got {len(images)}")
    return images


def _names(info: ModelInfo) -> str:
    return ", ".join(f"{tensor.name} ({tensor.datatype})" for tensor in info.inputs)


def _check_shape(tensor: InputTensor, wanted: tuple[int, ...]) -> None:
    fits = len(tensor.shape) == len(wanted) and all(b in (-1, a) for a, b in zip(tensor.shape, wanted, strict=True))
    if not fits:
        raise BadRequest(f"input {tensor.name!r} must be of shape {wanted}, got {tuple(tensor.shape)}")


def _rows(items: Sequence[Item], name: str) -> np.ndarray[Any, Any]:
    """One output of some images, (n, ...); a view where one batch has them side by side."""
    first = items[0]
    assert first.outputs is not None
    array = first.outputs[name]
    if all(item.outputs is first.outputs and item.row == first.row + i for i, item in enumerate(items)):
        return array[first.row : first.row + len(items)]
    return np.concatenate([item.result()[name] for item in items])


def _stages(job: Job, request: InferRequest) -> dict[str, float]:
    """Milliseconds by stage: of the image that was done last, after what the protocol took."""
    last = max(job.items, key=lambda item: item.finished)
    stages: dict[str, float] = {}
    begun = request.received or job.arrived
    if request.arrived:
        stages["receive"] = (request.arrived - begun) * 1e3
        begun = request.arrived
    stages["parse"] = (job.arrived - begun) * 1e3
    stages.update(stages_ms(last))
    return stages


def _config_tensor(tensor: Any) -> dict[str, Any]:
    """In a configuration the batch is not part of the shape, and BYTES are called strings."""
    datatype = "STRING" if tensor.datatype == "BYTES" else tensor.datatype
    return {"name": tensor.name, "data_type": f"TYPE_{datatype}", "dims": list(tensor.shape[1:]) or [1]}
