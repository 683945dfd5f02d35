"""Shared memory that clients register: what is refused, and what a client may do to it afterwards."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastpre.serve.errors import BadRequest, BodyTooLarge, NotFound, ServeError
from fastpre.serve.protocol.regions import Regions

SHM = Path("/dev/shm")
pytestmark = pytest.mark.skipif(not SHM.is_dir(), reason="no /dev/shm: system shared memory is for Linux")

Make = Callable[..., str]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes a file in shared memory of that content, and gives its key."""
    made: list[Path] = []

    def file(content: bytes = b"0123456789", prefix: str = "test-regions-") -> str:
        path = SHM / f"{prefix}{uuid.uuid4().hex}"
        path.write_bytes(content)
        made.append(path)
        return path.name

    yield file
    for path in made:
        path.unlink(missing_ok=True)


@pytest.fixture
def regions() -> Iterator[Regions]:
    it = Regions()
    yield it
    it.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_region_is_read_and_written(regions: Regions, make: Make) -> None:
    key = make()
    regions.register("r", f"/{key}", 2, 6)
    assert regions.status() == [{"name": "r", "key": f"/{key}", "offset": 2, "byte_size": 6}]
    assert regions.status("r") == regions.status()
    assert bytes(regions.view("r", 1, 3)) == b"345"
    regions.write("r", 2, memoryview(b"ab"))
    assert (SHM / key).read_bytes() == b"0123ab6789"
    assert bytes(regions.view("r", 0, 0)) == b""


def test_a_view_is_a_copy_that_the_client_cannot_change(regions: Regions, make: Make) -> None:
    key = make()
    regions.register("r", key, 0, 10)
    view = regions.view("r", 0, 10)
    (SHM / key).write_bytes(b"abcdefghij")
    assert bytes(view) == b"0123456789"
    assert view.readonly


def test_unregistering_closes_the_file(regions: Regions, make: Make) -> None:
    before = descriptors()
    for name in "abc":
        regions.register(name, make(), 0, 10)
    regions.write("a", 0, b"x")
    regions.unregister("a")
    with pytest.raises(NotFound, match="'a'"):
        regions.view("a", 0, 1)
    with pytest.raises(NotFound, match="'a'"):
        regions.status("a")
    regions.unregister("a")
    regions.unregister()
    assert regions.status() == []
    assert descriptors() == before


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "no key"),
        ("/", "no key"),
        ("//double", "no key"),
        ("..", "no key"),
        ("/../etc/passwd", "no key"),
        ("a/b", "no key"),
        ("a\0b", "no key"),
        ("a" * 300, "no key"),
        ("\udcff", "no key|cannot be opened"),
        ("/test-regions-is-not-there", "No such file"),
        ("fastpre-slots", "not for clients"),
        ("sem.other", "not for clients"),
    ],
)
def test_keys_that_are_refused(regions: Regions, key: str, reason: str) -> None:
    before = descriptors()
    with pytest.raises(BadRequest, match=reason):
        regions.register("r", key, 0, 1)
    assert regions.status() == []
    assert descriptors() == before


def test_what_is_no_ordinary_file_is_refused(regions: Regions, make: Make) -> None:
    target = make()
    link, pipe, folder = (SHM / f"test-regions-{uuid.uuid4().hex}" for _ in range(3))
    before = descriptors()
    link.symlink_to(SHM / target)
    os.mkfifo(pipe)
    folder.mkdir()
    try:
        for path in (link, pipe, folder):
            with pytest.raises(BadRequest, match=r"link|no shared memory"):
                regions.register("r", path.name, 0, 1)
    finally:
        link.unlink()
        pipe.unlink()
        folder.rmdir()
    assert descriptors() == before


@pytest.mark.parametrize(("offset", "size"), [(0, 11), (10, 1), (2**63, 1), (0, 2**64 - 1), (0, 0), (-1, 2)])
def test_a_region_must_lie_in_its_file(regions: Regions, make: Make, offset: int, size: int) -> None:
    key = make()
    before = descriptors()
    with pytest.raises(BadRequest, match=r"do not fit|out of range"):
        regions.register("r", key, offset, size)
    assert descriptors() == before


@pytest.mark.parametrize(("offset", "size"), [(0, 7), (6, 1), (-1, 2), (0, -1), (2**64, 1)])
def test_access_must_lie_in_the_region(regions: Regions, make: Make, offset: int, size: int) -> None:
    regions.register("r", make(), 2, 6)
    with pytest.raises(BadRequest, match="not inside"):
        regions.view("r", offset, size)
    with pytest.raises(BadRequest, match="not inside"):
        regions.check("r", offset, size)
    if 0 <= size < 100:
        with pytest.raises(BadRequest, match="not inside"):
            regions.write("r", offset, b"x" * size)


def test_names_counts_and_sizes_have_bounds(make: Make) -> None:
    regions = Regions(limit=2, max_bytes=4)
    key = make()
    regions.register("a", key, 0, 10)
    with pytest.raises(BadRequest, match="registered already"):
        regions.register("a", key, 0, 10)
    with pytest.raises(BadRequest, match="needs a name"):
        regions.register("", key, 0, 10)
    regions.register("b", key, 0, 10)
    with pytest.raises(BadRequest, match="2 shared memory regions"):
        regions.register("c", key, 0, 10)
    with pytest.raises(BodyTooLarge):
        regions.view("a", 0, 5)
    regions.close()


def test_a_file_that_its_client_shrinks_is_an_error_and_no_crash(regions: Regions, make: Make) -> None:
    """With a mapping both accesses would end the process by SIGBUS."""
    key = make(bytes(3 * 4096))
    regions.register("r", key, 0, 3 * 4096)
    regions.write("r", 0, b"x")
    os.truncate(SHM / key, 4096)
    assert len(regions.view("r", 0, 4096)) == 4096
    for access in (lambda: regions.view("r", 4000, 200), lambda: regions.write("r", 4000, bytes(200))):
        with pytest.raises(BadRequest, match="shorter"):
            access()
    assert (SHM / key).stat().st_size == 4096


def test_outputs_go_to_the_file_that_was_registered(regions: Regions, make: Make) -> None:
    """Also if another has its name meanwhile."""
    key = make()
    regions.register("r", key, 0, 10)
    (SHM / key).unlink()
    (SHM / key).write_bytes(b"another's.")
    regions.write("r", 0, b"abc")
    assert (SHM / key).read_bytes() == b"another's."
    assert bytes(regions.view("r", 0, 4)) == b"abc3"


def test_threads_never_see_anothers_file(regions: Regions, make: Make) -> None:
    """File descriptors are used again at once after they are closed."""
    keys = {name: make(name.encode() * 64) for name in "abcd"}
    wrong: list[str] = []

    def use(name: str) -> None:
        for _ in range(200):
            regions.register(name, keys[name], 0, 64)
            for other in keys:
                try:
                    if bytes(regions.view(other, 0, 64)) != other.encode() * 64:
                        wrong.append(other)
                except ServeError:
                    pass  # not registered at the moment
            regions.unregister(name)

    threads = [threading.Thread(target=use, args=(name,)) for name in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert regions.status() == []
