"""Which files a command works on, and what to call them."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import click

from fastpre import ImageReadError
from fastpre.errors import path_as_text

from .file_types import JPEG, OTHER, UNREADABLE, file_type, special_type_at

__all__ = [
    "SUFFIXES",
    "Failure",
    "Found",
    "Search",
    "find",
    "list_failures",
    "list_truncated",
    "paths_argument",
    "printable",
]

MOST_LISTED = 20  # bad or truncated files named on a terminal; --json lists all

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")

HIDDEN = "hidden"
FOLDER_LINK = "link to a folder"
DANGLING = "dangling link"

# How `skipped` says each kind's count where that is not the kind's name alone.
PLURALS = {
    OTHER: ("other file", "other files"),
    UNREADABLE: ("unreadable file", "unreadable files"),
    HIDDEN: ("hidden", "hidden"),
    FOLDER_LINK: ("link to a folder", "links to folders"),
    DANGLING: ("dangling link", "dangling links"),
    "FIFO": ("FIFO", "FIFOs"),
    "socket": ("socket", "sockets"),
    "device": ("device", "devices"),
}


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclasses.dataclass(frozen=True)
class Found:
    r"""One file: its path, and its name in results, where bytes that are no UTF-8 are written \xNN."""

    path: str
    name: str


@dataclasses.dataclass(frozen=True)
class Failure:
    """A file that gave no tensor, and why: the error's type and its reason."""

    name: str
    error: str
    reason: str

    def line(self) -> str:
        """For people."""
        return f"{printable(self.name)}: {self.error}: {self.reason}"


@dataclasses.dataclass
class Search:
    """What was found among the arguments.

    Attributes:
        files: that are to be read.
        failures: arguments that cannot be, and folders that could not be listed.
        skipped: files in folders that are no JPEGs, counted by kind.
    """

    files: list[Found] = dataclasses.field(default_factory=list)
    failures: list[Failure] = dataclasses.field(default_factory=list)
    skipped: Counter[str] = dataclasses.field(default_factory=Counter)

    def say_skipped(self) -> None:
        """`skipped: 3 PNG, 12 other files; fastpre reads JPEG`, on stderr, if there is anything to say."""
        if self.skipped:
            click.echo(self._skipped_line(), err=True)

    def refuse_nothing(self, paths: Sequence[str]) -> None:
        """Nothing to work on, and no reason to be given for any file, is wrong usage.

        Raises:
            click.UsageError: it is so.
        """
        if not self.files and not self.failures:
            skipped = f" ({self._skipped_line()})" if self.skipped else ""
            raise click.UsageError(f"no JPEG files in {', '.join(map(printable, paths))}{skipped}")

    def _skipped_line(self) -> str:
        parts = []
        for kind, count in sorted(self.skipped.items(), key=lambda entry: (entry[0] in PLURALS, -entry[1], entry[0])):
            one, many = PLURALS.get(kind, (kind, kind))
            parts.append(f"{count:,} {one if count == 1 else many}")
        return f"skipped: {', '.join(parts)}; fastpre reads JPEG"


class _Existing(click.Path):
    """A path that is there, be it a link to nothing, which is one bad file among others; a typing error is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The path as it is."""
        if not os.path.lexists(value):
            self.fail(f"'{printable(os.fspath(value))}' does not exist.", param, ctx)
        return str(super().convert(value, param, ctx))


def paths_argument(*, required: bool = True, exist: bool = True) -> Decorator:
    """The files and folders of a command; with `exist`, one that is not there is wrong usage."""
    metavar = "DIR|FILE..." if required else "[DIR|FILE]..."
    return click.argument(
        "paths", nargs=-1, required=required, metavar=metavar, type=_Existing() if exist else click.Path()
    )


def find(paths: Sequence[str], *, follow_first: bool = False) -> Search:
    """The JPEG files among `paths`, each of which is a file (taken whatever its name and bytes) or a folder.

    Folders are searched recursively, in sorted order. A file there is taken if its name ends as a JPEG's
    does, in any case, or if its first bytes are a JPEG's; only the other names cost an access to the file. What is
    hidden (a name with a dot in front), no regular file, or behind a link to a folder is skipped. Names are relative
    to the folder if it is the only argument, else they start with the argument.

    Args:
        paths: files and folders.
        follow_first: links to folders that lie directly in an argument are searched, too.

    Raises:
        click.UsageError: there is nothing.
    """
    search = Search()
    for path in paths:
        if os.path.isdir(path):
            _walk(path, search, "" if len(paths) == 1 else os.path.join(path, ""), follow_first)
        else:
            _take_named(path, search)
    search.refuse_nothing(paths)
    return search


def _take_named(path: str, search: Search) -> None:
    name = path_as_text(path)
    try:
        special = special_type_at(path)
    except OSError as e:
        search.failures.append(Failure(name, ImageReadError.__name__, f"cannot open: {e.strerror}"))
        return
    if special is None:
        search.files.append(Found(path, name))
    else:
        search.failures.append(Failure(name, ImageReadError.__name__, f"a {special}, not a regular file"))


def _walk(top: str, search: Search, called: str, follow_first: bool) -> None:
    """Searches one folder, whose files' names begin with `called`."""
    pending = [(top, called)]
    while pending:
        folder, prefix = pending.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as e:
            name = path_as_text(folder)
            search.failures.append(Failure(name, ImageReadError.__name__, f"cannot list: {e.strerror}"))
            continue
        deeper = []
        for entry in entries:
            if entry.name.startswith("."):
                search.skipped[HIDDEN] += 1
            elif entry.is_dir(follow_symlinks=follow_first and folder == top):
                deeper.append((entry.path, f"{prefix}{entry.name}/"))
            else:
                kind = _kind(entry)
                if kind == JPEG:
                    search.files.append(Found(entry.path, path_as_text(f"{prefix}{entry.name}")))
                else:
                    search.skipped[kind] += 1
        pending += reversed(deeper)


def _kind(entry: os.DirEntry[str]) -> str:
    """What an entry that is no folder is; a regular file costs no access if its name is a JPEG's."""
    named = entry.name.lower().endswith(SUFFIXES)
    if not entry.is_symlink():
        regular = entry.is_file()
    elif os.path.isdir(entry.path):
        return FOLDER_LINK
    elif not os.path.exists(entry.path):
        return JPEG if named else DANGLING  # a JPEG that is gone is a bad file, not one of another kind
    else:
        regular = os.path.isfile(entry.path)
    if regular:
        return JPEG if named else file_type(entry.path)
    try:
        return special_type_at(entry.path) or UNREADABLE
    except OSError:
        return UNREADABLE


def list_failures(failures: Sequence[Failure]) -> None:
    """Names bad files on stderr."""
    for failure in failures[:MOST_LISTED]:
        click.echo(f"bad file {failure.line()}", err=True)
    if len(failures) > MOST_LISTED:
        click.echo(f"... and {len(failures) - MOST_LISTED} more; --json lists them all", err=True)


def list_truncated(files: Sequence[Found]) -> None:
    """Names files of which only a part arrived, on stderr."""
    for file in files[:MOST_LISTED]:
        click.echo(f"truncated file {printable(file.name)}", err=True)
    if len(files) > MOST_LISTED:
        click.echo(f"... and {len(files) - MOST_LISTED} more truncated; --json lists them all", err=True)


def printable(name: str) -> str:
    """A file name that any terminal takes: bytes that are no UTF-8, and control characters, are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path_as_text(name))
