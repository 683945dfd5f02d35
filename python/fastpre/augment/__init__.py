"""Random crops and flips that are fused with decoding: only the pixels that they need are decoded.

augment = Compose([RandomResizedCrop(224), RandomHorizontalFlip()])
tensor = Preprocessor(spec)(images, augment=augment)

The steps have the arguments, defaults and draws of torchvision's transforms of the same names: after
`torch.manual_seed(n)` both draw the same rectangles and flips, and tensors are equal to torchvision's on PIL images.
"""

from .compose import Compose
from .draw import Box, CannotDraw, Draw, Erasure
from .erasing import RandomErasing
from .steps import Augmentation, Pad, RandomCrop, RandomHorizontalFlip, RandomResizedCrop, RandomVerticalFlip
from .views import FiveCrop, TenCrop

__all__ = [
    "Augmentation",
    "Box",
    "CannotDraw",
    "Compose",
    "Draw",
    "Erasure",
    "FiveCrop",
    "Pad",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "TenCrop",
]
