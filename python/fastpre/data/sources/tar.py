"""The samples of a tar shard: files that follow each other and have the same name up to its first dot."""

from __future__ import annotations

import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

__all__ = ["DAMAGE", "DamagedShard", "Entry", "entries"]

# As WebDataset: "a/b.seg.png" has the key "a/b" and the ending "seg.png"; names without an ending do not count.
NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)
METADATA = re.compile(r"__[^/]*__(/|$)")


# What a damaged archive raises, where a stream that fails raises anything else.
DAMAGE = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)


class Entry(NamedTuple):
    """A sample as it lies in a shard.

    Attributes:
        key: the name of its files, without their endings.
        files: contents by ending, in lower case.
        others: the endings of files that were not asked for.
        doubled: endings that two of its files have.
    """

    key: str
    files: dict[str, bytes]
    others: list[str]
    doubled: list[str]


class DamagedShard(Exception):
    """A shard that cannot be read on, and why."""


class _Member(tarfile.TarInfo):
    """A member whose damaged header is an error: `tarfile` takes it for the archive's end, unless it is the first."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> _Member:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            raise DamagedShard("it has no end-of-archive mark: cut off, or never closed by its writer") from None
        except tarfile.HeaderError as error:
            raise DamagedShard(f"cut off or damaged at byte {tarfile_.offset}: {error}") from None


def entries(stream: IO[bytes], wanted: Callable[[str], bool], complete: Callable[[Entry], bool]) -> Iterator[Entry]:
    """The samples of an open tar file, compressed or not.

    Args:
        stream: need not be seekable.
        wanted: whether files with an ending (in lower case) are read.
        complete: whether a sample that damage follows has all that it should have.

    Raises:
        DamagedShard: after the samples before the damage.
    """
    entry: Entry | None = None
    damage: DamagedShard | None = None
    try:
        with tarfile.open(fileobj=stream, mode="r|*", tarinfo=_Member) as archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # it would remember them all
                name = NAME.fullmatch(member.name)
                if name is None or not member.isreg() or METADATA.match(member.name):
                    continue
                if entry is None or entry.key != name[1]:
                    if entry is not None:
                        yield entry
                    entry = Entry(name[1], {}, [], [])
                ending = name[2].lower()
                if not wanted(ending):
                    entry.others.append(ending)
                elif ending in entry.files:
                    entry.doubled.append(ending)
                else:
                    entry.files[ending] = _contents(archive, member)
    except DamagedShard as error:
        damage = error
    except Exception as error:  # of the archive, a decompressor, a file, or a network
        where = f" at {entry.key}" if entry else ""
        what = str(error) if isinstance(error, DAMAGE) else f"{type(error).__name__}: {error}"
        damage = DamagedShard(f"cut off or damaged{where}: {what}")
        damage.__cause__ = error
    if entry is not None and (damage is None or complete(entry)):
        yield entry
    if damage is not None:
        raise damage


def _contents(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None  # because it is a regular one
    with file:
        return file.read()
