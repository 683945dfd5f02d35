"""What ends a command: this machine's fault, in one line and with exit code 2."""

from __future__ import annotations

import click

__all__ = ["Unusable"]


class Unusable(click.ClickException):
    """Something on this machine is in the way: a missing library, a full disk, a read-only folder."""

    exit_code = 2
