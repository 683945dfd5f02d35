"""How many connections this process may have."""

from __future__ import annotations

import resource

import click

__all__ = ["allow_connections"]

OTHER_FILES = 64  # what the process has open beside them


def allow_connections(count: int) -> None:
    """Raises the soft limit of open files, if need be.

    Raises:
        click.UsageError: the hard limit is below.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise click.UsageError(f"--max-outstanding {count}: this process may have {hard} files open (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
