"""TensorFlow on the CPU; nvImageCodec and kornia-rs with torch on a device, as their documentation shows."""

from __future__ import annotations

import concurrent.futures
import functools
from typing import Any

import numpy as np
import torch
from tasks import MEAN, STD, Job

from .base import Array, Implementation, One, Run, each, needs
from .torchvision import finisher


@functools.cache
def _import_tensorflow() -> Any:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)  # refused once TensorFlow has run anything
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


def _tensorflow(job: Job) -> One:
    """tf.io and tf.image with the accurate IDCT; NHWC, as TensorFlow's models take it."""
    tf = _import_tensorflow()
    mean, std = 255 * np.array(MEAN, np.float32), 255 * np.array(STD, np.float32)

    def one(data: bytes) -> Array:
        image = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
        if job.decode_only:
            return image.numpy()
        height, width = job.resized(image.shape[0], image.shape[1])
        image = tf.image.resize(image, (height, width), method=job.interpolation, antialias=True)
        left, top, right, bottom = job.window(height, width)
        return ((image[top:bottom, left:right] - mean) / std).numpy()

    return one


class NvImageCodec(Run):
    def __init__(self, job: Job, device: str, threads: int) -> None:
        from nvidia import nvimgcodec

        self._decoder = nvimgcodec.Decoder(device_id=torch.cuda.current_device())
        self._parameters = nvimgcodec.DecodeParams(apply_exif_orientation=False)
        # Releases before 0.5 took bytes alone.
        self._source = getattr(nvimgcodec, "CodeStream", lambda data: data)
        self._finish = finisher(job)

    def __call__(self, images: list[bytes]) -> Array:
        stream = torch.cuda.current_stream().cuda_stream
        sources = [self._source(data) for data in images]
        decoded = self._decoder.decode(sources, params=self._parameters, cuda_stream=stream)
        if any(image is None for image in decoded):
            raise ValueError(f"{sum(image is None for image in decoded)} of {len(images)} images were not decoded")
        return self._finish([torch.as_tensor(image, device="cuda").permute(2, 0, 1) for image in decoded])


class KorniaRs(Run):
    """Decodes on the CPU, in a thread pool; torch does the rest on the device."""

    def __init__(self, job: Job, device: str, threads: int) -> None:
        import kornia_rs

        library = getattr(kornia_rs, "io", kornia_rs)
        if hasattr(library, "decode_image_jpegturbo"):
            self._decode = lambda data: library.decode_image_jpegturbo(data, "rgb")
        elif hasattr(library, "ImageDecoder"):
            self._decode = library.ImageDecoder().decode
        else:
            self._decode = library.decode_image_jpeg
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._finish = finisher(job)

    def _one(self, data: bytes) -> Array:
        pixels = torch.from_numpy(np.ascontiguousarray(self._decode(data)))
        return pixels.pin_memory().to("cuda", non_blocking=True).permute(2, 0, 1)

    def __call__(self, images: list[bytes]) -> Array:
        return self._finish(list(self._pool.map(self._one, images)))


ALL = (
    Implementation(
        *("tensorflow", "TensorFlow, tf.io + tf.image", each(_tensorflow)),
        missing=needs(("tensorflow", "tensorflow-cpu")),
    ),
    Implementation(
        *("nvimagecodec", "nvImageCodec, torch", NvImageCodec, ("cuda",)),
        missing=needs(("nvidia.nvimgcodec", "nvidia-nvimgcodec-cu13")),
    ),
    Implementation(
        *("kornia-rs", "kornia-rs decode (CPU threads), torch", KorniaRs, ("cuda",)),
        missing=needs(("kornia_rs", "kornia-rs")),
    ),
)
