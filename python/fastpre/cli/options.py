"""Command-line options that make a `Spec`, one for each of its fields, shared by the commands."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import click
from click.core import ParameterSource

from fastpre import Preprocessor, Spec
from fastpre._backend.fields import COLORS, DTYPES, FIDELITIES, INTERPOLATIONS, PASS_ORDERS, RESCALES, TRUNCATED
from fastpre.typing import Size

from .command import SectionOption
from .errors import Unusable

__all__ = ["SizeType", "device_option", "field_options", "json_option", "spec_options", "threads_option"]

SECTION = "What to do with every image"


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


# Names and defaults are the fields' own, and most types follow from the defaults; here is what does not.
CHOICES: Mapping[str, tuple[str, ...]] = {
    "interpolation": INTERPOLATIONS,
    "dtype": DTYPES,
    "color": COLORS,
    "fidelity": FIDELITIES,
    "rescale": RESCALES,
    "pass_order": PASS_ORDERS,
    "truncated": TRUNCATED,
}
TYPES: Mapping[str, tuple[click.ParamType[Any], str]] = {
    "resize": (SizeType(), "N|HxW|none"),
    "crop": (SizeType(), "N|HxW|none"),
    "mean": (ChannelsType(), "A,B,C"),
    "std": (ChannelsType(), "A,B,C"),
    "max_size": (click.IntRange(min=1), "N"),
}
HELP: Mapping[str, str] = {
    "resize": "The shorter side, or exactly height x width.",
    "crop": "Centre crop: a square, or height x width.",
    "interpolation": "Pillow's filter, antialiased.",
    "mean": "Per channel on the [0, 1] scale; goes with --std. none (both): stay in [0, 1].",
    "std": "Per channel on the [0, 1] scale; goes with --mean.",
    "dtype": "uint8 leaves normalization out.",
    "memory_format": "Channels innermost in memory.",
    "color": "Channels and their order.",
    "exif_orientation": "Turn the picture upright as its EXIF tag says.",
    "fidelity": "fast reduces large images while decoding, within a published bound.",
    "max_pixels": "Refuse larger images, before any memory is asked for.",
    "max_output_pixels": "Refuse larger outputs, unless their images are as large.",
    "max_bytes": "Refuse larger files.",
    "max_work": "Refuse images of more pixels times scans: a small progressive file can ask for minutes.",
    "max_size": "Bound of the longer side where --resize is the shorter one.",
    "rescale": "x / 255 as torchvision's v1, or x * (1 / 255) as its v2; they differ in the last bit.",
    "truncated": "What a truncated image becomes: an error, or what arrived of it (Pillow's LOAD_TRUNCATED_IMAGES).",
    "pass_order": "Which resampling pass runs first; auto: as the installed Pillow does.",
}

threads_option = click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(min=1),
    default=None,
    help="Threads; default: the CPUs that this process may use.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Machine-readable result on stdout.")


def _checked_device(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        return Preprocessor(device=value).device
    except ImportError as e:
        raise Unusable(str(e)) from e
    except ValueError as e:
        raise click.BadParameter(f"{value!r} is none of cpu, cuda, cuda:N", ctx, param) from e


# "emulated", the CUDA kernels run on the host, is for tests and stays out of the help.
device_option = click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="cpu|cuda|cuda:N",
    callback=_checked_device,
    help="Where images are decoded.",
)


def _option(field: dataclasses.Field[Any], section: str = SECTION) -> Callable[..., Any]:
    """The option that sets one field of `Spec`."""
    name = "--" + field.name.replace("_", "-")
    shared: dict[str, Any] = {"cls": SectionOption, "section": section, "help": HELP.get(field.name)}
    default = field.default
    if field.name == "memory_format":  # not as click's flag_value, whose default means another thing in each version

        def layout(_ctx: click.Context, _param: click.Parameter, channels_last: bool) -> Any:
            return "channels_last" if channels_last else default

        return click.option("--channels-last", field.name, is_flag=True, callback=layout, **shared)
    if isinstance(default, bool):
        return click.option(name, field.name, is_flag=True, default=default, **shared)
    kind: click.ParamType[Any]
    metavar = None
    if field.name in CHOICES:
        kind = click.Choice(CHOICES[field.name])
    elif field.name in TYPES:
        kind, metavar = TYPES[field.name]
    elif isinstance(default, int):
        kind, metavar = click.IntRange(min=1), "N"
    else:
        kind, metavar = click.FloatRange(min=0, min_open=True), "X"
    shown = default is not None
    return click.option(name, field.name, type=kind, metavar=metavar, default=default, show_default=shown, **shared)


def field_options(*names: str, section: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a command the options of some fields of `Spec`, each as an argument of that name."""
    fields = [field for field in dataclasses.fields(Spec) if field.name in names]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for field in reversed(fields):
            command = _option(field, section)(command)
        return command

    return decorate


def spec_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command all preprocessing options, and passes them on as one argument, `spec`."""
    fields = dataclasses.fields(Spec)

    @functools.wraps(command)
    def with_spec(*args: Any, **values: Any) -> Any:
        given = {field.name: values.pop(field.name) for field in fields}
        _refuse_half_a_normalization(click.get_current_context())
        try:
            spec = Spec(**given)
        except (TypeError, ValueError) as e:
            raise click.UsageError(str(e)) from e
        return command(*args, spec=spec, **values)

    decorated: Callable[..., Any] = with_spec
    for field in reversed(fields):
        decorated = _option(field)(decorated)
    return decorated


def _refuse_half_a_normalization(ctx: click.Context) -> None:
    """`--mean 0.5` alone would be combined with ImageNet's deviations without a word."""
    for one, other in (("mean", "std"), ("std", "mean")):
        alone = (
            ctx.get_parameter_source(one) is not ParameterSource.DEFAULT
            and ctx.get_parameter_source(other) is ParameterSource.DEFAULT
        )
        if alone and ctx.params[one] != "imagenet":
            raise click.UsageError(f"--{one} needs --{other} too, which would stay ImageNet's: give both")
