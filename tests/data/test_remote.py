"""fastpre.data.Remote: objects through fsspec, read side by side, with timeouts and retries."""

from __future__ import annotations

import asyncio
import collections
import functools
import http.server
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from torch.utils.data import DataLoader

import fastpre
import fastpre.data
from fastpre.data.sources import reader_threads
from fastpre.data.sources.retry import Retries
from loading import QUIET_FORK, SPEC, TIMEOUT_S

pytestmark = QUIET_FORK

URLS = [f"memory://photos/{number}.jpg" for number in range(12)]


@pytest.fixture(autouse=True)
def memory(batch: list[bytes]) -> MemoryFileSystem:
    memory: MemoryFileSystem = fsspec.filesystem("memory")
    for url, image in zip(URLS, batch, strict=True):
        memory.pipe(url, image)
    return memory


@pytest.mark.parametrize("workers", [0, 1])
def test_through_loaders(workers: int, want: torch.Tensor) -> None:
    dataset = fastpre.data.Remote(URLS, range(12))
    assert repr(dataset) == "Remote(12 URLs with labels)"
    options: dict[str, Any] = {"batch_size": 5, "shuffle": True, "num_workers": workers}
    for loader in (
        fastpre.data.Loader(dataset, SPEC, **options),
        DataLoader(dataset, collate_fn=fastpre.data.collate(SPEC), **options),
    ):
        images, labels = zip(*loader, strict=True)
        rows = torch.cat(labels)
        assert torch.equal(torch.cat(images), want[rows])


def test_samples(batch: list[bytes], tmp_path: Path) -> None:
    dataset = pickle.loads(pickle.dumps(fastpre.data.Remote(URLS)))
    assert dataset[3] == {"bytes": batch[3], "path": URLS[3]}
    assert repr(dataset) == "Remote(12 URLs)"
    (tmp_path / "a.jpg").write_bytes(batch[0])
    for url in (str(tmp_path / "a.jpg"), f"file://{tmp_path}/a.jpg", "simplecache::memory://photos/0.jpg"):
        assert fastpre.data.Remote([url])[0] == {"bytes": batch[0], "path": url}


def name_in(path: str) -> str:
    return path.rsplit("/", 1)[-1]


class Slow:
    """How a storage behaves, by the last part of an object's name; it counts what is asked of it."""

    def __init__(self) -> None:
        self.attempts: collections.Counter[str] = collections.Counter()
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self.go_on = threading.Event()
        self.faults: dict[str, list[Any]] = {}

    def begin(self, path: str) -> Any:
        """The fault of this attempt, if there is one."""
        name = name_in(path)
        with self._lock:
            self.attempts[name] += 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            faults = self.faults.get(name, [])
            return faults.pop(0) if faults else None

    def end(self) -> None:
        with self._lock:
            self._now -= 1


class Blocking(MemoryFileSystem):
    protocol = "blocking"
    cachable = False
    slow: Slow

    def cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        fault = self.slow.begin(path)
        try:
            if fault == "hang":
                self.slow.go_on.wait(TIMEOUT_S)
            elif fault is not None:
                raise fault
            time.sleep(0.01)
            return super().cat_file(f"/photos/{name_in(path)}", start, end)  # type: ignore[no-any-return]
        finally:
            self.slow.end()


class Awaited(AsyncFileSystem):
    protocol = "awaited"
    cachable = False
    slow: Slow

    async def _cat_file(self, path: str, start: Any = None, end: Any = None, **kwargs: Any) -> bytes:
        fault = self.slow.begin(path)
        try:
            if fault == "hang":
                await asyncio.sleep(TIMEOUT_S)
            elif fault is not None:
                raise fault
            await asyncio.sleep(0.01)
            memory = fsspec.filesystem("memory")
            return memory.cat_file(f"/photos/{name_in(path)}", start, end)  # type: ignore[no-any-return]
        finally:
            self.slow.end()


def join_readers() -> None:
    for thread in threading.enumerate():
        if thread.name == "fastpre.data read":
            thread.join(TIMEOUT_S)


@pytest.fixture(params=["blocking", "awaited"])
def storage(request: pytest.FixtureRequest) -> Iterator[tuple[str, Slow]]:
    cls: Any = {"blocking": Blocking, "awaited": Awaited}[request.param]
    cls.slow = Slow()
    fsspec.register_implementation(request.param, cls, clobber=True)
    yield request.param, cls.slow
    cls.slow.go_on.set()
    join_readers()


def remote(protocol: str, **options: Any) -> fastpre.data.Remote:
    options = {"backoff_s": 0.001, "timeout_s": TIMEOUT_S, **options}
    return fastpre.data.Remote([f"{protocol}://{number}.jpg" for number in range(12)], range(12), **options)


def test_a_batch_is_read_side_by_side(storage: tuple[str, Slow], batch: list[bytes]) -> None:
    protocol, slow = storage
    samples = remote(protocol, concurrency=4).__getitems__([*range(12), 0])
    assert [image["bytes"] for image, _ in samples] == [*batch, batch[0]]
    assert 1 < slow.most_at_once <= 4
    slow.most_at_once = 0
    remote(protocol, concurrency=1).__getitems__(list(range(6)))
    assert slow.most_at_once == 1


def test_faults_that_pass_are_tried_again(storage: tuple[str, Slow], want: torch.Tensor) -> None:
    protocol, slow = storage
    slow.faults = {
        "1.jpg": [ConnectionResetError("reset")],
        "2.jpg": [OSError("slow down"), Exception("of some library"), TimeoutError()],
        "3.jpg": [Answer(503), Answer(429)],
    }
    images, labels = next(iter(fastpre.data.Loader(remote(protocol, retries=3), SPEC, batch_size=12)))
    assert torch.equal(images, want)
    assert labels.tolist() == list(range(12))
    assert [slow.attempts[f"{number}.jpg"] for number in range(5)] == [1, 2, 4, 3, 1]


class Answer(Exception):
    """As aiohttp's."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


def test_faults_that_stay_are_one_images_error(storage: tuple[str, Slow], memory: Any, want: torch.Tensor) -> None:
    protocol, slow = storage
    memory.rm("/photos/1.jpg")
    memory.pipe("/photos/9.jpg", b"no JPEG")
    slow.faults = {
        "2.jpg": [ConnectionResetError("reset")] * 9,
        "3.jpg": [PermissionError("denied")],
        "4.jpg": [Answer(403)],
    }
    loader = fastpre.data.Loader(remote(protocol, retries=2), SPEC, batch_size=12, on_error="skip")
    ((images, labels),) = loader
    assert labels.tolist() == [0, 5, 6, 7, 8, 10, 11]
    assert torch.equal(images, want[labels])
    assert [(type(e).__name__, e.name, e.dataset_index) for e in loader.errors] == [
        *[("ImageReadError", f"{protocol}://{number}.jpg", number) for number in (1, 2, 3, 4)],
        ("CorruptImage", f"{protocol}://9.jpg", 9),
    ]
    reasons = [error.reason.partition(": ")[2].partition(":")[0] for error in loader.errors[:4]]
    assert reasons == ["FileNotFoundError", "ConnectionResetError", "PermissionError", "Answer"]
    assert [slow.attempts[f"{number}.jpg"] for number in (1, 2, 3, 4)] == [1, 3, 1, 1]


def test_reads_that_hang(storage: tuple[str, Slow], want: torch.Tensor) -> None:
    """They cost their timeout and nothing of the others; one that answers at the second attempt is there."""
    protocol, slow = storage
    slow.faults = {"1.jpg": ["hang"] * 9, "2.jpg": ["hang"]}
    dataset = remote(protocol, timeout_s=0.3, retries=3, concurrency=3)  # a busy machine may need some of them
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=12, on_error="skip")
    ((images, labels),) = loader
    assert labels.tolist() == [0, *range(2, 12)]
    assert torch.equal(images, want[labels])
    (error,) = loader.errors
    assert error.reason == "cannot read: TimeoutError: no answer in 0.3 s"


def test_a_storage_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that wait for it do not become more and more."""
    monkeypatch.setattr(reader_threads, "MOST_HUNG", 3)
    go_on = threading.Event()
    reads = [functools.partial(go_on.wait, TIMEOUT_S)] * 8
    outcomes = reader_threads.ReaderThreads(reads, 2, 0.01, Retries(0, 0)).run()  # type: ignore[arg-type]
    assert [type(outcome) for outcome in outcomes] == [TimeoutError] * 8
    assert any("not tried: " in str(outcome) for outcome in outcomes)
    assert sum(thread.name == "fastpre.data read" for thread in threading.enumerate()) <= 5
    go_on.set()
    join_readers()
    assert reader_threads.ReaderThreads([lambda: b"x"], 1, TIMEOUT_S, Retries(0, 0)).run() == [b"x"]


def test_pauses_double_and_are_drawn() -> None:
    retries = Retries(9, 0.5)
    for attempt, longest in enumerate([0.5, 1, 2, 4, 8, 16, 30, 30, 30]):
        pauses = [retries.pause_s(attempt, OSError()) or 0 for _ in range(200)]
        assert longest / 2 < max(pauses) <= longest
        assert min(pauses) < longest / 2
    assert retries.pause_s(9, OSError()) is None
    assert retries.pause_s(0, FileNotFoundError()) is None


@pytest.fixture
def server(tmp_path: Path, batch: list[bytes]) -> Iterator[str]:
    """An HTTP server on this machine, that answers 503 first to one of the requests."""
    failed: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/2.jpg" and not failed:
                failed.append(self.path)
                self.send_error(503)
                return
            super().do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    for number, image in enumerate(batch[:6]):
        (tmp_path / f"{number}.jpg").write_bytes(image)
    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("workers", [0, 1])
def test_http(workers: int, server: str, want: torch.Tensor) -> None:
    """Also in a worker that is forked after connections were used here."""
    pytest.importorskip("aiohttp")
    urls = [f"{server}/{number}.jpg" for number in range(7)]
    dataset = fastpre.data.Remote(urls, range(7), backoff_s=0.001)
    dataset[0]
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=7, num_workers=workers, on_error="skip")
    ((images, labels),) = loader
    assert labels.tolist() == list(range(6))
    assert torch.equal(images, want[:6])
    assert [error.name for error in loader.errors] == [urls[6]]
    assert "FileNotFoundError" in loader.errors[0].reason


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="urls must be a list of URLs, got the str"):
        fastpre.data.Remote("s3://bucket/a.jpg")
    with pytest.raises(ValueError, match="1 urls and 2 labels"):
        fastpre.data.Remote(URLS[:1], [1, 2])
    with pytest.raises(ValueError, match="nonsense"):
        fastpre.data.Remote(["nonsense://a.jpg"])
    wrong: list[dict[str, Any]] = [{"concurrency": 0}, {"timeout_s": 0}, {"retries": -1}, {"backoff_s": -1}]
    for options in wrong:
        with pytest.raises(ValueError, match=f"{next(iter(options))}.* must be"):
            fastpre.data.Remote(URLS, **options)
