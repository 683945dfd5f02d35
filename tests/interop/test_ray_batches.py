"""fastpre.interop.ray.Decode called with batches as Ray Data makes them; no cluster is needed for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastpre
import streams

pytest.importorskip("ray.data", reason='Ray Data is not installed: pip install "ray[data]"')

import pyarrow as pa
from ray.data.block import BlockAccessor

import fastpre.interop.ray
from fastpre.augment import FiveCrop, RandomCrop, RandomHorizontalFlip, RandomResizedCrop
from fastpre.interop.ray import Decode

FORMATS = ["numpy", "pandas", "pyarrow"]
BROKEN = b"\xff\xd8 and no more"
SPEC = fastpre.Spec(resize=40, crop=32)


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return [streams.encode(streams.picture("RGB", 50 + 3 * i, 60 - i, seed=i)) for i in range(5)]


@pytest.fixture(scope="module")
def want(images: list[bytes]) -> Any:
    return fastpre.Preprocessor(SPEC)(images).numpy()


def batch(batch_format: str, columns: dict[str, Any]) -> Any:
    """The columns in one of Ray's formats, converted by Ray itself."""
    return BlockAccessor.for_block(pa.table(columns)).to_batch_format(batch_format)


def tensors(table: Any, column: str = "image") -> Any:
    """What whatever follows in Ray's default format gets."""
    return BlockAccessor.for_block(table).to_batch_format("numpy")[column]


@pytest.mark.parametrize("batch_format", FORMATS)
@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view", "struct", "path"])
def test_kinds_of_columns(batch_format: str, kind: str, images: list[bytes], want: Any, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{i}.jpg") for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Path(path).write_bytes(image)
    column = {
        "binary": pa.array(images, pa.binary()),
        "large_binary": pa.array(images, pa.large_binary()),
        "binary_view": pa.array(images, pa.binary_view()),
        "struct": pa.array([{"bytes": data, "path": "x"} for data in images[:3]] + [{"path": p} for p in paths[3:]]),
        "path": pa.array(paths),
    }[kind]
    table = Decode(SPEC, "photo", num_threads=1)(batch(batch_format, {"photo": column, "label": [3, 1, 4, 1, 5]}))
    assert table.column_names == ["label", "image"]
    assert table["label"].to_pylist() == [3, 1, 4, 1, 5]
    assert tensors(table).dtype == np.float32
    assert np.array_equal(tensors(table), want)


@pytest.mark.parametrize("batch_format", FORMATS)
@pytest.mark.parametrize("on_error", ["fill", "skip"])
def test_failures(batch_format: str, on_error: Any, images: list[bytes], want: Any) -> None:
    data = [images[0], None, BROKEN, images[3]]
    decode = Decode(SPEC, "photo", on_error=on_error, fill=0.5, error_column="error", keep_column=True)
    table = decode(batch(batch_format, {"photo": pa.array(data, pa.binary()), "key": ["a", "b", "c", "d"]}))
    kept = [0, 1, 2, 3] if on_error == "fill" else [0, 3]
    assert table["key"].to_pylist() == ["abcd"[i] for i in kept]
    assert table["photo"].to_pylist() == [data[i] for i in kept]
    assert table.schema.field("error").type == pa.string()
    errors = dict(zip(kept, table["error"].to_pylist(), strict=True))
    assert (errors[0], errors[3]) == (None, None)
    values = dict(zip(kept, tensors(table), strict=True))
    assert np.array_equal(values[0], want[0])
    assert np.array_equal(values[3], want[3])
    if on_error == "fill":
        assert errors[1].startswith("ImageReadError: ")
        assert errors[2].startswith("CorruptImage: ")
        assert (values[1] == 0.5).all()
        assert (values[2] == 0.5).all()


@pytest.mark.parametrize("batch_format", FORMATS)
def test_errors_name_the_row(batch_format: str, images: list[bytes]) -> None:
    data = {"photo": pa.array([images[0], BROKEN], pa.binary()), "path": ["a.jpg", "b.jpg"], "id": [16, 17]}
    with pytest.raises(fastpre.CorruptImage, match=r"^image 1 \(b.jpg\): ") as caught:
        Decode(SPEC, "photo")(batch(batch_format, data))
    assert (caught.value.name, caught.value.index) == ("b.jpg", 1)
    with pytest.raises(fastpre.CorruptImage, match=r"^image 1 \(id 17\): "):
        Decode(SPEC, "photo", name_column="id")(batch(batch_format, data))
    structs = pa.array([{"bytes": images[0], "path": "a"}, {"bytes": BROKEN, "path": "train/b.jpg"}])
    with pytest.raises(fastpre.CorruptImage, match=r"^image 1 \(train/b.jpg\): "):
        Decode(SPEC, "photo")(batch(batch_format, {"photo": structs}))


@pytest.mark.parametrize("batch_format", FORMATS)
def test_a_batch_without_rows_that_are_left_keeps_the_schema(batch_format: str, images: list[bytes]) -> None:
    def schema(data: list[bytes]) -> Any:
        decode = Decode(SPEC, "photo", on_error="skip", error_column="error")
        table = decode(batch(batch_format, {"photo": data, "key": ["a"] * len(data), "size": [1.5] * len(data)}))
        assert len(tensors(table)) == (len(data) if data == images else 0)
        return table.schema

    assert schema([BROKEN]) == schema(images)
    assert schema([BROKEN] * 3) == schema(images)


def test_blocks_without_columns_pass() -> None:
    """Ray makes such where an operation leaves nothing of a block."""
    assert Decode(SPEC)({}).num_rows == 0
    assert Decode(SPEC)(pa.table({})).num_columns == 0


def test_a_column_of_nulls_alone(want: Any) -> None:
    table = Decode(SPEC, on_error="fill", fill=2)(pa.table({"bytes": pa.nulls(2)}))
    assert (tensors(table) == np.full_like(want[:2], 2)).all()


def test_no_other_column_and_no_row(images: list[bytes], want: Any) -> None:
    table = Decode(SPEC)(pa.table({"bytes": images}))
    assert np.array_equal(tensors(table), want)
    none = Decode(SPEC)(pa.table({"bytes": pa.array([], pa.binary())}))
    assert none.schema == table.schema
    assert none.num_rows == 0


def test_chunks_and_slices_of_arrow_are_not_copied(images: list[bytes], want: Any) -> None:
    whole = pa.array([b"before", *images], pa.binary())
    column = pa.chunked_array([whole.slice(1, 2), whole.slice(3)])
    data = whole.buffers()[2]
    for each in fastpre.interop.ray._images(column, "bytes"):
        assert data.address < np.frombuffer(each, np.uint8).ctypes.data < data.address + data.size
    assert np.array_equal(tensors(Decode(SPEC)(pa.table({"bytes": column}))), want)


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("memory_format", ["contiguous_format", "channels_last"])
def test_dtypes(dtype: Any, memory_format: Any, images: list[bytes]) -> None:
    spec = SPEC.replace(dtype=dtype, memory_format=memory_format)
    got = tensors(Decode(spec)(pa.table({"bytes": images})))
    assert got.dtype == dtype
    assert np.array_equal(got, fastpre.Preprocessor(spec)(images).numpy())


def test_the_cuda_backend(images: list[bytes], want: Any) -> None:
    assert np.array_equal(tensors(Decode(SPEC, device="emulated")(pa.table({"bytes": images}))), want)


@pytest.mark.parametrize("steps", [[RandomResizedCrop(24), RandomHorizontalFlip()], [RandomCrop(30), FiveCrop(24)]])
def test_augmentations_keep_the_schema(steps: Any, images: list[bytes]) -> None:
    """Also where no image is left that would say how large it is."""
    decode = Decode(SPEC, on_error="skip", augment=steps, seed_column="seed")
    table = decode(pa.table({"bytes": [images[0], BROKEN, *images[2:]], "seed": range(5)}))
    kept = [0, 2, 3, 4]
    want = fastpre.Preprocessor(SPEC)([images[i] for i in kept], augment=steps, seeds=kept)
    assert np.array_equal(tensors(table), want.numpy())
    seeds = pa.array([], pa.int64())
    for none in ({"bytes": [BROKEN] * 2, "seed": [1, 2]}, {"bytes": pa.array([], pa.binary()), "seed": seeds}):
        assert decode(pa.table(none)).schema == table.schema
        assert decode(pa.table(none)).num_rows == 0


def test_other_columns_keep_their_types(images: list[bytes]) -> None:
    label = pa.field("label", pa.int16(), metadata={"classes": "2"})
    schema = pa.schema([("bytes", pa.binary()), label, ("tags", pa.list_(pa.string()))], metadata={"huggingface": "{}"})
    table = pa.table([images, [None, 1, 2, 3, 4], [["x"], [], None, [], ["y"]]], schema=schema)
    got = Decode(SPEC, output="pixels", on_error="skip")(table)
    assert got.schema.field("label").equals(label, check_metadata=True)
    assert got.schema.metadata is None  # it was of columns that are gone
    assert got.drop_columns(["pixels"]).to_pylist() == table.drop_columns(["bytes"]).to_pylist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"column": "photo"}, r"there is no column 'photo'; the data set has 'bytes', 'label'"),
        ({"name_column": "key"}, r"there is no column 'key'; the data set has"),
        ({"output": "label"}, r"has a column 'label' already; give another output="),
        ({"output": "bytes", "keep_column": True}, r"has a column 'bytes' already; give another output="),
        ({"error_column": "label"}, r"has a column 'label' already; give another error_column="),
        ({"column": "label"}, r"column 'label' is of type int64; images are bytes"),
    ],
)
def test_wrong_columns(arguments: Any, message: str, images: list[bytes]) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Decode(SPEC, **arguments)(pa.table({"bytes": images, "label": [0] * len(images)}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spec": fastpre.Spec(dtype="bfloat16")}, "no bfloat16: take float16 or float32, or uint8"),
        ({"spec": fastpre.Spec(resize=64, crop=None)}, "have one size: set the spec's crop"),
        ({"on_error": "drop"}, "on_error must be 'raise', 'fill' or 'skip'"),
        ({"num_threads": 0}, "num_threads must be at least 1"),
        ({"spec": fastpre.Spec(), "error_column": "image"}, "output and error_column are both 'image'"),
        ({"spec": fastpre.Spec(dtype="bfloat16"), "augment": [RandomResizedCrop(24)]}, "no bfloat16"),
        (
            {"spec": fastpre.Spec(resize=64, crop=None), "augment": [RandomHorizontalFlip()]},
            r"let the augmentation end with one, unlike Compose\(\[RandomHorizontalFlip",
        ),
        ({"seed_column": "seed"}, "seed_column is for augment"),
    ],
)
def test_wrong_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Decode(**arguments)


@pytest.mark.parametrize("missing", ["ray", "pyarrow"])
def test_without_ray_data(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import fastpre.interop.ray"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert 'pip install "ray[data]"' in done.stderr.splitlines()[-1]
