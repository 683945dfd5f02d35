"""fastpre.interop.ray on a real Ray cluster: a local one, which the module starts and ends."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fastpre
import streams
from ray_cluster import local_cluster

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install "ray[data]"')
pytest.importorskip("ray.data", reason='Ray Data is not complete: pip install "ray[data]"')

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from fastpre.interop.ray import Decode, Report  # noqa: E402

SPEC = fastpre.Spec(resize=40, crop=32, interpolation="bicubic", dtype="float16", color="BGR")
BROKEN = b"\xff\xd8 and no more"
DOCS = Path(__file__).parents[2] / "docs" / "ray.md"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray")  # of its own use


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    """Twelve photographs of different sizes."""
    return [streams.encode(streams.picture("RGB", 50 + 3 * i, 60 - i, seed=i)) for i in range(12)]


@pytest.fixture(scope="module")
def want(images: list[bytes]) -> Any:
    return fastpre.Preprocessor(SPEC)(images).numpy()


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two CPUs and a GPU by name only."""
    with local_cluster(num_cpus=2, num_gpus=1):
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield


def decoded(dataset: Any, decode: Any = Decode, options: Any = None, **arguments: Any) -> Any:
    """The data set with its images decoded by one actor, by batches of four.

    Args:
        options: map_batches's own.
        arguments: Decode's.
    """
    how = {"batch_size": 4, "compute": ray.data.ActorPoolStrategy(size=1), **(options or {})}
    return dataset.map_batches(decode, fn_constructor_kwargs={"spec": SPEC, **arguments}, **how)


def whole(dataset: Any) -> dict[str, Any]:
    """All of a data set, as NumPy arrays."""
    return next(iter(dataset.iter_batches(batch_size=1000, batch_format="numpy")))  # type: ignore[no-any-return]


def test_parquet(cluster: None, images: list[bytes], want: Any, tmp_path: Path) -> None:
    """Several files and row groups, two actors, a Spec that is not the default."""
    for i in range(0, 12, 4):
        table = pa.table({"bytes": images[i : i + 4], "label": pa.array(range(i, i + 4), pa.int16())})
        pq.write_table(table, tmp_path / f"{i:02}.parquet", row_group_size=2)
    options = {"batch_format": "pyarrow", "compute": ray.data.ActorPoolStrategy(size=2), "num_cpus": 0.5}
    got = whole(decoded(ray.data.read_parquet(str(tmp_path)), options=options))
    assert sorted(got) == ["image", "label"]
    assert got["label"].tolist() == list(range(12))
    assert got["label"].dtype == np.int16
    assert got["image"].dtype == np.float16
    assert np.array_equal(got["image"], want)


def test_random_crops_by_a_column_of_seeds(cluster: None, images: list[bytes], tmp_path: Path) -> None:
    seeds = list(range(100, 112))
    augment = fastpre.augment.Compose([fastpre.augment.RandomResizedCrop(32), fastpre.augment.RandomHorizontalFlip()])
    pq.write_table(pa.table({"bytes": images, "seed": seeds}), tmp_path / "a.parquet", row_group_size=2)
    options = {"compute": ray.data.ActorPoolStrategy(size=2), "num_cpus": 0.5}
    got = whole(decoded(ray.data.read_parquet(str(tmp_path)), options=options, augment=augment, seed_column="seed"))
    want = fastpre.Preprocessor(SPEC)(images, augment=augment, seeds=seeds).numpy()
    assert np.array_equal(got["image"], want)
    with pytest.raises(ValueError, match="seed_column is for augment"):
        Decode(SPEC, seed_column="seed")


def test_the_examples_of_the_docs(
    cluster: None, images: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they stand, but for the place of the data and the number of actors."""
    if not DOCS.exists():  # an installed package's tests
        pytest.skip("docs/ray.md is not here")
    (tmp_path / "photographs").mkdir()
    (tmp_path / "folder").mkdir()
    pq.write_table(pa.table({"bytes": images, "label": range(12)}), tmp_path / "photographs" / "a.parquet")
    for name, data in {"a.jpg": images[0], "b.jpg": BROKEN}.items():
        (tmp_path / "folder" / name).write_bytes(data)
    examples = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    code = "".join(examples).replace("s3://bucket", str(tmp_path)).replace("actors = 31 ", "actors = 1 ")
    assert code.count(str(tmp_path)) == 3
    assert "actors = 1 " in code
    exec(compile(code, "ray.md", "exec"), {"__name__": "example"})
    printed = capsys.readouterr().out
    assert "(12, 3, 224, 224)" in printed
    assert "{'CorruptImage': 1}" in printed
    assert f"{tmp_path}/folder/b.jpg" in printed
    assert "'label': 0, 'class': " in printed
    written = pq.read_table(tmp_path / "tensors", columns=["path"])
    assert written["path"].to_pylist() == [f"{tmp_path}/folder/a.jpg"]


def test_structs_of_hugging_face(cluster: None, images: list[bytes], want: Any, tmp_path: Path) -> None:
    """As `datasets` writes Parquet, through `datasets` itself."""
    datasets = pytest.importorskip("datasets")
    rows: list[Any] = [{"bytes": data, "path": f"{i}.jpg"} for i, data in enumerate([*images[:3], BROKEN, *images[4:]])]
    rows[4] = None
    features = datasets.Features({"image": datasets.Image(decode=False), "label": datasets.Value("int64")})
    table = datasets.Dataset.from_dict({"image": rows, "label": list(range(12))}, features=features)
    table.to_parquet(tmp_path / "train.parquet")
    report = Report()
    dataset = ray.data.read_parquet(str(tmp_path))
    got = whole(decoded(dataset, column="image", on_error="skip", report=report))
    assert got["label"].tolist() == [0, 1, 2, *range(5, 12)]
    assert np.array_equal(got["image"], want[got["label"]])
    assert report.counts() == {"CorruptImage": 1, "ImageReadError": 1}
    assert [error.name for error in report.errors()] == ["3.jpg", None]
    assert "3.jpg" in str(report.errors()[0])


def test_folders(cluster: None, images: list[bytes], want: Any, tmp_path: Path) -> None:
    """`read_binary_files(include_paths=True)`: rows are named, kept, and say what is wrong with them."""
    for i, data in enumerate([*images[:4], BROKEN, *images[5:7], images[7][:200]]):
        path = tmp_path / f"class{i // 4}" / f"{i}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    report = Report(keep=1)
    files = ray.data.read_binary_files(str(tmp_path), include_paths=True)
    dataset = decoded(files, on_error="fill", fill=-1, error_column="error", report=report).materialize()
    got = whole(dataset)
    order = [int(Path(path).stem) for path in got["path"]]
    assert sorted(order) == list(range(8))
    for i, tensor, error in zip(order, got["image"], got["error"], strict=True):
        if i in (4, 7):
            assert error.startswith("CorruptImage: ")
            assert (tensor == -1).all()
        else:
            assert error is None
            assert np.array_equal(tensor, want[i])
    assert dataset.filter(expr=ray.data.expressions.col("error").is_not_null()).count() == 2
    assert report.counts() == {"CorruptImage": 2}
    assert [Path(str(error.name)).name for error in report.errors()] in (["4.jpg"], ["7.jpg"])


def test_a_block_without_rows_that_are_left(cluster: None, images: list[bytes], want: Any, tmp_path: Path) -> None:
    """It must not change the schema of the others, nor that of what is written."""
    blocks = [pa.table({"bytes": data, "key": list("abcd")}) for data in ([BROKEN] * 4, images[:4])]
    dataset = decoded(ray.data.from_arrow(blocks), on_error="skip").materialize()
    assert dataset.schema().names == ["key", "image"]
    assert np.array_equal(whole(dataset)["image"], want[:4])
    dataset.write_parquet(str(tmp_path))
    assert np.array_equal(whole(ray.data.read_parquet(str(tmp_path)))["image"], want[:4])


def test_no_row_is_left_before_decoding(cluster: None, images: list[bytes]) -> None:
    table = pa.table({"bytes": images[:4], "key": list("abcd")})
    empty = ray.data.from_arrow(table).filter(expr=ray.data.expressions.col("key") == "z")
    assert decoded(empty).count() == 0


class Told(Decode):
    """Adds what its actor may use."""

    def __call__(self, batch: Any) -> Any:
        table = super().__call__(batch)
        said = [f"{self.preprocessor.num_threads} {os.environ['OMP_NUM_THREADS']} {self.preprocessor.device}"]
        return table.append_column("told", pa.array(said * table.num_rows))


@pytest.mark.parametrize(
    ("options", "arguments", "want"),
    [
        ({"num_cpus": 2}, {}, "2 2 cpu"),
        ({"num_cpus": 0.5}, {}, "1 1 cpu"),
        ({"num_gpus": 1}, {"device": "emulated", "num_threads": 3}, "3 1 emulated"),
    ],
)
def test_threads_are_the_actors_cpus(
    options: Any, arguments: Any, want: str, cluster: None, images: list[bytes]
) -> None:
    dataset = ray.data.from_arrow(pa.table({"bytes": images[:1]}))
    assert whole(decoded(dataset, Told, options, **arguments))["told"].tolist() == [want]


# The tests below kill actors, and Ray is slow for some seconds after that.


def test_raise_names_the_image(cluster: None, images: list[bytes]) -> None:
    table = pa.table({"bytes": [images[0], BROKEN], "path": ["a.jpg", "train/b.jpg"]})
    with pytest.raises(ray.exceptions.RayTaskError, match=r"CorruptImage: image 1 \(train/b.jpg\): "):
        decoded(ray.data.from_arrow(table)).materialize()


def test_an_actor_with_a_gpu_decodes_on_it(cluster: None, images: list[bytes], want: Any) -> None:
    """Ray counts a GPU; where there is none, the actor says so."""
    dataset = decoded(ray.data.from_arrow(pa.table({"bytes": images})), options={"num_gpus": 1})
    if torch.cuda.is_available() and not fastpre._core.cuda_info()["missing"]:
        assert np.array_equal(whole(dataset)["image"], want)
    else:
        with pytest.raises(ray.exceptions.ActorDiedError, match="BackendUnavailable: device='cuda': "):
            dataset.materialize()


def test_wrong_arguments_are_said_at_the_end(cluster: None, images: list[bytes]) -> None:
    dataset = ray.data.from_arrow(pa.table({"photo": images[:1]}))
    with pytest.raises(ray.exceptions.ActorDiedError) as died:
        decoded(dataset, on_error="drop").materialize()
    assert str(died.value).rstrip().endswith("ValueError: on_error must be 'raise', 'fill' or 'skip', got 'drop'")
    with pytest.raises(
        ray.exceptions.RayTaskError, match="ValueError: there is no column 'bytes'; the data set has 'photo'"
    ):
        decoded(dataset).materialize()
