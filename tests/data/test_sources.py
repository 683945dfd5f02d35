"""What holds for every source: spawned workers, missing libraries, an interrupt, and imports that cost nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import ChainDataset, ConcatDataset

import fastpre
import fastpre.data
import storage
from loading import SPEC, TIMEOUT_S


@pytest.fixture
def lying_around(tmp_path: Path, batch: list[bytes]) -> dict[str, Any]:
    """The same images in every source."""
    shards = storage.write_shards(tmp_path / "shards", batch, 4, index=True)
    parquet = fastpre.data.Parquet(storage.write_parquet(tmp_path / "a.parquet", list(batch), 5), columns=["label"])
    database = storage.write_lmdb(tmp_path / "lmdb", {b"%02d" % n: image for n, image in enumerate(batch)})
    paths = []
    for number, image in enumerate(batch):
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(image)
    labels = list(range(100, 112))
    return {
        "files": fastpre.data.Files(paths, labels),
        "indexed": fastpre.data.IndexedShards(shards[0].parent),
        "hugging face": fastpre.data.Columns(storage.hugging_face(batch), "image", "label"),
        "arrow": fastpre.data.Columns(storage.table_of(list(batch)), "image", "label"),
        "parquet": parquet,
        "lmdb": fastpre.data.Lmdb(database, labels),
        "remote": fastpre.data.Remote([f"file://{path}" for path in paths], labels),
        "shards": fastpre.data.Shards(shards[0].parent, shuffle=5),
        "parquet stream": parquet.stream(shuffle=3),
        "hugging face stream": fastpre.data.Columns(
            storage.hugging_face(batch).to_iterable_dataset(num_shards=2), "image", "label"
        ),
        "stream": fastpre.data.Stream(
            [({"bytes": image, "path": "x"}, label) for image, label in zip(batch, labels, strict=True)]
        ),
    }


@pytest.mark.parametrize("iterable", [False, True])
def test_spawned_workers(iterable: bool, lying_around: dict[str, Any], want: torch.Tensor) -> None:
    """After the datasets were used here."""
    streams = [source for source in lying_around.values() if isinstance(source, torch.utils.data.IterableDataset)]
    others = [source for source in lying_around.values() if source not in streams]
    assert (len(others), len(streams)) == (7, 4)
    for source in streams:
        next(iter(source))
    for source in others:
        source[0]
    dataset: Any = ChainDataset(streams) if iterable else ConcatDataset(others)
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=6, num_workers=1, multiprocessing_context="spawn")
    images, labels = zip(*loader, strict=True)
    rows = torch.cat(labels) - 100
    assert sorted(rows.tolist()) == sorted([*range(12)] * (4 if iterable else 7))
    assert torch.equal(torch.cat(images), want[rows])


def test_no_library_is_imported_before_it_is_needed() -> None:
    names = ("pyarrow", "lmdb", "fsspec", "datasets", "webdataset", "braceexpand", "torchvision", "aiohttp")
    code = f"import fastpre.data, sys; print([n for n in {names} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=TIMEOUT_S)
    assert done.stdout.strip() == b"[]"


@pytest.mark.parametrize(
    ("library", "make", "line"),
    [
        (
            "fsspec",
            lambda: fastpre.data.Remote(["s3://a/b"]),
            r"fastpre\.data\.Remote needs fsspec: pip install fsspec",
        ),
        ("fsspec.core", lambda: fastpre.data.Shards("s3://a/*.tar"), r"Shards needs fsspec\.core: pip install fsspec"),
        ("braceexpand", lambda: fastpre.data.Shards("a{0..3}.tar"), "pip install braceexpand"),
        ("pyarrow.parquet", lambda: fastpre.data.Parquet(__file__), "Parquet needs .*: pip install pyarrow"),
        ("lmdb", lambda: fastpre.data.Lmdb(os.path.dirname(__file__)), "Lmdb needs lmdb: pip install lmdb"),
    ],
)
def test_a_missing_library_is_named(library: str, make: Any, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=line):
        make()


HANG = """
import asyncio, sys, threading, fsspec, fastpre.data
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.memory import MemoryFileSystem

class Blocking(MemoryFileSystem):
    protocol = "hang"
    def cat_file(self, path, **options):
        print("reading", flush=True)
        threading.Event().wait()

class Awaited(AsyncFileSystem):
    protocol = "hang"
    async def _cat_file(self, path, **options):
        print("reading", flush=True)
        await asyncio.sleep(1000)

fsspec.register_implementation("hang", {"Blocking": Blocking, "Awaited": Awaited}[sys.argv[1]], clobber=True)
dataset = fastpre.data.Remote(["hang://a.jpg"])
for batch in fastpre.data.Loader(dataset):
    pass
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
@pytest.mark.parametrize("kind", ["Blocking", "Awaited"])
def test_an_interrupt_ends_a_read_that_hangs(kind: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HANG, kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"reading\n"
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert time.monotonic() - began < TIMEOUT_S / 4
    assert b"KeyboardInterrupt" in errors
    assert process.returncode not in (0, None)
    with pytest.raises(ProcessLookupError):  # none is left of its group
        os.killpg(process.pid, 0)
