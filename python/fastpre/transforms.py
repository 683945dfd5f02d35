"""Drop-ins for torchvision: one image in, one (C, H, W) tensor out.

dataset = torchvision.datasets.ImageFolder(root, transform=DecodeResizeNormalize(), loader=read_bytes)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch

from . import _core, errors
from ._backend import output, tensor_memory
from ._backend.lazy_torch import outside_graphs
from ._backend.signatures import shows_fields_of
from .interop import torchvision
from .interop.torchvision import InexactFusionWarning
from .preprocessor import Preprocessor
from .spec import Spec, layout
from .typing import Image, SpecFields

if TYPE_CHECKING:
    import PIL.Image
    from typing_extensions import Unpack

__all__ = ["DecodeResizeNormalize", "InexactFusionWarning", "fuse", "read_bytes"]


class FileBytes(bytes):
    """A file's bytes that know where they come from, so that an error can say so.

    Attributes:
        name: the path.
    """

    name: str


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """A dataset `loader` that leaves the decoding to the transform, which is to be `fuse(...)`'s.

    Returns:
        bytes: the file's, with the path as `.name`.
    """
    data = FileBytes(Path(path).read_bytes())
    data.name = os.fsdecode(path)
    return data


class DecodeResizeNormalize(torch.nn.Module):
    """One image to one tensor: a torchvision transform that also decodes.

    Args:
        spec: what to do; or give `Spec`'s fields as keywords.
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
        self, spec: Spec | None = None, *, num_threads: int | None = None, **fields: Unpack[SpecFields]
    ) -> None:
        super().__init__()
        if spec is not None and fields:
            raise TypeError(f"give a Spec or its fields, not both: {', '.join(fields)}")
        self.spec = Spec(**fields) if spec is None else spec
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
            return self._preprocessor([image])[0]
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
        return repr(self.spec)

    def _pil_pixels(self, image: Any) -> np.ndarray[Any, Any]:
        if self.spec.exif_orientation:
            from PIL import ImageOps

            image = ImageOps.exif_transpose(image)
        pixels = np.asarray(image.convert("L" if self.spec.color == "L" else "RGB"))
        return pixels if pixels.ndim == 3 else pixels[:, :, None]

    def _from_pixels(self, pixels: np.ndarray[Any, Any]) -> torch.Tensor:
        compiled = self.spec.compiled()
        height, width = pixels.shape[:2]
        if height == 0 or width == 0:
            raise ValueError(f"an image of {height}x{width} pixels")
        size = _core.geometry_for(compiled, height, width)[1][2:]
        out = output.allocate(layout(self.spec, 1, size), pin_memory=False)
        record = _core.run_pixels(compiled, pixels, out.data_ptr, size, out.strides[1:])
        if record.error is not None:
            raise errors.from_record(record.error, record.reason, None, None)
        tensor: torch.Tensor = out.value[0]
        return tensor


def _tensor_pixels(image: torch.Tensor) -> np.ndarray[Any, Any]:
    if image.device.type != "cpu":
        raise TypeError(f"expected a CPU tensor, got one on {image.device}")
    tensor_memory.of(image, "the image", TypeError)
    if image.dtype != torch.uint8 or image.shape[0] not in (1, 3):
        raise TypeError(f"expected a uint8 (3, H, W) or (1, H, W) tensor, got {image.dtype} {tuple(image.shape)}")
    return image.detach().permute(1, 2, 0).numpy()


def fuse(transform: Any, *, num_threads: int | None = None) -> DecodeResizeNormalize:
    """The same torchvision transform, fused with the decoding.

    Accepts a classification preset (`weights.transforms()`) or a `Compose` (v1 or v2) of RGB, Grayscale (one channel,
    before Resize), Resize, CenterCrop, ToTensor / PILToTensor / ToImage, ConvertImageDtype / ToDtype and Normalize. A
    function or `Lambda` that does `image.convert("RGB")` and nothing else, as in CLIP's transform, may stand anywhere
    before ToTensor.

    The result equals the original's on `PIL.Image.open(f).convert("RGB")`. Without that conversion the original may
    resize a CMYK image as CMYK and differ.

    Raises:
        ValueError: a step that cannot be expressed, by name, and what to write instead.
        TypeError: no torchvision transform at all.

    Warns:
        InexactFusionWarning: the original resizes a tensor, not a PIL image.
    """
    return DecodeResizeNormalize(Spec(**torchvision.fields(transform)), num_threads=num_threads)
