"""One image in, one (C, H, W) tensor out, by a Spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from .. import errors
from .._backend import tensor_memory
from .._backend.lazy_torch import outside_graphs
from .._backend.signatures import shows_fields_of
from ..augment import CannotDraw
from ..augment.compose import Augment, compose
from ..augment.random import Random
from ..preprocessor import Preprocessor, start_of
from ..spec import Spec
from ..typing import Image, SpecFields

if TYPE_CHECKING:
    import PIL.Image
    from typing_extensions import Unpack

__all__ = ["DecodeResizeNormalize"]


class DecodeResizeNormalize(torch.nn.Module):
    """One image to one tensor: a torchvision transform that also decodes.

    Args:
        spec: what to do; or give `Spec`'s fields as keywords.
        augment: random geometry, as `Preprocessor.run` takes it; drawn from torch's default generator.
        num_threads: threads for one image; the more than one help with a large one only. None: 1 inside a DataLoader
            worker, else the CPUs that this process may use.

    The input is a JPEG (whatever `Preprocessor.run` takes: bytes-like, a path, an open file, ...), a PIL image, or a
    uint8 (C, H, W) tensor with 1 or 3 channels; the latter two skip the decoding and are otherwise treated
    alike. The result is (C, out_h, out_w) of the spec's dtype.

    Raises:
        ImageError: a JPEG that cannot be decoded.
        TypeError: an input of another kind.
    """

    @shows_fields_of(Spec)
    def __init__(
        self,
        spec: Spec | None = None,
        *,
        augment: Augment | Sequence[Any] | None = None,
        num_threads: int | None = None,
        **fields: Unpack[SpecFields],
    ) -> None:
        super().__init__()
        if spec is not None and fields:
            raise TypeError(f"give a Spec or its fields, not both: {', '.join(fields)}")
        self.spec = Spec(**fields) if spec is None else spec
        self.augment = None if augment is None else compose(augment)
        self.num_threads = num_threads
        self._preprocessor = Preprocessor(self.spec, num_threads=num_threads)

    @outside_graphs
    def forward(self, image: Image | PIL.Image.Image) -> torch.Tensor:
        """See the class."""
        if isinstance(image, torch.Tensor) and image.dim() == 3:
            return self._from_pixels(_tensor_pixels(image))
        if hasattr(image, "convert") and hasattr(image, "getbands"):
            return self._from_pixels(self._pil_pixels(image))
        try:
            return self._preprocessor([image], augment=self.augment)[0]
        except errors.ImageError as error:
            error.index = None  # there is one image: its place in a batch of one says nothing
            raise

    def __prepare_scriptable__(self) -> NoReturn:
        """What torch.jit.script asks of a module."""
        raise TypeError(
            f"{type(self).__name__} cannot be scripted: TorchScript knows no bytes and no PIL images. Script the model "
            "alone and write scripted(transform(image)[None]), or use torch.compile"
        )

    def extra_repr(self) -> str:
        """The Spec, inside `repr(module)`."""
        return repr(self.spec) if self.augment is None else f"{self.spec!r}, augment={self.augment!r}"

    def _pil_pixels(self, image: Any) -> np.ndarray[Any, Any]:
        if self.spec.exif_orientation:
            from PIL import ImageOps

            image = ImageOps.exif_transpose(image)
        pixels = np.asarray(image.convert("L" if self.spec.color == "L" else "RGB"))
        return pixels if pixels.ndim == 3 else pixels[:, :, None]

    def _from_pixels(self, pixels: np.ndarray[Any, Any]) -> torch.Tensor:
        if self.augment is None:
            return self._preprocessor.run_pixels(pixels)  # type: ignore[no-any-return]
        try:
            start = start_of(self.spec, self.augment).draw(*pixels.shape[:2])
            draws = self.augment.draw(start, self.spec.channels, Random())
        except CannotDraw as error:
            raise errors.UnsupportedImage(str(error)) from None
        views = [self._preprocessor.run_pixels(pixels, draw=draw) for draw in draws]
        return views[0] if self.augment.views == 1 else torch.stack(views)


def _tensor_pixels(image: torch.Tensor) -> np.ndarray[Any, Any]:
    if image.device.type != "cpu":
        raise TypeError(f"expected a CPU tensor, got one on {image.device}")
    tensor_memory.of(image, "the image", TypeError)
    if image.dtype != torch.uint8 or image.shape[0] not in (1, 3):
        raise TypeError(f"expected a uint8 (3, H, W) or (1, H, W) tensor, got {image.dtype} {tuple(image.shape)}")
    return image.detach().permute(1, 2, 0).numpy()
