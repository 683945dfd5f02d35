"""fastpre: JPEG bytes to a normalized, model-ready tensor in one call.

import fastpre
x = fastpre.decode_resize_normalize(["a.jpg", "b.jpg"])  # float32 (2, 3, 224, 224)
"""

from __future__ import annotations

import importlib
from typing import Any

from . import augment
from ._core import __version__
from .errors import (
    BackendUnavailable,
    CancelledError,
    CorruptImage,
    CudaError,
    DeadlineExceeded,
    ImageError,
    ImageReadError,
    InternalError,
    LimitExceeded,
    UnsupportedImage,
)
from .planning import Plan, plan
from .preprocessor import Preprocessor, decode_resize_normalize
from .result import ImageResult, Result
from .spec import Spec
from .transcoding import transcode

__all__ = [
    "BackendUnavailable",
    "CancelledError",
    "CorruptImage",
    "CudaError",
    "DeadlineExceeded",
    "ImageError",
    "ImageReadError",
    "ImageResult",
    "InternalError",
    "LimitExceeded",
    "Plan",
    "Preprocessor",
    "Result",
    "Spec",
    "UnsupportedImage",
    "__version__",
    "augment",
    "data",
    "decode_resize_normalize",
    "interop",
    "plan",
    "transcode",
    "transforms",
]


def _adapter(name: str) -> Any:
    """`fastpre.interop.ray`, imported when it is asked for, because that imports Ray."""
    if name == "ray":
        return importlib.import_module(".interop.ray", __name__)
    raise AttributeError(f"module 'fastpre.interop' has no attribute {name!r}")


def __getattr__(name: str) -> Any:
    if name in ("data", "transforms"):  # import torch, so not before they are asked for
        return importlib.import_module(f".{name}", __name__)
    if name == "interop":
        package = importlib.import_module(".interop", __name__)
        vars(package)["__getattr__"] = _adapter  # set from here: what is below an adapter must not know it
        return package
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
