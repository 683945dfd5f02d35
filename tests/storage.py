"""Photographs as training data lies around: shards, tables and databases, written by the libraries that users have."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import datasets
import lmdb
import pyarrow as pa
import pyarrow.parquet as pq
import webdataset

IMAGE_STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def key_of(number: int) -> str:
    return f"class{number % 3}/{number:04d}"


def write_shards(folder: Path, images: list[bytes], per_shard: int, *, index: bool = False) -> list[Path]:
    """WebDataset shards with jpg, cls (100 + number) and json; with the index that `fastpre pack` writes."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for first in range(0, len(images), per_shard):
        path = folder / f"shard-{len(shards):06d}.tar"
        with webdataset.TarWriter(str(path)) as writer:
            for number in range(first, min(first + per_shard, len(images))):
                sample = {"jpg": images[number], "cls": str(100 + number), "json": {"number": number, "tags": ["a"]}}
                writer.write({"__key__": key_of(number), **sample})
        shards.append(path)
    if index:
        write_index(folder, shards)
    return shards


def write_index(folder: Path, shards: list[Path]) -> None:
    listed = []
    for path in shards:
        table: dict[str, list[Any]] = {"keys": [], "offsets": [], "sizes": [], "labels": []}
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name.endswith(".jpg"):
                    table["keys"].append(member.name.removesuffix(".jpg"))
                    table["offsets"].append(member.offset_data)
                    table["sizes"].append(member.size)
                elif member.name.endswith(".cls"):
                    file = archive.extractfile(member)
                    assert file is not None
                    table["labels"].append(int(file.read()))
        path.with_suffix(".idx.json").write_text(json.dumps(table))
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        listed.append({"name": path.name, "samples": len(table["keys"]), "bytes": len(data), "sha256": sha256})
    index = {"version": 1, "format": "tar", "classes": ["a", "b", "c"], "shards": listed}
    (folder / "index.json").write_text(json.dumps(index))


def table_of(images: list[bytes | None]) -> pa.Table:
    """As Hugging Face stores images: image {"bytes", "path"}, label."""
    structs = [None if image is None else {"bytes": image, "path": None} for image in images]
    return pa.table({"image": pa.array(structs, IMAGE_STRUCT), "label": [100 + n for n in range(len(images))]})


def write_parquet(path: Path, images: list[bytes | None], rows: int) -> Path:
    """`rows` in each row group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table_of(images), path, row_group_size=rows)
    return path


def hugging_face(images: list[bytes], **columns: list[Any]) -> datasets.Dataset:
    """A dataset whose `Image` column would be decoded by PIL."""
    features = {"image": datasets.Image(), "label": datasets.Value("int64")}
    rows = [{"bytes": image, "path": None} for image in images]
    data = {"image": rows, "label": [100 + n for n in range(len(images))], **columns}
    types = {name: datasets.Value("string") for name in columns}
    return datasets.Dataset.from_dict(data, features=datasets.Features(features | types))


def write_lmdb(path: Path, values: dict[bytes, bytes], *, folder: bool = True) -> Path:
    with lmdb.open(str(path), map_size=1 << 26, subdir=folder) as environment, environment.begin(write=True) as writer:
        for key, value in values.items():
            writer.put(key, value)
    return path
