"""What one call gave: the tensor, and what became of each image."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Generic, Protocol

from . import _core, errors
from ._backend.lazy_torch import name_of

if TYPE_CHECKING:
    import torch
    from typing_extensions import TypeVar

    # Without one, as in `def show(result: Result)`, what calls without a NumPy `out` give.
    T = TypeVar("T", default=torch.Tensor)
else:
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["ImageResult", "Result"]

ERRORS_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Fields:
    """A `_core.Record` as plain data, which pickles. Defaults are what pickles of versions without a field get."""

    ok: bool
    truncated: bool = False
    error: str | None = None
    reason: str = ""
    width: int = 0
    height: int = 0
    decoder: str = ""
    declined: str = ""
    retried: str = ""
    target: str = ""
    peak_bytes: int = 0
    uploaded_bytes: int = 0
    stages_us: dict[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, record: _core.Record | Fields) -> Fields:
        """A copy of the record."""
        return cls(**{field.name: getattr(record, field.name) for field in dataclasses.fields(cls)})


class Drawing(Protocol):
    """A `fastpre.augment.Draw`."""

    @property
    def crop(self) -> tuple[float, float, float, float]:
        """What the output shows."""

    @property
    def flipped(self) -> tuple[bool, bool]:
        """(vertically, horizontally)."""


class ImageResult:
    """What became of one image of the batch. It pickles, as plain data.

    Attributes:
        index: its position in the batch.
        draws: with `augment`, the `fastpre.augment.Draw` of each view; empty without, and where there is no image.
    """

    __slots__ = ("_name", "_record", "draws", "index")

    def __init__(
        self, index: int, record: _core.Record | Fields, name: str | None, draws: tuple[Drawing, ...] = ()
    ) -> None:
        self.index = index
        self.draws = draws
        self._record = record
        self._name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return ImageResult, (self.index, Fields.of(self._record), self._name, self.draws)

    @property
    def crop(self) -> tuple[float, float, float, float] | None:
        """(top, left, height, width) that was drawn: the part of the displayed image that the output shows, in pixels.

        Before any flip; past the image where the output is padded. None without `augment`; see `draws` for the rest.
        """
        return self.draws[0].crop if self.draws else None

    @property
    def flipped(self) -> bool:
        """True if the output is mirrored left to right."""
        return self.draws[0].flipped[1] if self.draws else False

    @property
    def ok(self) -> bool:
        """True if its slot holds the image."""
        return self._record.ok

    @property
    def truncated(self) -> bool:
        """True if it is ok, but only what arrived of it: `Spec(truncated="error")` would have refused it.

        With fidelity="fast" only as far as the stream was read, which is down to the last row that is needed.
        """
        return self._record.truncated

    @property
    def error(self) -> Exception | None:
        """The `ImageError` that says what is wrong, or None."""
        if self._record.ok:
            return None
        assert self._record.error is not None
        return errors.from_record(self._record.error, self._record.reason, self.index, self._name)

    @property
    def width(self) -> int:
        """Pixels, as displayed (after EXIF orientation where that was asked for); 0 if unknown."""
        return self._record.width

    @property
    def height(self) -> int:
        """Pixels, as displayed; 0 if unknown."""
        return self._record.height

    @property
    def decoder(self) -> str:
        """The decoder that ran: "fastpre", "libjpeg-turbo", "nvjpeg-hardware" or "nvjpeg-cuda"; empty if none did."""
        return self._record.decoder

    @property
    def declined(self) -> str:
        """Why fastpre's own decoder left the image to libjpeg-turbo; empty if it did not."""
        return self._record.declined

    @property
    def retried(self) -> str:
        """Why the CPU decoded the image after a GPU decoder had taken it; empty if none had or all went well."""
        return self._record.retried

    @property
    def target(self) -> str:
        """What resampled it: an instruction set such as "AVX2", or "CUDA"."""
        return self._record.target

    @property
    def stages_us(self) -> dict[str, float]:
        """Microseconds of one thread by stage: read, header, decode, resample, normalize."""
        return self._record.stages_us

    @property
    def scratch_bytes(self) -> int:
        """Memory of fastpre's own buffers while this image was processed, without the decoder's."""
        return self._record.peak_bytes

    @property
    def uploaded_bytes(self) -> int:
        """Bytes that went to the device for this image alone: coefficients, 8-bit pixels, or (nvJPEG) the stream."""
        return self._record.uploaded_bytes

    def __repr__(self) -> str:
        if not self.ok:
            return f"ImageResult({self.index}, error={self.error!r})"
        state = "ok, truncated" if self.truncated else "ok"
        return f"ImageResult({self.index}, {state}, {self.width}x{self.height}, {self.decoder})"


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Result(Generic[T]):
    """A batch's tensor, and what became of each image.

    It pickles if the tensor does. Two results are equal if they are the same object.

    Attributes:
        tensor: (N, C, H, W), a torch.Tensor, or the NumPy array given as `out`; with on_error="skip", N counts
            the images that are ok.
        images: one `ImageResult` per input, in input order.
        indices: the input index of each row of `tensor`.
    """

    tensor: T
    images: list[ImageResult]
    indices: list[int]

    @property
    def ok(self) -> bool:
        """True if no image failed."""
        return all(image.ok for image in self.images)

    @property
    def errors(self) -> list[Exception]:
        """The failed images' errors, in input order."""
        return [image.error for image in self.images if image.error is not None]

    def __repr__(self) -> str:
        tensor: Any = self.tensor
        what = f"{name_of(tensor.dtype)} {tuple(tensor.shape)} on {getattr(tensor, 'device', 'cpu')}"
        failed = [image for image in self.images if not image.ok]
        truncated = sum(image.truncated for image in self.images)
        some = f" ({truncated} truncated)" if truncated else ""
        lines = [f"Result({what}, {len(self.images) - len(failed)} ok{some}, {len(failed)} failed)"]
        lines += [f"  {image.error}" for image in failed[:ERRORS_SHOWN]]
        if len(failed) > ERRORS_SHOWN:
            lines.append(f"  and {len(failed) - ERRORS_SHOWN} more: see .errors")
        return "\n".join(lines)
