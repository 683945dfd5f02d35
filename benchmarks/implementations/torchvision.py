"""PyTorch's own ways: torchvision on PIL images and on tensors, torchcodec."""

from __future__ import annotations

import io
from typing import Any

import torch
from tasks import MEAN, STD, Job

from .base import Array, Each, Implementation, One, Run, each, needs


def _steps(job: Job) -> tuple[Any, Any]:
    """Resize and crop of one image, and what can be done to a whole batch."""
    from torchvision.transforms import v2

    interpolation = v2.InterpolationMode(job.interpolation)
    one = [v2.Resize(job.resize, interpolation, antialias=True), v2.CenterCrop(job.crop)]
    return one, [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]


def finisher(job: Job) -> Any:
    """What torch does on a device with decoded images, uint8 CHW of any sizes: the rest of the job."""
    from torchvision.transforms import v2

    one, batch = map(v2.Compose, _steps(job))
    return lambda images: batch(torch.stack([one(image) for image in images]))


def _tensors(job: Job, codec: bool = False) -> One:
    """torchvision.io's or torchcodec's decoder and transforms.v2 on tensors."""
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms import v2

    frombuffer, uint8, rgb = torch.frombuffer, torch.uint8, ImageReadMode.RGB
    if codec:
        from torchcodec.decoders import decode_jpeg as decode
    else:

        def decode(data: bytes) -> Array:
            return decode_jpeg(frombuffer(data, dtype=uint8), rgb)

    if job.decode_only:
        return decode  # type: ignore[no-any-return]
    one, batch = _steps(job)
    transform = v2.Compose([*one, *batch])
    return lambda data: transform(decode(data))


class OnDevice(Run):
    """torchvision's decoder for CUDA devices, which is nvJPEG's, for the whole batch."""

    def __init__(self, job: Job, device: str) -> None:
        from torchvision.io import ImageReadMode, decode_jpeg

        self._decode, self._rgb, self._device = decode_jpeg, ImageReadMode.RGB, device
        self._finish = finisher(job)

    def __call__(self, images: list[bytes]) -> Array:
        streams = [torch.frombuffer(data, dtype=torch.uint8) for data in images]
        return self._finish(self._decode(streams, self._rgb, device=self._device))


def _torchvision(job: Job, device: str, threads: int) -> Run:
    return Each(_tensors(job), threads, False) if device == "cpu" else OnDevice(job, device)


def _pil(job: Job) -> One:
    """The reference: what model cards mean by Resize, CenterCrop, ToTensor, Normalize."""
    from PIL import Image
    from torchvision import transforms

    transform = transforms.Compose([
        transforms.Resize(job.resize, transforms.InterpolationMode(job.interpolation)),
        transforms.CenterCrop(job.crop),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ])  # fmt: skip
    return lambda data: transform(Image.open(io.BytesIO(data)).convert("RGB"))


ALL = (
    Implementation("torchvision-tensor", "torchvision, tensors", _torchvision, ("cpu", "cuda")),
    Implementation(
        *("torchcodec", "torchcodec, tensors", each(_tensors, codec=True)),
        missing=needs(("torchcodec", "torchcodec")),
    ),
    Implementation("torchvision-pil", "torchvision, PIL", each(_pil), does=lambda job: not job.decode_only),
)
