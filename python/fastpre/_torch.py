"""torch at arm's length: it is imported when first needed, and everything but tensors works without."""

from __future__ import annotations

import functools
import sys
from typing import Any

DTYPES = ("float32", "float16", "bfloat16", "uint8")
MEMORY_FORMATS = ("contiguous_format", "channels_last")


@functools.cache
def installed() -> bool:
    """True if `import torch` works."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def require() -> Any:
    """The torch module, or an ImportError that says what else can be done."""
    try:
        import torch
    except ImportError as e:
        msg = "this call returns torch tensors: pip install torch, or use Preprocessor.dlpack for NumPy and JAX"
        raise ImportError(msg) from e
    return torch


def name_of(value: object) -> str:
    """`torch.float32` -> "float32", `torch.channels_last` -> "channels_last"; strings as they are."""
    return str(value).removeprefix("torch.")


def as_attribute(name: str) -> Any:
    """The reverse of `name_of`, where torch is installed; the plain name elsewhere."""
    return getattr(require(), name) if installed() else name


def is_tensor(value: object) -> bool:
    """True for a torch.Tensor, without importing torch to find out that nothing is one."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def inside_loader_worker() -> bool:
    """True in a DataLoader worker process, where one thread is each worker's share."""
    worker = sys.modules.get("torch.utils.data._utils.worker")
    return worker is not None and worker.get_worker_info() is not None
