"""What fastpre is measured against: torchvision's two ways from JPEG bytes to the same tensor."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastpre import Preprocessor, Spec
from fastpre._backend import lazy_torch

__all__ = [
    "CannotTakePartError",
    "Implementation",
    "bit_equal",
    "fastpre_implementation",
    "one_by_one",
    "one_thread",
    "torchvision_implementations",
]

PIL_PATH = "torchvision (PIL)"
TENSOR_PATH = "torchvision (tensor)"


class CannotTakePartError(Exception):
    """An implementation cannot do the job; the text says why."""


@dataclasses.dataclass(frozen=True)
class Implementation:
    """A way from a list of JPEG byte strings to (C, H, W) tensors or arrays, in a sequence or stacked."""

    name: str
    run: Callable[[Sequence[bytes]], Any]

    def passes(self, images: Sequence[bytes]) -> Callable[[], int]:
        """A function to time: runs on all the images, and returns how many they are."""

        def once() -> int:
            self.run(images)
            return len(images)

        return once


def fastpre_implementation(spec: Spec, device: str = "cpu") -> Implementation:
    """The whole batch in one call, on one thread of the host; results of a CUDA device come to the host too."""
    pre = Preprocessor(spec, device, num_threads=1)
    if device.startswith("cuda"):
        return Implementation("fastpre", lambda images: pre(images).cpu())
    if not lazy_torch.installed():
        return Implementation("fastpre", lambda images: list(np.from_dlpack(pre.dlpack(images))))
    return Implementation("fastpre", pre)


def one_by_one(name: str, prepare: Callable[[bytes], Any]) -> Implementation:
    """An implementation that handles one image at a time."""
    return Implementation(name, lambda images: [prepare(image) for image in images])


def torchvision_implementations(spec: Spec) -> tuple[list[Implementation], dict[str, str]]:
    """The PIL path first, then its tensor path; and for those that cannot run, the reason."""
    ready: list[Implementation] = []
    missing: dict[str, str] = {}
    for name, make in ((PIL_PATH, _pil_path), (TENSOR_PATH, _tensor_path)):
        try:
            one = make(spec)
        except (ImportError, CannotTakePartError) as e:
            missing[name] = str(e)
        else:
            ready.append(one_by_one(name, one))
    return ready, missing


def bit_equal(a: Any, b: Any) -> bool:
    """True if two (C, H, W) tensors or arrays hold the same bits."""
    return _raw(a) == _raw(b)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Holds torch and OpenCV to one thread, those of them that are installed."""
    with contextlib.ExitStack() as restore:
        for module, get, put in (
            ("torch", "get_num_threads", "set_num_threads"),
            ("cv2", "getNumThreads", "setNumThreads"),
        ):
            with contextlib.suppress(ImportError):
                library = importlib.import_module(module)
                restore.callback(getattr(library, put), getattr(library, get)())
                getattr(library, put)(1)
        yield


def _raw(value: Any) -> bytes:
    if lazy_torch.is_tensor(value):
        flat = value.contiguous().reshape(-1).view(lazy_torch.require().uint8).numpy()
    else:
        flat = np.ascontiguousarray(value)
    return flat.tobytes()  # type: ignore[no-any-return]


def _pil_path(spec: Spec) -> Callable[[bytes], Any]:
    """`Compose([Resize, CenterCrop, ToTensor, Normalize])` on `PIL.Image.open(f).convert("RGB")`."""
    from PIL import Image, ImageFile, ImageOps

    torch = importlib.import_module("torch")
    tv = importlib.import_module("torchvision.transforms")
    steps: list[Any] = []
    if spec.resize is not None:
        steps.append(tv.Resize(spec.resize, tv.InterpolationMode(spec.interpolation), spec.max_size))
    if spec.crop is not None:
        steps.append(tv.CenterCrop(spec.crop))
    if spec.dtype_name == "uint8":
        steps.append(tv.PILToTensor())
    elif spec.rescale == "divide":
        steps.append(tv.ToTensor())
    else:
        v2 = importlib.import_module("torchvision.transforms.v2")
        steps += [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    if spec.color == "BGR":
        steps.append(lambda tensor: tensor.flip(0))
    if spec.dtype_name != "uint8":
        if spec.mean is not None:
            steps.append(tv.Normalize(spec.mean, spec.std))
        steps.append(lambda tensor: tensor.to(getattr(torch, spec.dtype_name)))
    transform = tv.Compose(steps)

    def one(data: bytes) -> Any:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = spec.truncated == "partial"
        try:
            with Image.open(io.BytesIO(data)) as image:
                upright = ImageOps.exif_transpose(image) if spec.exif_orientation else image
                return transform(upright.convert("L" if spec.color == "L" else "RGB"))
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before

    return one


def _tensor_path(spec: Spec) -> Callable[[bytes], Any]:
    """`torchvision.io.decode_jpeg`, then the same steps on the tensor, antialiased."""
    if spec.interpolation not in ("nearest", "bilinear", "bicubic"):
        raise CannotTakePartError(f"has no {spec.interpolation} filter for tensors")
    torch = importlib.import_module("torch")
    io_ = importlib.import_module("torchvision.io")
    f = importlib.import_module("torchvision.transforms.v2.functional")
    mode = io_.ImageReadMode.GRAY if spec.color == "L" else io_.ImageReadMode.RGB

    def one(data: bytes) -> Any:
        encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        x = io_.decode_jpeg(encoded, mode=mode, apply_exif_orientation=spec.exif_orientation)
        if spec.resize is not None:
            size = [spec.resize] if isinstance(spec.resize, int) else list(spec.resize)
            x = f.resize(x, size, f.InterpolationMode(spec.interpolation), spec.max_size, antialias=True)
        if spec.crop is not None:
            x = f.center_crop(x, [spec.crop] if isinstance(spec.crop, int) else list(spec.crop))
        if spec.color == "BGR":
            x = x.flip(0)
        if spec.dtype_name == "uint8":
            return x
        x = f.to_dtype(x, torch.float32, scale=True)
        if spec.mean is not None and spec.std is not None:
            x = f.normalize(x, list(spec.mean), list(spec.std))
        return x.to(getattr(torch, spec.dtype_name))

    return one
