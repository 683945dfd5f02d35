"""A JPEG as a Pillow image that is decoded when its pixels are asked for, and then no more of it than they need.

Transforms of PIL images call `crop`, `resize` and `transpose` of it, with whatever numbers they draw. Here these only
note what was asked; so the transforms run as they are, draws included, and their geometry is fused with decoding.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import PIL.Image

from .. import _core, errors
from .._backend import sources
from .._backend.call import Call
from ..augment import CannotDraw, Draw
from ..augment.batch import Drawn
from ..preprocessor import Preprocessor
from ..spec import Spec

if TYPE_CHECKING:
    from ..typing import Image

__all__ = ["LazyImage", "open_image"]

FILTERS = {
    PIL.Image.Resampling.NEAREST: "nearest",
    PIL.Image.Resampling.BOX: "box",
    PIL.Image.Resampling.BILINEAR: "bilinear",
    PIL.Image.Resampling.HAMMING: "hamming",
    PIL.Image.Resampling.BICUBIC: "bicubic",
    PIL.Image.Resampling.LANCZOS: "lanczos",
}
# (vertically, horizontally)
FLIPS = {
    PIL.Image.Transpose.FLIP_LEFT_RIGHT: (False, True),
    PIL.Image.Transpose.FLIP_TOP_BOTTOM: (True, False),
    PIL.Image.Transpose.ROTATE_180: (True, True),
}
PIXELS = Spec(resize=None, crop=None, dtype="uint8", mean=None, std=None, memory_format="channels_last")


class Encoded(NamedTuple):
    """A JPEG that waits.

    Attributes:
        item: as the core takes it.
        name: how to call it in a message.
        exif_orientation, num_threads: as `open_image`.
    """

    item: Any
    name: str | None
    exif_orientation: bool
    num_threads: int | None


class LazyImage(PIL.Image.Image):
    """What `open_image` gives: a Pillow image in RGB, not decoded yet.

    `crop`, `resize`, flips and `convert("RGB")` give another such image, as long as one crop, one resize and one
    crop behind it say what is left; everything else decodes what is needed by then, and goes on as Pillow does. Its
    pixels are, to the last bit, those of the same steps on `PIL.Image.open(source).convert("RGB")`.

    Attributes:
        encoded: the JPEG.
        draw: what was asked for so far; None once it is decoded.
    """

    format = "JPEG"
    format_description = "JPEG (ISO 10918)"

    def __init__(self, encoded: Encoded, draw: Draw) -> None:
        super().__init__()
        self._mode = "RGB"
        self._size = (draw.size[1], draw.size[0])
        self.encoded = encoded
        self.draw: Draw | None = draw
        self._info: dict[Any, Any] | None = None

    def _with(self, draw: Draw) -> LazyImage:
        image = LazyImage(self.encoded, draw)
        image._info = None if self._info is None else dict(self._info)
        return image

    @property
    def info(self) -> dict[Any, Any]:
        """What Pillow reads beside the pixels (EXIF, ICC profile, density), read when it is asked for."""
        if self._info is None:
            with PIL.Image.open(io.BytesIO(bytes(memoryview(self.encoded.item)))) as image:
                self._info = dict(image.info)
            if self.encoded.exif_orientation:
                self._info.pop("exif", None)
        return self._info

    @info.setter
    def info(self, value: dict[Any, Any]) -> None:
        self._info = value

    def __repr__(self) -> str:
        state = "decoded" if self.draw is None else "not decoded"
        name = f" {self.encoded.name}" if self.encoded.name else ""
        return f"<LazyImage {self.width}x{self.height} {state}{name}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """As a JPEG where it waits, else as Pillow's images."""
        if self.draw is None:
            return PIL.Image.frombytes, (self.mode, self.size, self.tobytes())
        data = self.encoded.item
        item = data if isinstance(data, (bytes, str)) else bytes(memoryview(data))
        return LazyImage, (self.encoded._replace(item=item), self.draw)

    def load(self) -> Any:
        """Decodes, once.

        Raises:
            ImageError: it cannot be decoded.
        """
        if self.draw is not None:
            tensor = self.preprocessed(PIXELS)
            self.im = PIL.Image.fromarray(tensor.permute(1, 2, 0).numpy()).im
            self.draw = None  # last: another thread may be here
        return super().load()

    def preprocessed(self, spec: Spec) -> Any:
        """What was asked for so far, and then the Spec's normalization, as a (C, H, W) tensor; in one pass.

        Raises:
            ImageError: it cannot be decoded.
        """
        item, name, exif_orientation, num_threads = self.encoded
        if exif_orientation:
            spec = spec.replace(exif_orientation=True)
        preprocessor = Preprocessor(spec, num_threads=num_threads)
        call = Call.of(num_threads, 0.0, spec.dtype_name)
        try:
            drawn = Drawn([item], [self.draw], 1)
            return preprocessor._execute(drawn, [name], None, "raise", call).tensor[0]
        except errors.ImageError as error:
            error.index = None  # there is one image: its place in a batch of one says nothing
            raise

    def crop(self, box: tuple[float, float, float, float] | None = None) -> PIL.Image.Image:
        """As Pillow's; outside of the image is black."""
        if box is None:
            return self.copy()
        left, top, right, lower = (round(v) for v in box)
        if self.draw is not None and left < right and top < lower:
            try:
                return self._with(self.draw.cropped(top, left, lower - top, right - left))
            except CannotDraw:
                pass
        return super().crop(box)

    def resize(
        self,
        size: Any,
        resample: int | None = None,
        box: tuple[float, float, float, float] | None = None,
        reducing_gap: float | None = None,
    ) -> PIL.Image.Image:
        """As Pillow's."""
        name = FILTERS.get(PIL.Image.Resampling.BICUBIC if resample is None else resample)  # type: ignore[call-overload]
        whole = box is None and reducing_gap is None
        if self.draw is not None and name is not None and whole and min(size) > 0:
            try:
                return self._with(self.draw.resized_to(int(size[1]), int(size[0]), name))
            except CannotDraw:
                pass
        return super().resize(size, resample, box, reducing_gap)

    def thumbnail(self, *args: Any, **kwargs: Any) -> None:
        """As Pillow's, in place."""
        self.load()
        super().thumbnail(*args, **kwargs)

    def transpose(self, method: PIL.Image.Transpose) -> PIL.Image.Image:
        """As Pillow's; flips and half turns wait, quarter turns decode."""
        if self.draw is not None and method in FLIPS:
            return self._with(self.draw.flipped_by(*FLIPS[method]))
        return super().transpose(method)

    def convert(self, mode: str | None = None, *args: Any, **kwargs: Any) -> PIL.Image.Image:
        """As Pillow's; in RGB it is already."""
        if self.draw is not None and mode == "RGB" and not args and not kwargs:
            return self.copy()
        return super().convert(mode, *args, **kwargs)

    def copy(self) -> PIL.Image.Image:
        """As Pillow's."""
        return super().copy() if self.draw is None else self._with(self.draw)


def open_image(source: Image, *, exif_orientation: bool = False, num_threads: int | None = None) -> LazyImage:
    """A JPEG as a Pillow image in RGB that decodes only what transforms leave of it: a dataset's `loader`.

    `torchvision.datasets.ImageFolder(root, transform, loader=fastpre.transforms.open_image)` gives what it gives
    without `loader`, draws included, for any transform of PIL images. `fuse(transform)` also fuses the normalization.

    Args:
        source: whatever `Preprocessor.run` takes as an image. Of a file the bytes are read at once.
        exif_orientation: True: as `PIL.ImageOps.exif_transpose` after opening.
        num_threads: None: 1 inside a DataLoader worker, else the CPUs that this process may use.

    Raises:
        ImageError: the file cannot be read, or its header is broken, unsupported or over a limit.
    """
    compiled = (PIXELS.replace(exif_orientation=True) if exif_orientation else PIXELS).compiled()
    name = sources.name(source)
    item = sources.source(source, 0)
    if isinstance(item, str):
        item = _core.read_files([item], PIXELS.max_bytes, 1)[0]
    size = _core.image_sizes(compiled, [item])[0]
    if size is None:
        _refuse(item, name, compiled)
    assert size is not None
    return LazyImage(Encoded(item, name, exif_orientation, num_threads), Draw.of(*size))


def _refuse(item: Any, name: str | None, compiled: Any) -> None:
    """Raises what is wrong with a header."""
    try:
        _core.plan(item, compiled)
    except errors.ImageError as error:
        error.locate(name, None)
        raise
    raise errors.CorruptImage("its header is broken", None, os.fsdecode(name) if name else None)
