"""What is compared: ways from a list of JPEG bytes in host memory to one normalized float32 batch on the device."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from typing import Any, ClassVar

import measure
from tasks import MEAN, STD

RESIZE, CROP = 256, 224
# FASTPRE_CUDA_DECODER, and the decoder that a record names then.
RAN_AS = {"hardware": "nvjpeg-hardware", "hybrid": "nvjpeg-cuda", "coefficients": "fastpre"}


class Entrant:
    """One way. Made once, used for every set and batch size.

    Attributes:
        key, label: in results and in tables.
        role: "ours", "peer", or "ceiling" (does less than the job, and bounds it).
        package: whose version is reported; None: fastpre's own.
    """

    key: ClassVar[str]
    label: ClassVar[str]
    role: ClassVar[str] = "peer"
    package: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.threads = measure.cores()
        self.prepare()

    @classmethod
    def version(cls) -> str | None:
        """Of its library, None where that is not installed."""
        for package in cls.package:
            try:
                return importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
        return None

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot take part, or None."""
        return None if cls.version() is not None else f"{' or '.join(cls.package)} is not installed"

    def prepare(self) -> None:
        """Imports and builds what is made once."""

    def taken(self, images: list[bytes]) -> list[bytes]:
        """Those that it decodes."""
        return images

    def run(self, images: list[bytes]) -> Any:
        """The batch, (N, 3, 224, 224); the device may still be at work on it."""
        raise NotImplementedError

    def psnr_db(self, images: list[bytes], expected: Any) -> tuple[float, int]:
        """Against the CPU's exact batch, on the device, and how many images are equal in every bit."""
        import torch

        got = self.run(images)
        torch.cuda.synchronize()  # whatever stream a library uses
        return agreement(got, expected)


def agreement(got: Any, expected: Any) -> tuple[float, int]:
    """PSNR in dB over all values, in steps of 8-bit pixels, and how many images are equal.

    Raises:
        ValueError: shape, dtype or device is not the expected one.
    """
    import torch
    from check import psnr_db

    if got.shape != expected.shape or got.dtype != expected.dtype or got.device != expected.device:
        raise ValueError(
            f"{got.dtype}{tuple(got.shape)} on {got.device} instead of "
            f"{expected.dtype}{tuple(expected.shape)} on {expected.device}"
        )
    deviations = torch.tensor(STD, device=got.device)[:, None, None]
    steps = (got - expected) * (255 * deviations)
    equal = int((got == expected).flatten(1).all(1).sum())
    return psnr_db(float(steps.double().square().sum()), steps.numel()), equal


class Fastpre(Entrant):
    """fastpre on the device.

    Attributes:
        fidelity, decoder: Spec's, and FASTPRE_CUDA_DECODER, which is read at every call.
    """

    role = "ours"
    package = ("fastpre",)
    fidelity: ClassVar[str] = "fast"
    decoder: ClassVar[str] = "auto"
    device: ClassVar[str] = "cuda"

    @classmethod
    def missing(cls) -> str | None:
        return None  # it may be imported from a folder

    def prepare(self) -> None:
        import fastpre

        spec = fastpre.Spec(resize=RESIZE, crop=CROP, fidelity=self.fidelity)
        self.preprocessor = fastpre.Preprocessor(spec, self.device)

    def run(self, images: list[bytes]) -> Any:
        os.environ["FASTPRE_CUDA_DECODER"] = self.decoder
        return self.preprocessor(images)

    def decoders(self, images: list[bytes]) -> dict[str, int]:
        """Which decoders ran, and how many images went back to the CPU."""
        os.environ["FASTPRE_CUDA_DECODER"] = self.decoder
        counts: dict[str, int] = {}
        for image in self.preprocessor.run(images).images:
            counts[image.decoder] = counts.get(image.decoder, 0) + 1
            if image.retried:
                counts["retried"] = counts.get("retried", 0) + 1
        return counts


class FastpreExact(Fastpre):
    key, label, fidelity = "fastpre-exact", "fastpre cuda exact", "exact"


class FastpreAuto(Fastpre):
    key, label = "fastpre-auto", "fastpre cuda fast, auto"


class FastpreHardware(Fastpre):
    key, label, decoder = "fastpre-hardware", "fastpre cuda fast, engines only", "hardware"


class FastpreHybrid(Fastpre):
    key, label, decoder = "fastpre-hybrid", "fastpre cuda fast, nvJPEG's CUDA decoder", "hybrid"


class FastpreCoefficients(Fastpre):
    key, label, decoder = "fastpre-coefficients", "fastpre cuda fast, own entropy decoding", "coefficients"


class FastpreCpu(Entrant):
    """The CPU backend on all cores, then one copy from pinned memory."""

    key, label, role, package = "fastpre-cpu", "fastpre cpu exact, then .to(cuda)", "ours", ("fastpre",)

    @classmethod
    def missing(cls) -> str | None:
        return None

    def prepare(self) -> None:
        import fastpre

        spec = fastpre.Spec(resize=RESIZE, crop=CROP)
        self.preprocessor = fastpre.Preprocessor(spec, "cpu", pin_memory=True)

    def run(self, images: list[bytes]) -> Any:
        return self.preprocessor(images).to("cuda", non_blocking=True)


def finisher() -> Callable[[list[Any]], Any]:
    """What torch does on the device with decoded images, uint8 CHW of any sizes: the rest of the job."""
    import torch
    from torchvision.transforms import v2

    # Each at its own size; what can be done to a whole batch is.
    one = v2.Compose([v2.Resize(RESIZE, antialias=True), v2.CenterCrop(CROP)])
    batch = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    return lambda images: batch(torch.stack([one(image) for image in images]))
