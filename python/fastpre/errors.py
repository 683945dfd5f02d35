"""What can go wrong, as types: the image's fault, the caller's, this machine's, or ours.

An `ImageError` is about one image and never costs the rest of its batch; wrong arguments are plain
`TypeError` and `ValueError`.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "BackendUnavailable",
    "CancelledError",
    "CorruptImage",
    "CudaError",
    "DeadlineExceeded",
    "ImageError",
    "ImageReadError",
    "InternalError",
    "LimitExceeded",
    "UnsupportedImage",
]


def path_as_text(path: str) -> str:
    r"""A path that any UTF-8 stream takes: bytes of it that are no UTF-8 become \xNN, as in caf\xe9.jpg."""
    try:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        return path.encode("utf-8", "backslashreplace").decode("utf-8")


class ImageError(Exception):
    r"""One image could not be turned into a tensor.

    As text it can be printed whatever the path's bytes are: those that are no UTF-8 are written \xNN.

    Attributes:
        reason: what is wrong with it, in words.
        index: its position in the batch, or None for a call about a single image.
        name: its path where it came as one or with one, as it can be opened, else None.
        dataset_index: what a `fastpre.data.Loader` asked its dataset for: `dataset[error.dataset_index]` is the sample.
            None elsewhere, and for iterable datasets.
    """

    def __init__(
        self, reason: str = "", index: int | None = None, name: str | None = None, dataset_index: Any = None
    ) -> None:
        super().__init__(reason, index, name, dataset_index)
        self.reason = reason
        self.index = index
        self.name = name
        self.dataset_index = dataset_index

    def __str__(self) -> str:
        known = [] if self.dataset_index is None else [f"dataset index {self.dataset_index}"]
        if self.name is not None:
            known.append(path_as_text(self.name))
        where = "" if self.index is None else f"image {self.index}"
        if known:
            where += f" ({', '.join(known)})" if where else ", ".join(known)
        return f"{where}: {self.reason}" if where else self.reason

    def locate(self, name: str | None, dataset_index: Any) -> None:
        """Adds where the image came from, once that is known."""
        self.name = self.name if name is None else name
        self.dataset_index = dataset_index
        self.args = (self.reason, self.index, self.name, dataset_index)  # what repr shows and pickle sends


class CorruptImage(ImageError):
    """The stream is broken, truncated, or no JPEG at all. Pillow raises for it too."""


class UnsupportedImage(ImageError):
    """A legal stream that Pillow refuses too (12-bit, 2 components), or that this build cannot decode."""


class LimitExceeded(ImageError):
    """The image asks for more than `max_pixels`, `max_output_pixels`, `max_bytes` or `max_work` allow."""


class ImageReadError(ImageError):
    """The path or open file could not be read, or there is no image at all (None)."""


class DeadlineExceeded(ImageError):
    """The image was not begun by the call's deadline (`deadline_s`). Nothing is known about it."""


class BackendUnavailable(RuntimeError):
    """The device asked for cannot be used here; the message says what is missing."""


class CancelledError(RuntimeError):
    """The call was cancelled from another thread; what `out` holds is undefined."""


class CudaError(RuntimeError):
    """A call into CUDA or nvJPEG failed for a reason that is no image's: memory, the driver, a broken context."""


class InternalError(RuntimeError):
    """A bug in fastpre. Please report it with the image."""


BY_NAME: dict[str, type[Exception]] = {
    cls.__name__: cls
    for cls in (CorruptImage, UnsupportedImage, LimitExceeded, ImageReadError, DeadlineExceeded, InternalError)
}


def from_record(error: str, reason: str, index: int | None, name: str | None) -> Exception:
    """The exception that a failed record stands for."""
    cls = BY_NAME[error]
    if issubclass(cls, ImageError):
        return cls(reason, index, name)
    return cls(reason if index is None else f"image {index}: {reason}")
