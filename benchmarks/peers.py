"""Competitors that are not part of PyTorch's own world: OpenCV, simplejpeg, DALI, TensorFlow."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np
from competitor import Array, Competitor, importable
from tasks import MEAN, STD, Job


class OpenCv(Competitor):
    """cv2.imdecode and cv2.resize; INTER_LINEAR and INTER_CUBIC do not antialias."""

    key = "opencv"
    label = "OpenCV"
    area: ClassVar[bool] = False

    @classmethod
    def missing(cls) -> str | None:
        return importable("cv2", "opencv-python-headless")

    def prepare(self) -> None:
        import cv2

        cv2.setNumThreads(1)
        self._cv2 = cv2
        self._flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        by_name = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
        self._filter = cv2.INTER_AREA if self.area else by_name[self.job.interpolation]
        self._scale = np.array([1 / (255 * s) for s in STD], np.float32)
        self._shift = np.array([m / s for m, s in zip(MEAN, STD, strict=True)], np.float32)
        if self.job.decode_only:
            self.layout = "HWC"

    def decode(self, data: bytes) -> Array:
        return self._cv2.imdecode(np.frombuffer(data, np.uint8), self._flags)

    def one(self, data: bytes) -> Array:
        image = self.decode(data)
        if self.job.decode_only:
            return image
        crop = self.job.crop
        assert crop is not None
        height, width = self._resized(data, image)
        image = self._cv2.resize(image, (width, height), interpolation=self._filter)
        top, left = self.job.window(height, width)
        pixels = image[top : top + crop, left : left + crop].transpose(2, 0, 1)
        result = np.multiply(pixels, self._scale[:, None, None], dtype=np.float32, order="C")
        result -= self._shift[:, None, None]
        return result

    def _resized(self, data: bytes, image: Array) -> tuple[int, int]:
        return self.job.resized(image.shape[0], image.shape[1])


class OpenCvArea(OpenCv):
    """INTER_AREA: the one of OpenCV's filters that averages over all source pixels."""

    key = "opencv-area"
    label = "OpenCV, INTER_AREA"
    area = True

    @classmethod
    def enters(cls, job: Job) -> bool:
        return not job.decode_only and job.interpolation == "bilinear"


class SimpleJpegOpenCv(OpenCv):
    """libjpeg-turbo through simplejpeg, then cv2.resize."""

    key = "simplejpeg-opencv"
    label = "simplejpeg + OpenCV"
    scaled: ClassVar[bool] = False

    @classmethod
    def missing(cls) -> str | None:
        return importable("simplejpeg", "simplejpeg") or OpenCv.missing()

    @classmethod
    def enters(cls, job: Job) -> bool:
        return not job.decode_only

    def prepare(self) -> None:
        import simplejpeg

        self._simplejpeg = simplejpeg
        super().prepare()

    def decode(self, data: bytes) -> Array:
        least = self.job.resize or 0
        if not self.scaled:
            return self._simplejpeg.decode_jpeg(data, "RGB")
        return self._simplejpeg.decode_jpeg(data, "RGB", min_height=least, min_width=least, min_factor=1)


class SimpleJpeg(SimpleJpegOpenCv):
    """libjpeg-turbo's full decode with as little as possible around it."""

    key = "simplejpeg"
    label = "simplejpeg (libjpeg-turbo)"

    @classmethod
    def enters(cls, job: Job) -> bool:
        return job.decode_only


class SimpleJpegScaled(SimpleJpegOpenCv):
    """The same with libjpeg-turbo's DCT scaling: not the same picture, but the least work."""

    key = "simplejpeg-scaled"
    label = "simplejpeg, DCT scaling + OpenCV"
    scaled = True

    @classmethod
    def enters(cls, job: Job) -> bool:
        return job.scaled_decode

    def _resized(self, data: bytes, image: Array) -> tuple[int, int]:
        height, width, *_ = self._simplejpeg.decode_jpeg_header(data)
        return self.job.resized(height, width)


class Dali(Competitor):
    """NVIDIA DALI with every operator on the CPU; its own threads, one pipeline for each batch size."""

    key = "dali-cpu"
    label = "NVIDIA DALI, CPU"

    @classmethod
    def missing(cls) -> str | None:
        return importable("nvidia.dali", "nvidia-dali-cuda130") or importable(
            "nvidia.nvimgcodec", "nvidia-nvimgcodec-cu13, which DALI decodes with,"
        )

    def prepare(self) -> None:
        self._pipelines: dict[int, Any] = {}
        self.layout = "HWC" if self.job.decode_only else "CHW"

    def _pipeline(self, batch_size: int) -> Any:
        from nvidia.dali import fn, pipeline_def, types

        job = self.job
        filters = {"bilinear": types.INTERP_LINEAR, "bicubic": types.INTERP_CUBIC}

        @pipeline_def(batch_size=batch_size, num_threads=self.threads, device_id=None, prefetch_queue_depth=1)
        def graph() -> Any:
            jpegs = fn.external_source(name="jpegs", dtype=types.UINT8, ndim=1)
            images = fn.decoders.image(jpegs, device="cpu", output_type=types.RGB, adjust_orientation=False)
            if job.decode_only:
                return images
            images = fn.resize(
                images, resize_shorter=job.resize, interp_type=filters[job.interpolation], antialias=True
            )
            return fn.crop_mirror_normalize(
                images,
                crop=(job.crop, job.crop),
                mean=[255 * m for m in MEAN],
                std=[255 * s for s in STD],
                dtype=types.FLOAT,
                output_layout="CHW",
            )

        pipeline = graph(exec_async=False, exec_pipelined=False)
        pipeline.build()
        return pipeline

    def one(self, data: bytes) -> Array:
        return self.run([data])[0]

    def run(self, images: list[bytes]) -> Array:
        count = len(images)
        if count not in self._pipelines:
            self._pipelines[count] = self._pipeline(count)
        pipeline = self._pipelines[count]
        pipeline.feed_input("jpegs", [np.frombuffer(data, np.uint8) for data in images])
        (result,) = pipeline.run()
        return np.array(result.as_array())


@functools.cache
def _tensorflow() -> Any:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)  # refused once TensorFlow has run anything
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


class TensorFlow(Competitor):
    """tf.io and tf.image with the accurate IDCT; NHWC, as TensorFlow's models take it."""

    key = "tensorflow"
    label = "TensorFlow, tf.io + tf.image"
    layout = "HWC"

    @classmethod
    def missing(cls) -> str | None:
        return importable("tensorflow", "tensorflow-cpu")

    def prepare(self) -> None:
        self._tf = _tensorflow()
        self._mean, self._std = 255 * np.array(MEAN, np.float32), 255 * np.array(STD, np.float32)

    def one(self, data: bytes) -> Array:
        tf = self._tf
        image = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
        if self.job.decode_only:
            return image.numpy()
        height, width = self.job.resized(image.shape[0], image.shape[1])
        image = tf.image.resize(image, (height, width), method=self.job.interpolation, antialias=True)
        top, left = self.job.window(height, width)
        crop = self.job.crop
        assert crop is not None
        return ((image[top : top + crop, left : left + crop] - self._mean) / self._std).numpy()
