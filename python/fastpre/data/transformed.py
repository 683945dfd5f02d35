"""Folders with a fused transform: their images as far as a loader can leave the rest to its decoding threads."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import torch
from torch.utils.data import ConcatDataset, Subset

from ..augment import Compose, Draw
from ..errors import ImageError
from ..spec import Spec
from ..transforms import DecodeResizeNormalize, FusedTransform, LazyImage
from ..transforms.files import read_image
from .sources.files import file_sample

__all__ = ["Fused", "Ready", "Waiting", "begin", "prescribed", "transform_of"]

Fused: TypeAlias = DecodeResizeNormalize | FusedTransform
JPEGS = (".jpg", ".jpeg")


class Waiting(NamedTuple):
    """A JPEG for which everything random is drawn; to be decoded and normalized.

    Attributes:
        data: its bytes.
        name: its path.
        draw: its geometry.
    """

    data: bytes
    name: str | None
    draw: Draw


class Ready(NamedTuple):
    """An image whose transform had steps that work on pixels, or that is no JPEG.

    Attributes:
        tensor: (C, H, W), what the transform gave.
        name: its path.
    """

    tensor: torch.Tensor
    name: str | None


def begin(transform: Fused, path: str) -> Any:
    """What a sample's image is on its way to the decoding threads: a path, bytes, `Waiting`, `Ready` or an error.

    Draws are made here, one image after the other, as torchvision's datasets make them.
    """
    # An augmentation of ours is drawn later, by the sample's seed, which needs a JPEG.
    if isinstance(transform, DecodeResizeNormalize) and (transform.augment or path.lower().endswith(JPEGS)):
        return file_sample(path)
    try:
        source = read_image(path)
        if isinstance(transform, DecodeResizeNormalize):
            return source if isinstance(source, bytes) else Ready(transform(source), path)
        image = transform.deferred(source)
    except ImageError as error:
        return type(error)(error.reason, None, path)
    except OSError:
        return path  # the decoder fails on it too, and makes that the one image's error
    except Exception as error:
        if hasattr(error, "add_note"):
            error.add_note(f"while {path} was transformed")
        raise
    if isinstance(image, LazyImage) and image.draw is not None:
        return Waiting(image.encoded.item, path, image.draw)
    if not isinstance(image, torch.Tensor) or image.dim() != 3:
        shape = tuple(image.shape) if isinstance(image, torch.Tensor) else type(image).__name__
        raise TypeError(f"{path}: the transform must end with a (C, H, W) tensor, got {shape}")
    return Ready(image.as_subclass(torch.Tensor), path)


def transform_of(dataset: Any) -> Fused | None:
    """The fused transform of a folder, or of the folders that a `Subset` or `ConcatDataset` is made of.

    Raises:
        ValueError: folders with different transforms.
    """
    if type(dataset) is Subset:
        return transform_of(dataset.dataset)
    if type(dataset) is ConcatDataset:
        found = [transform_of(part) for part in dataset.datasets]
        if any(transform is not found[0] for transform in found):
            raise ValueError("the folders of a ConcatDataset must have the same transform, or none")
        return found[0]
    transform = getattr(dataset, "transform", None)
    return transform if isinstance(transform, (DecodeResizeNormalize, FusedTransform)) else None


def prescribed(transform: Fused) -> tuple[Spec, Compose | None]:
    """What a loader has to do: the Spec, and the augmentation that it draws.

    Raises:
        ValueError: a transform that does not end with a tensor.
    """
    if transform.spec is None:
        raise ValueError("the dataset's transform must end with a tensor: append torchvision.transforms.ToTensor()")
    return transform.spec, transform.augment if isinstance(transform, DecodeResizeNormalize) else None
