"""The protocol's protobuf messages, as classes of this package's own.

They come from a compiled schema (`oip.binpb`) and live in a pool of their own. Generated modules would register
"inference.ModelInferRequest" and its like for the whole process, where an application that also imports tritonclient
or kserve has them already: two files that define one name make protobuf refuse the second import.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["message", "pool", "service"]


@functools.cache
def pool() -> Any:
    """The `DescriptorPool` that knows the schema and nothing else."""
    files = descriptor_pb2.FileDescriptorSet.FromString((Path(__file__).parent / "oip.binpb").read_bytes())
    own = descriptor_pool.DescriptorPool()
    for file in files.file:
        own.AddSerializedFile(file.SerializeToString())
    return own


@functools.cache
def message(name: str) -> Any:
    """The class of a message by its full name, such as "inference.ModelInferRequest"."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


def service(name: str) -> Any:
    """The descriptor of a service by its full name."""
    return pool().FindServiceByName(name)
