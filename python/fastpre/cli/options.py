"""Command-line options that make a `Spec`, shared by the commands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from fastpre.spec import COLORS, DEFAULT_MAX_BYTES, DEFAULT_MAX_PIXELS, FIDELITIES, INTERPOLATIONS, Size, Spec

__all__ = ["json_option", "spec_options", "threads_option"]


class SizeType(click.ParamType):  # type: ignore[type-arg]
    """`256`, `480x640` (height x width) or `none`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size | None:
        """The int, (height, width) or None that `Spec` takes."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        if value.lower() == "none":
            return None
        numbers = value.lower().split("x")
        if len(numbers) > 2 or not all(n.isascii() and n.isdigit() for n in numbers):
            self.fail(f"{value!r} is neither N, HEIGHTxWIDTH nor none", param, ctx)
        return int(numbers[0]) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1]))


class ChannelsType(click.ParamType):  # type: ignore[type-arg]
    """`imagenet`, `none`, one number, or one number per channel with commas between."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The string, tuple, number or None that `Spec` takes."""
        if not isinstance(value, str):
            return value
        if value.lower() in ("imagenet", "none"):
            return None if value.lower() == "none" else "imagenet"
        try:
            numbers = tuple(float(n) for n in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is neither imagenet, none nor numbers with commas between", param, ctx)
        return numbers[0] if len(numbers) == 1 else numbers


OPTIONS = (
    click.option(
        "--resize",
        type=SizeType(),
        default="256",
        show_default=True,
        metavar="N|HxW|none",
        help="The shorter side, or exactly height x width.",
    ),
    click.option(
        "--crop",
        type=SizeType(),
        default="224",
        show_default=True,
        metavar="N|HxW|none",
        help="Centre crop: a square, or height x width.",
    ),
    click.option(
        "--interpolation",
        type=click.Choice(INTERPOLATIONS),
        default="bilinear",
        show_default=True,
        help="Pillow's filter, antialiased.",
    ),
    click.option(
        "--mean",
        type=ChannelsType(),
        default="imagenet",
        show_default=True,
        metavar="A,B,C",
        help="Per channel on the [0, 1] scale; none (both): stay in [0, 1].",
    ),
    click.option(
        "--std",
        type=ChannelsType(),
        default="imagenet",
        show_default=True,
        metavar="A,B,C",
        help="Per channel on the [0, 1] scale.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "float16", "bfloat16", "uint8"]),
        default="float32",
        show_default=True,
        help="uint8 leaves normalization out.",
    ),
    click.option("--channels-last", is_flag=True, help="Channels innermost in memory."),
    click.option("--color", type=click.Choice(COLORS), default="RGB", show_default=True),
    click.option("--exif-orientation", is_flag=True, help="Turn the picture upright as its EXIF tag says."),
    click.option(
        "--fidelity",
        type=click.Choice(FIDELITIES),
        default="exact",
        show_default=True,
        help="fast may leave what it does not need unchecked.",
    ),
    click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=DEFAULT_MAX_PIXELS,
        show_default=True,
        help="Refuse larger images, before any memory is asked for.",
    ),
    click.option(
        "--max-bytes",
        type=click.IntRange(min=1),
        default=DEFAULT_MAX_BYTES,
        show_default=True,
        help="Refuse larger files.",
    ),
)

threads_option = click.option(
    "--threads", type=click.IntRange(min=1), default=None, help="Threads; default: the CPUs that this process may use."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable result on stdout.")


def spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command all preprocessing options, and passes them on as one argument, `spec`."""

    @functools.wraps(command)
    def with_spec(*args: Any, **values: Any) -> Any:
        names = (
            "resize",
            "crop",
            "interpolation",
            "mean",
            "std",
            "dtype",
            "color",
            "exif_orientation",
            "fidelity",
            "max_pixels",
            "max_bytes",
        )
        fields = {name: values.pop(name) for name in names}
        layout = "channels_last" if values.pop("channels_last") else "contiguous_format"
        try:
            spec = Spec(memory_format=layout, **fields)
        except (TypeError, ValueError) as e:
            raise click.UsageError(str(e)) from e
        return command(*args, spec=spec, **values)

    decorated: Callable[..., Any] = with_spec
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated
