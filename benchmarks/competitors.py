"""The libraries that are compared.

A new one is a subclass of `Competitor` with `key`, `label`, `one()` and, where it can be missing or
does not take part in every job, `missing()` and `enters()`; add it to `COMPETITORS`.
"""

from __future__ import annotations

import io
import math
import time
from typing import ClassVar

import numpy as np
from competitor import Array, Competitor, importable
from parts import PARTS
from peers import Dali, OpenCv, OpenCvArea, SimpleJpeg, SimpleJpegOpenCv, SimpleJpegScaled, TensorFlow
from tasks import MEAN, STD, Job


class FastpreExact(Competitor):
    key = "fastpre-exact"
    label = "fastpre"
    required_db = math.inf
    fidelity: ClassVar[str] = "exact"

    def prepare(self) -> None:
        import torch

        import fastpre

        job = self.job
        spec = fastpre.Spec(
            resize=job.resize,
            crop=job.crop,
            interpolation=job.interpolation,
            dtype=torch.uint8 if job.decode_only else torch.float32,
            fidelity=self.fidelity,
        )
        self.preprocessor = fastpre.Preprocessor(spec, num_threads=self.threads)

    def one(self, data: bytes) -> Array:
        return self.preprocessor([data])[0]

    def run(self, images: list[bytes]) -> Array:
        return self.preprocessor(images)

    def stages_us(self, data: bytes) -> dict[str, float]:
        """One call's microseconds by stage, and "outside": what the call took beyond them."""
        start = time.perf_counter()
        result = self.preprocessor.run([data])
        call_us = 1e6 * (time.perf_counter() - start)
        stages = result.images[0].stages_us
        return stages | {"outside": call_us - sum(stages.values())}


class FastpreFast(FastpreExact):
    key = "fastpre-fast"
    label = "fastpre, fidelity=fast"
    required_db = 34.0
    fidelity = "fast"

    @classmethod
    def enters(cls, job: Job) -> bool:
        return not job.decode_only


class TorchvisionTensor(Competitor):
    """torchvision.io and transforms.v2 on tensors: torchvision's own fast path on the CPU."""

    key = "torchvision-tensor"
    label = "torchvision, tensors"

    def prepare(self) -> None:
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg
        from torchvision.transforms import v2

        self._frombuffer, self._uint8 = torch.frombuffer, torch.uint8
        self._decode, self._rgb = decode_jpeg, ImageReadMode.RGB
        self._transform = None
        if not self.job.decode_only:
            self._transform = v2.Compose([
                v2.Resize(self.job.resize, v2.InterpolationMode(self.job.interpolation), antialias=True),
                v2.CenterCrop(self.job.crop),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ])  # fmt: skip

    def decode(self, data: bytes) -> Array:
        return self._decode(self._frombuffer(data, dtype=self._uint8), self._rgb)

    def one(self, data: bytes) -> Array:
        image = self.decode(data)
        return image if self._transform is None else self._transform(image)


class TorchCodec(TorchvisionTensor):
    """The same transforms after torchcodec's decoder, which is to replace torchvision.io."""

    key = "torchcodec"
    label = "torchcodec, tensors"

    @classmethod
    def missing(cls) -> str | None:
        return importable("torchcodec", "torchcodec")

    def prepare(self) -> None:
        super().prepare()
        from torchcodec.decoders import decode_jpeg

        self._decode_jpeg = decode_jpeg

    def decode(self, data: bytes) -> Array:
        return self._decode_jpeg(data)


class TorchvisionPil(Competitor):
    """The reference: what model cards mean by Resize, CenterCrop, ToTensor, Normalize."""

    key = "torchvision-pil"
    label = "torchvision, PIL"

    @classmethod
    def enters(cls, job: Job) -> bool:
        return not job.decode_only

    def prepare(self) -> None:
        from PIL import Image
        from torchvision import transforms

        self._open = Image.open
        self._transform = transforms.Compose([
            transforms.Resize(self.job.resize, transforms.InterpolationMode(self.job.interpolation)),
            transforms.CenterCrop(self.job.crop),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ])  # fmt: skip

    def one(self, data: bytes) -> Array:
        return self._transform(self._open(io.BytesIO(data)).convert("RGB"))


class Pillow(Competitor):
    """Pillow alone; resizing jobs end at uint8 HWC pixels."""

    key = "pillow"
    label = "Pillow, uint8 only"
    layout = "HWC"
    normalized = False
    draft: ClassVar[bool] = False

    @classmethod
    def missing(cls) -> str | None:
        return None if _pillow_simd() is None else f"the installed PIL is Pillow-SIMD {_pillow_simd()}"

    def prepare(self) -> None:
        from PIL import Image

        self._open = Image.open
        self._filter = Image.Resampling[self.job.interpolation.upper()]

    def one(self, data: bytes) -> Array:
        image = self._open(io.BytesIO(data))
        if self.job.decode_only:
            return np.asarray(image.convert("RGB"))
        height, width = self.job.resized(image.height, image.width)
        if self.draft:
            image.draft("RGB", (width, height))
        resized = image.convert("RGB").resize((width, height), self._filter)
        top, left = self.job.window(height, width)
        crop = self.job.crop
        assert crop is not None
        return np.asarray(resized.crop((left, top, left + crop, top + crop)))


class PillowDraft(Pillow):
    """Pillow with `Image.draft`: libjpeg decodes at 1/2, 1/4 or 1/8, never below the resized size."""

    key = "pillow-draft"
    label = "Pillow draft mode, uint8 only"
    draft = True

    @classmethod
    def enters(cls, job: Job) -> bool:
        return job.scaled_decode


class PillowSimd(Pillow):
    """The same calls with Pillow-SIMD, which installs itself in Pillow's place."""

    key = "pillow-simd"
    label = "Pillow-SIMD, uint8 only"

    @classmethod
    def missing(cls) -> str | None:
        return None if _pillow_simd() else "the installed PIL is not Pillow-SIMD"


def _pillow_simd() -> str | None:
    import PIL

    return PIL.__version__ if ".post" in PIL.__version__ else None


COMPETITORS: tuple[type[Competitor], ...] = (
    FastpreExact,
    FastpreFast,
    TorchvisionTensor,
    TorchCodec,
    TorchvisionPil,
    Pillow,
    PillowDraft,
    PillowSimd,
    OpenCv,
    OpenCvArea,
    SimpleJpeg,
    SimpleJpegOpenCv,
    SimpleJpegScaled,
    Dali,
    TensorFlow,
    *PARTS,
)
BY_KEY = {cls.key: cls for cls in COMPETITORS}


def entrants(job: Job, only: list[str] | None = None) -> tuple[list[type[Competitor]], dict[str, str]]:
    """Who can do `job` here, and why the others of `only` cannot, by key."""
    wanted = [cls for cls in COMPETITORS if cls.enters(job) and (only is None or cls.key in only)]
    reasons = {cls.key: cls.missing() for cls in wanted}
    return [cls for cls in wanted if not reasons[cls.key]], {k: why for k, why in reasons.items() if why}
