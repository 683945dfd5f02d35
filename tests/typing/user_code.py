"""Code as users write it, for mypy and pyright: it is checked, never run.

A line with `type: ignore` must be an error: both checkers report one that is not needed.
"""

from __future__ import annotations

import io
import mmap
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

import fastpre
import fastpre.data
import fastpre.transforms
from fastpre.typing import Images, Interpolation, SpecFields

if TYPE_CHECKING:
    from typing_extensions import Unpack, assert_type

Array = np.ndarray[Any, Any]


def one_call(images: list[bytes], pixels: torch.Tensor, array_: Array) -> None:
    assert_type(fastpre.decode_resize_normalize(images), torch.Tensor)
    assert_type(fastpre.decode_resize_normalize(images, out=pixels), torch.Tensor)
    assert_type(fastpre.decode_resize_normalize(images, out=array_), Array)
    fastpre.decode_resize_normalize(
        images,
        resize=(256, 320),
        crop=[224],
        interpolation="bicubic",
        mean=0.5,
        std=(0.2, 0.2, 0.2),
        dtype=torch.float16,
        memory_format=torch.channels_last,
        color="BGR",
        exif_orientation=True,
        fidelity="fast",
        truncated="partial",
        max_pixels=10**6,
        max_output_pixels=10**6,
        max_bytes=10**6,
        max_work=10**9,
        max_size=None,
        rescale="multiply",
        pass_order="adaptive",
        device=torch.device("cuda", 0),
        pin_memory=False,
        on_error="fill",
        fill=-1.0,
        deadline_s=0.5,
        num_threads=2,
    )
    fastpre.decode_resize_normalize(images, dtype="bfloat16", memory_format="channels_last", device="cuda:1")
    fastpre.decode_resize_normalize(images, interpolation=Image.Resampling.LANCZOS, mean=None, std=None)

    fastpre.decode_resize_normalize(images, interpolation="bicubik")  # type: ignore[call-overload]
    fastpre.decode_resize_normalize(images, size=256)  # type: ignore[call-overload]
    fastpre.decode_resize_normalize(images, dtype="float64")  # type: ignore[call-overload]
    fastpre.decode_resize_normalize(images, on_error="ignore")  # type: ignore[call-overload]
    fastpre.decode_resize_normalize(images, out=bytearray(9))  # type: ignore[call-overload]
    fastpre.decode_resize_normalize(b"one image")  # type: ignore[arg-type]


def kinds_of_images(data: bytes, path: Path, bytes_: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    pre = fastpre.Preprocessor()
    one: Sequence[bytes] = [data]
    pre(one)
    pre([bytearray(data), memoryview(data), array("B", data), mmap.mmap(-1, 9)])
    pre([path, str(path), bytes_, torch.frombuffer(bytearray(data), dtype=torch.uint8)])
    pre(iter((data, path)))
    pre([io.BytesIO(data), path.open("rb"), {"bytes": data, "path": None}, None])
    batch: Images = [data, path]
    pre(batch)

    pre([1, 2])  # type: ignore[list-item]
    pre(None)  # type: ignore[call-overload]
    pre([path.open("r")])  # type: ignore[list-item]


def specs() -> fastpre.Spec:
    spec = fastpre.Spec(resize=256, interpolation="lanczos", color="L")
    assert_type(spec.dtype, torch.dtype)
    assert_type(spec.memory_format, torch.memory_format)
    assert_type(spec.output_size, tuple[int, int] | None)
    assert_type(spec.mean, tuple[float, ...] | None)
    filter_: Interpolation = spec.interpolation
    fields: SpecFields = {"crop": None, "interpolation": filter_}
    spec = spec.replace(**fields).replace(dtype=torch.uint8)

    fastpre.Spec(interpolation="bicubik")  # type: ignore[arg-type]
    fastpre.Spec(size=256)  # type: ignore[call-arg]
    fastpre.Spec(dtype=torch.float32, memory_format=torch.float32)  # type: ignore[arg-type]
    spec.replace(fidelity="best")  # type: ignore[arg-type]
    spec.replace(size=256)  # type: ignore[call-arg]
    spec.resize = 3  # type: ignore[misc]
    return spec


def own_call(images: Images, **fields: Unpack[SpecFields]) -> torch.Tensor:
    return fastpre.Preprocessor(fastpre.Spec(**fields), "cpu", 2, pin_memory=True)(images, on_error="skip", fill=0)


def results(images: list[str], array_: Array) -> Iterator[str]:
    pre = fastpre.Preprocessor(fastpre.Spec(), device="cpu", num_threads=None)
    result = pre.run(images, on_error="skip", deadline_s=2)
    assert_type(result.tensor, torch.Tensor)
    assert_type(pre.run(images, out=array_).tensor, Array)
    show(result)
    for image in result.images:
        assert_type(image, fastpre.ImageResult)
        error = image.error
        if isinstance(error, fastpre.DeadlineExceeded):
            yield "late"
        if isinstance(error, fastpre.ImageError):
            yield f"{error.index} {error.name} {error.reason}"
        yield f"{image.ok} {image.width * image.height} {image.decoder.upper()} {image.stages_us['decode'] / 1000}"
    rows: list[int] = result.indices
    yield str(rows)
    np.from_dlpack(pre.dlpack(images))

    result.tensors  # type: ignore[attr-defined]
    pre.run(images, on_error="ignore")  # type: ignore[call-overload]
    fastpre.Preprocessor({"resize": 3})  # type: ignore[arg-type]


def training(images: list[bytes], root: Path) -> Iterator[object]:
    steps = [fastpre.augment.RandomResizedCrop(224), fastpre.augment.RandomHorizontalFlip(0.5)]
    pre = fastpre.Preprocessor()
    assert_type(pre(images, augment=steps, seeds=[1, 2]), torch.Tensor)
    result = pre.run(images, augment=fastpre.augment.FiveCrop((200, 180)))
    for image in result.images:
        assert_type(image.flipped, bool)
        draws: Sequence[object] = image.draws
        yield image.crop, draws
    fastpre.decode_resize_normalize(images, augment=fastpre.augment.Compose(steps), truncated="partial")
    loader = fastpre.data.Loader(images, augment=steps, seed=3, batch_size=4, shuffle=True)
    state: dict[str, object] = loader.state_dict()
    loader.load_state_dict(state)
    yield from loader
    yield loader.report(), loader.stats()
    yield fastpre.data.ImageFolder(root, torch.nn.Identity())

    fastpre.augment.RandomResizedCrop(224, interpolation="cubic")  # type: ignore[arg-type]
    pre(images, augments=steps)  # type: ignore[call-overload]


def show(result: fastpre.Result) -> tuple[int, ...]:
    return tuple(result.tensor.shape)


def planning(data: bytes) -> tuple[int, int]:
    p: fastpre.Plan = fastpre.plan(data, fastpre.Spec())
    assert_type(p.decoder, str)
    fastpre.plan(3)  # type: ignore[arg-type]
    assert_type(fastpre.transcode(data, crop=(96, 128), optimize=False, restart_rows=1, metadata="all"), bytes)
    fastpre.transcode(data, metadata="exif")  # type: ignore[arg-type]
    return p.output


def transforms(data: bytes, path: Path, pixels: torch.Tensor) -> None:
    t = fastpre.transforms.DecodeResizeNormalize(resize=256, crop=224, num_threads=1)
    assert_type(t.spec, fastpre.Spec)
    images: Iterable[torch.Tensor] = [
        t.forward(data),
        t.forward(path),
        t.forward(pixels),
        t.forward(Image.new("RGB", (4, 4))),
    ]
    assert_type(fastpre.transforms.read_bytes(path), bytes)
    fused: torch.nn.Module = fastpre.transforms.fuse(torch.nn.Identity())
    print(images, fused)

    fastpre.transforms.DecodeResizeNormalize(interpolation="bicubik")  # type: ignore[arg-type]
    fastpre.transforms.DecodeResizeNormalize(size=256)  # type: ignore[call-arg]
    t.forward(3)  # type: ignore[arg-type]


class Photos(torch.utils.data.Dataset[tuple[bytes, int]]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[bytes, int]:
        return b"", index


def data() -> None:
    loader = fastpre.data.Loader(Photos(), fastpre.Spec(), batch_size=2, on_error="skip", shuffle=True)
    for images, labels in loader:
        print(images, labels)
    print(len(loader), loader.spec, [(error.name, error.dataset_index) for error in loader.errors])
    loader.sampler.set_epoch(1)
    loader.set_epoch(2)
    state: dict[str, Any] = loader.state_dict()
    loader.load_state_dict(state)
    report, stats = loader.report(), loader.stats()
    assert_type(report, fastpre.data.Report)
    assert_type(report[0], fastpre.data.BadImage)
    print(len(report), report.total, report.counts["CorruptImage"], [(bad.name, bad.reason) for bad in report])
    report.clear()
    assert_type(stats, fastpre.data.Stats)
    print(stats, stats.images_per_s, stats.mb_per_s, stats.waited, stats.bottleneck == "decoding")
    fastpre.data.Loader(Photos(), seed=1, progress=True)
    paths: list[Path] = [Path("a.jpg")]
    fastpre.data.Loader(paths, device=torch.device("cpu"))
    fastpre.data.Loader(("a.jpg", b""))
    fastpre.data.Loader([(b"", 1), (None, 2)], batch_size=2)
    fastpre.data.Loader(torch.utils.data.Subset(Photos(), [0]))
    torch.utils.data.DataLoader(Photos(), collate_fn=fastpre.data.collate(fastpre.Spec(), on_error="fill"))


def read_images() -> Iterator[tuple[bytes, int]]:
    yield b"", 0


def label_of(key: str) -> int:
    return len(key)


def sources(folder: Path, table: Any) -> None:
    files = fastpre.data.Files([folder / "a.jpg", "b.jpg"], labels=[0, 1])
    shards = fastpre.data.Shards(folder, ("jpg;jpeg", "cls", "__key__"), shuffle=1000, seed=1, rank=0, world_size=2)
    shards.set_epoch(3)
    state: dict[str, Any] = shards.state_dict()
    shards.load_state_dict(state)
    indexed: fastpre.data.IndexedShards = shards.indexed()
    parquet = fastpre.data.Parquet([str(folder)], image="image.bytes", columns=["label"])
    stream: fastpre.data.ParquetStream = parquet.stream(shuffle=True)
    for dataset in (
        files,
        shards,
        indexed,
        parquet,
        stream,
        fastpre.data.Shards(["s3://bucket/a.tar", lambda: io.BytesIO(), folder]),
        fastpre.data.Columns(table, "image", "label"),
        fastpre.data.Lmdb(folder, label_of),
        fastpre.data.Remote(["s3://bucket/a.jpg"], [1], concurrency=8, timeout_s=2, storage_options={"anon": True}),
        fastpre.data.Stream(read_images, length=1),
    ):
        fastpre.data.Loader(dataset, batch_size=2)
    print(len(files), len(indexed), indexed.classes, len(stream))

    fastpre.data.Files(3)  # type: ignore[arg-type]
    fastpre.data.Shards(folder, shuffle="yes")  # type: ignore[arg-type]
    fastpre.data.Parquet(folder, columns=[3])  # type: ignore[list-item]
    fastpre.data.Stream(3)  # type: ignore[arg-type]


def wrong_data() -> None:
    fastpre.data.Loader(Photos(), on_error="ignore")  # type: ignore[arg-type]
    fastpre.data.Loader(3)  # type: ignore[arg-type]
    fastpre.data.Loader(Photos(), seed="1")  # type: ignore[arg-type]
