"""Which images are packed, under which keys and labels, in which order."""

from __future__ import annotations

import dataclasses
import os
import random
from collections import Counter
from collections.abc import Sequence

import click

from fastpre.errors import path_as_text

from ..files import Failure, Found, find, printable

__all__ = ["LABELS", "Listing", "Sample", "listing"]

LABELS = ("auto", "folders", "none")


@dataclasses.dataclass(frozen=True)
class Sample:
    """One image to be packed.

    Attributes:
        file: where it is, and its name relative to the folder.
        key: what it is called in a shard: unique, and without a dot.
        label: its class's place in `Listing.classes`; None without classes.
    """

    file: Found
    key: str
    label: int | None


@dataclasses.dataclass(frozen=True)
class Listing:
    """What was found in the folder.

    Attributes:
        samples: in the order of the shards.
        classes: names of class folders, sorted, as torchvision's `ImageFolder` numbers them; empty without labels.
        failures: what could not be listed.
        skipped: files that are no JPEGs, by kind.
    """

    samples: list[Sample]
    classes: list[str]
    failures: list[Failure]
    skipped: Counter[str]


def listing(folder: str, labels: str, seed: int | None) -> Listing:
    """The samples of a folder.

    Args:
        folder: searched as `find` does; a link to a class folder is followed.
        labels: "folders": the first folder of a path is its class; "none"; "auto": folders if no image lies outside
            of them.
        seed: of the order; None: sorted by name.

    Raises:
        click.UsageError: there is nothing, or images lie beside the class folders and `labels` does not say what to do.
    """
    search = find([folder], follow_first=True)
    search.say_skipped()
    files = search.files
    beside = [file for file in files if "/" not in file.name]
    if labels == "auto" and beside and len(beside) < len(files):
        raise click.UsageError(
            f"{len(beside):,} of {len(files):,} images, such as {printable(beside[0].name)}, lie beside the class "
            "folders: leave them out with --labels folders, or pack all without labels with --labels none"
        )
    if labels == "folders":
        files = [file for file in files if "/" in file.name]
        if not files and not search.failures:
            raise click.UsageError(f"no images in folders of {printable(folder)}, which are its classes")
    by_folder = labels == "folders" or (labels == "auto" and not beside and bool(files))
    classes = _classes(folder) if by_folder else []
    numbers = {name: number for number, name in enumerate(classes)}
    keys = _keys([file.name for file in files])
    samples = [
        Sample(file, key, numbers[file.name.partition("/")[0]] if by_folder else None)
        for file, key in zip(files, keys, strict=True)
    ]
    if seed is not None:
        random.Random(seed).shuffle(samples)
    return Listing(samples, classes, search.failures, search.skipped)


def _classes(folder: str) -> list[str]:
    """All folders, also those without an image: numbers must not depend on which images there are."""
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    return [path_as_text(name) for name in names]


def _keys(names: Sequence[str]) -> list[str]:
    """Names without their suffixes, in a form that WebDataset takes: it splits at the first dot.

    Names that would become one are numbered, in the order given.
    """
    taken: set[str] = set()
    keys = []
    for name in names:
        plain = printable(os.path.splitext(name)[0]).replace(".", "_")
        # WebDataset skips folders called __like_this__.
        plain = "/".join(f"_{part.lstrip('_')}" if part.startswith("__") else part for part in plain.split("/"))
        key, number = plain, 1
        while key in taken:
            number += 1
            key = f"{plain}-{number}"
        taken.add(key)
        keys.append(key)
    return keys
