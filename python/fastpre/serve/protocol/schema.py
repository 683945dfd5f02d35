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
from google.protobuf.message import DecodeError

from ..errors import BadRequest

__all__ = ["message", "parsed", "pool", "service"]


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


def parsed(kind: Any, raw: bytes) -> Any:
    """A message from its bytes.

    Args:
        kind: its class, as `message` gave it.
        raw: as they came.

    Raises:
        BadRequest: they are no such message.
    """
    try:
        return kind.FromString(raw)
    except (DecodeError, UnicodeDecodeError):  # the second in protobuf's pure Python, of strings that are not UTF-8
        raise BadRequest(f"the message is no {kind.DESCRIPTOR.name}") from None


def service(name: str) -> Any:
    """The descriptor of a service by its full name."""
    return pool().FindServiceByName(name)
