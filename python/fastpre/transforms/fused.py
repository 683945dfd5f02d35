"""Whole transforms, random ones too: their geometry fused with decoding, their own code for what is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import PIL.Image
import torch
from torch.utils import _pytree as pytree

from .._backend.lazy_torch import outside_graphs
from ..interop.torchvision import Parts
from ..preprocessor import Preprocessor
from ..spec import Spec
from .lazy_image import LazyImage, open_image

__all__ = ["FusedTransform"]

# Steps of torchvision and timm that ask an image for crops, resizes and flips alone; for `repr`.
GEOMETRY: Final = frozenset(
    {
        *("CenterCrop", "FixedSizeCrop", "RandomCrop", "RandomHorizontalFlip", "RandomIoUCrop", "RandomResize"),
        *("RandomResizedCrop", "RandomResizedCropAndInterpolation", "RandomShortestSize", "RandomVerticalFlip"),
        *("Resize", "ResizeKeepRatio", "ScaleJitter", "RGB"),
    }
)
SHOWN: Final = 120  # characters of a step in `repr`


class FusedTransform(torch.nn.Module):
    """A torchvision or timm transform that decodes, and decodes only what its crops leave.

    Made by `fuse`. Its steps run as they are, on an image that is not decoded yet (`LazyImage`): what they draw, from
    whichever generator, is what they draw without fastpre. The first step that needs pixels gets them. Conversion to
    a tensor, scaling and normalizing are fused, with decoding too if no step has asked for pixels before. The result
    equals the original's on `PIL.Image.open(f).convert("RGB")` to the last bit.

    Called as the original: with an image, or (torchvision's v2) with an image and its targets in any nesting: boxes,
    masks and key points as `torchvision.tv_tensors` follow the image. The image is a JPEG (bytes-like, a path, an open
    file, a dict of "bytes" and "path") or a PIL image; among targets, the first leaf that is bytes, a path object or a
    PIL image.

    Raises, when called:
        ImageError: the JPEG cannot be decoded.
        TypeError: there is no image.
    """

    def __init__(self, parts: Parts, num_threads: int | None = None, exif_orientation: bool = False) -> None:
        super().__init__()
        self.parts = parts
        self.num_threads = num_threads
        self.exif_orientation = exif_orientation
        self.spec = None if parts.fields is None else Spec(**parts.fields).replace(exif_orientation=exif_orientation)

    @outside_graphs
    def forward(self, *inputs: Any) -> Any:
        """See the class."""
        sample = self.geometry(*inputs)
        return _run(self.parts.after, self._ended(sample, len(inputs) > 1), len(inputs) > 1)

    def geometry(self, *inputs: Any) -> Any:
        """The sample after the steps on the PIL image, which may still be a `LazyImage`."""
        if len(inputs) == 1 and _is_image(inputs[0]):
            return _run(self.parts.image, self._opened(inputs[0]), False)
        sample = inputs if len(inputs) > 1 else inputs[0]
        leaves, structure = pytree.tree_flatten(sample)
        place = next((i for i, leaf in enumerate(leaves) if _is_image(leaf) and not isinstance(leaf, str)), None)
        if place is None:
            raise TypeError(f"expected a JPEG's bytes, a path or a PIL image, got {type(inputs[0]).__name__}")
        leaves[place] = self._opened(leaves[place])
        return _run(self.parts.image, pytree.tree_unflatten(leaves, structure), len(inputs) > 1)

    def deferred(self, image: Any) -> LazyImage | Any:
        """One image up to where decoding and normalizing are all that is left, which `spec` then says; else its result.

        For loaders: what is random has been drawn, and many images can be decoded in one call.
        """
        sample = self.geometry(image)
        if isinstance(sample, LazyImage) and sample.draw is not None and self.spec is not None and not self.parts.after:
            return sample
        return _run(self.parts.after, self._ended(sample, False), False)

    def _opened(self, image: Any) -> PIL.Image.Image:
        if isinstance(image, PIL.Image.Image):
            return image
        return open_image(image, exif_orientation=self.exif_orientation, num_threads=self.num_threads)

    def _ended(self, sample: Any, several: bool) -> Any:
        """The sample with its image as the ending makes it."""
        if self.spec is None:
            return sample
        if isinstance(sample, PIL.Image.Image):
            tensor = self._tensor(sample)
            return _run(self.parts.ending, sample, several) if tensor is None else self._typed(tensor)
        leaves, structure = pytree.tree_flatten(sample)
        place = next((i for i, leaf in enumerate(leaves) if isinstance(leaf, PIL.Image.Image)), None)
        tensor = None if place is None else self._tensor(leaves[place])
        if place is None or tensor is None:
            return _run(self.parts.ending, sample, several)
        # The targets go through the ending's own steps, with one pixel in the image's place.
        leaves[place] = PIL.Image.new("RGB", (1, 1))
        ended = _run(self.parts.ending, pytree.tree_unflatten(leaves, structure), several)
        leaves, structure = pytree.tree_flatten(ended)
        leaves[place] = self._typed(tensor)
        return pytree.tree_unflatten(leaves, structure)

    def _tensor(self, image: PIL.Image.Image) -> torch.Tensor | None:
        """The image by the Spec; None for a mode that it does not express."""
        assert self.spec is not None
        if isinstance(image, LazyImage) and image.draw is not None:
            tensor: torch.Tensor = image.preprocessed(self.spec)
            return tensor
        if image.mode != "RGB":
            return None
        return Preprocessor(self.spec).run_pixels(np.asarray(image))  # type: ignore[no-any-return]

    def _typed(self, tensor: torch.Tensor) -> torch.Tensor:
        """As the ending's last step would wrap it."""
        names = [type(step).__name__ for step in self.parts.ending]
        if "ToImage" not in names or "ToPureTensor" in names:
            return tensor
        from torchvision import tv_tensors  # type: ignore[import-untyped]

        return tv_tensors.Image(tensor)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Which steps are fused, and which run as they are."""
        image = [*self.parts.image]
        count = next((i for i, step in enumerate(image) if type(step).__name__ not in GEOMETRY), len(image))
        pixels = image[count:]
        lines = [("fused with decoding", [*image[:count], *([] if pixels else self.parts.ending)])]
        lines += [("on decoded pixels", pixels), ("fused", self.parts.ending if pixels else [])]
        lines += [("on the tensor", self.parts.after)]
        texts = [f"{what}: {', '.join(map(_shown, steps))}" for what, steps in lines if steps]
        return "\n".join(["decoding", *texts] if not image[:count] and pixels else texts)


def _is_image(value: Any) -> bool:
    """True for what `open_image` or a transform takes as an image, judged without opening it."""
    if isinstance(value, Mapping):
        return bool(value) and value.keys() <= {"bytes", "path"}
    if isinstance(value, torch.Tensor):
        return value.dim() == 1 and value.dtype == torch.uint8
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype == np.uint8
    readable = callable(getattr(value, "read", None))
    known = isinstance(value, (bytes, bytearray, memoryview, str, PIL.Image.Image)) or hasattr(value, "__fspath__")
    return known or readable or (hasattr(value, "__buffer__") and not isinstance(value, (int, float)))


def _shown(step: Any) -> str:
    """A step on a line: policies of a hundred operations are cut."""
    text = " ".join(repr(step).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}...)"


def _run(steps: list[Any], sample: Any, several: bool) -> Any:
    for step in steps:
        sample = step(*sample) if several else step(sample)
    return sample
