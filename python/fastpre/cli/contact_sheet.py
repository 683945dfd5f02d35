"""The contact sheet: what the model will see, with file names, on one page."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import numpy as np
import numpy.typing as npt

from .errors import Unusable
from .files import printable

if TYPE_CHECKING:
    from PIL import Image, ImageFont

__all__ = ["MOST_PICTURES", "check_preview", "contact_sheet"]

MOST_PICTURES = 64
CELL = 192  # pixels: the longer side of a picture on the sheet
LEAST_CELL = 48  # narrower ones have no room for a legible name
GAP = 12
CAPTION = 18  # height of a name
PAPER, INK = (250, 250, 250), (60, 60, 60)


def check_preview(path: str) -> None:
    """Says what is wrong before an hour of work is lost.

    Raises:
        click.UsageError: the name is no PNG's.
        Unusable: Pillow is not installed.
    """
    if not path.lower().endswith(".png"):
        raise click.UsageError(f"--preview {printable(path)}: it is a PNG, name it .png")
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise Unusable("--preview needs Pillow: pip install 'fastpre[preview]'") from None


def contact_sheet(pictures: Sequence[tuple[str, npt.NDArray[np.uint8]]]) -> Image.Image:
    """A grid, near to 3:2, of pictures with their names beneath.

    Args:
        pictures: names, and uint8 (H, W, 3) or (H, W) pixels, all of one size.
    """
    from PIL import Image, ImageDraw

    height, width = pictures[0][1].shape[:2]
    scale = min(1.0, CELL / max(height, width))
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    step_x = max(w, LEAST_CELL) + GAP
    captions = CAPTION if w >= LEAST_CELL else 0
    step_y = h + captions + GAP
    columns = min(len(pictures), max(1, round(math.sqrt(1.5 * len(pictures) * step_y / step_x))))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * step_x + GAP, rows * step_y + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = _font()
    for i, (name, pixels) in enumerate(pictures):
        x, y = GAP + i % columns * step_x, GAP + i // columns * step_y
        picture = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
        sheet.paste(picture.resize((w, h), Image.Resampling.LANCZOS) if scale < 1 else picture, (x, y))
        if captions:
            draw.text((x, y + h + 3), _fitting(printable(os.path.basename(name)), w, font), fill=INK, font=font)
    return sheet


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(size=12)
    except (ImportError, TypeError):  # Pillow without FreeType, or before 10.1: its small bitmap font
        return ImageFont.load_default()


def _fitting(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text if it fits into `width` pixels, else with its middle left out."""
    if isinstance(font, _bitmap_font()):
        text = text.encode("latin-1", "replace").decode("latin-1")
    for kept in range(len(text), 1, -1):
        shown = text if kept == len(text) else f"{text[: kept // 2]}...{text[len(text) - (kept - kept // 2) :]}"
        if font.getlength(shown) <= width:
            return shown
    return ""


def _bitmap_font() -> type[ImageFont.ImageFont]:
    from PIL import ImageFont

    return ImageFont.ImageFont
