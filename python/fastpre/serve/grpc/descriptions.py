"""The calls about the server, its models and shared memory: each a function from one message to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import json_format

from ..errors import ServeError
from ..inference import Service, TensorInfo
from ..protocol.regions import Regions
from ..protocol.schema import message, pool
from .state import State

__all__ = ["EXTENSIONS", "Descriptions"]

# What ServerMetadata says beyond the core protocol, by Triton's names.
EXTENSIONS = (
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
    "system_shared_memory",
)


class Unimplemented(ServeError):
    """The protocol has the call, and this server does not offer it."""

    status, grpc, code = 501, "UNIMPLEMENTED", "unimplemented"


def _new(kind: str, /, **fields: Any) -> Any:
    return message(f"inference.{kind}")(**fields)


def _from_json(document: dict[str, Any], kind: str) -> Any:
    """A message from its JSON; fields that the schema leaves out are skipped."""
    return json_format.ParseDict(document, _new(kind), ignore_unknown_fields=True, descriptor_pool=pool())


def _tensors(infos: tuple[TensorInfo, ...]) -> list[dict[str, Any]]:
    return [{"name": info.name, "datatype": info.datatype, "shape": info.shape} for info in infos]


class Descriptions:
    """The functions, by the name of their call, in `calls`."""

    def __init__(self, service: Service, regions: Regions, state: State) -> None:
        self._service = service
        self._regions = regions
        self._state = state
        self.calls: dict[str, Callable[[Any], Any]] = {
            "ServerLive": lambda _: _new("ServerLiveResponse", live=True),
            "ServerReady": lambda _: _new("ServerReadyResponse", ready=state.ready),
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._repository_index,
            "SystemSharedMemoryStatus": self._shared_status,
            "SystemSharedMemoryRegister": self._shared_register,
            "SystemSharedMemoryUnregister": self._shared_unregister,
            # Clients such as perf_analyzer ask for and clear what is registered, also when that is nothing.
            "CudaSharedMemoryStatus": lambda _: _new("CudaSharedMemoryStatusResponse"),
            "CudaSharedMemoryRegister": self._cuda_register,
            "CudaSharedMemoryUnregister": lambda _: _new("CudaSharedMemoryUnregisterResponse"),
        }

    def _model_ready(self, asked: Any) -> Any:
        ready = self._service.model_ready(asked.name, asked.version) and not self._state.draining.is_set()
        return _new("ModelReadyResponse", ready=ready)

    def _server_metadata(self, _: Any) -> Any:
        service = self._service
        return _new("ServerMetadataResponse", name=service.name, version=service.version, extensions=EXTENSIONS)

    def _model_metadata(self, asked: Any) -> Any:
        info = self._service.model(asked.name, asked.version)
        return _new(
            "ModelMetadataResponse",
            name=info.name,
            versions=info.versions,
            platform=info.platform,
            inputs=_tensors(info.inputs),
            outputs=_tensors(info.outputs),
        )

    def _model_config(self, asked: Any) -> Any:
        config = _from_json(self._service.config(asked.name, asked.version), "ModelConfig")
        return _new("ModelConfigResponse", config=config)

    def _model_statistics(self, asked: Any) -> Any:
        found = self._service.statistics(asked.name, asked.version)
        return _new("ModelStatisticsResponse", model_stats=[_from_json(each, "ModelStatistics") for each in found])

    def _repository_index(self, asked: Any) -> Any:
        index = _new("RepositoryIndexResponse")
        for info in self._service.models():
            for version in info.versions:
                ready = self._service.model_ready(info.name, version)
                if ready or not asked.ready:
                    state, reason = ("READY", "") if ready else ("UNAVAILABLE", "takes no requests at the moment")
                    index.models.add(name=info.name, version=version, state=state, reason=reason)
        return index

    def _shared_status(self, asked: Any) -> Any:
        found = _new("SystemSharedMemoryStatusResponse")
        for region in self._regions.status(asked.name or None):
            entry = found.regions[region["name"]]
            entry.name, entry.key = region["name"], region["key"]
            entry.offset, entry.byte_size = region["offset"], region["byte_size"]
        return found

    def _shared_register(self, asked: Any) -> Any:
        self._regions.register(asked.name, asked.key, asked.offset, asked.byte_size)
        return _new("SystemSharedMemoryRegisterResponse")

    def _shared_unregister(self, asked: Any) -> Any:
        self._regions.unregister(asked.name or None)
        return _new("SystemSharedMemoryUnregisterResponse")

    def _cuda_register(self, asked: Any) -> Any:
        raise Unimplemented("CUDA shared memory is not offered; system shared memory is")
