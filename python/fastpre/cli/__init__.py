"""The command line: `fastpre run`, `pack`, `serve`, `load`, `inspect`, `doctor`, `bench`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping

import click

from fastpre import BackendUnavailable, CudaError, InternalError, __version__

from .command import Command
from .errors import Unusable
from .signals import stopping_cleanly

__all__ = ["Unusable", "main"]

EXIT_CODES = """\b
Exit codes:
  0    all is fine
  1    an image failed (`run` and `pack`: only with --strict, or
       when not one image is usable); `load`: requests failed
  2    wrong usage, or something is missing on this machine
  130  stopped by Ctrl-C; 143 by SIGTERM, 129 by SIGHUP
"""

# Imported when asked for, so that --help does not wait for torch.
COMMANDS: Mapping[str, str] = {
    "run": "fastpre.cli.run:run",
    "pack": "fastpre.cli.pack:pack",
    "serve": "fastpre.cli.serve:serve",
    "load": "fastpre.cli.load:load",
    "inspect": "fastpre.cli.inspect:inspect",
    "doctor": "fastpre.cli.doctor:doctor",
    "bench": "fastpre.cli.bench:bench",
}


class LazyGroup(Command, click.Group):
    """A group whose commands are imported when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one command; None if there is no such one."""
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, attribute = target.partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command; our own bugs and the machine's refusals become one line and exit code 2."""
        try:
            with stopping_cleanly():
                return super().invoke(ctx)
        except BrokenPipeError:  # `fastpre inspect ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None
        except InternalError as e:
            raise Unusable(f"a bug in fastpre, please report it: {e}") from e
        except (BackendUnavailable, CudaError) as e:
            raise Unusable(" ".join(str(e).split())) from e
        except OSError as e:
            raise Unusable(str(e)) from e
        except ValueError as e:
            if str(e).startswith("FASTPRE_"):  # a variable of the environment, such as FASTPRE_TARGET
                raise Unusable(str(e)) from e
            raise


@click.group(
    cls=LazyGroup,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=[
        "fastpre run photos/ -o photos.safetensors --preview sheet.png",
        "fastpre pack train/ -o shards/ --resize 500 --transcode",
        "fastpre serve --model torchvision:resnet18",
        "fastpre load http://127.0.0.1:8000 photos/ --rate 200",
        "fastpre inspect cat.jpg",
        "fastpre doctor",
        "fastpre bench photos/",
    ],
)
@click.version_option(__version__, prog_name="fastpre")
def main() -> None:
    """JPEG files to normalized, model-ready tensors, equal to Pillow + torchvision to the last bit."""
