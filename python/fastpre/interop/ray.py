"""Ray Data: a class for `Dataset.map_batches` whose actors hold one `Preprocessor` each.

photographs = ray.data.read_parquet("s3://bucket/photographs")
tensors = photographs.map_batches(
    fastpre.interop.ray.Decode,
    fn_constructor_kwargs={"spec": spec, "column": "bytes"},
    batch_format="pyarrow",
    batch_size=64,
    compute=ray.data.ActorPoolStrategy(size=8),
)

docs/ray.md has the way from one machine to many, and what it costs.
"""

from __future__ import annotations

import collections
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._backend import lazy_torch
from .._backend import output as memory
from .._backend.arguments import check_on_error, integer
from ..augment.compose import Augment, Compose, compose
from ..augment.random import Random
from ..errors import ImageError
from ..preprocessor import Preprocessor, start_of
from ..result import Result
from ..spec import Spec, layout
from ..typing import OnError

try:
    import pandas  # type: ignore[import-untyped]
    import pyarrow
    import ray
    from ray.data.block import BlockAccessor, BlockType
    from ray.data.extensions import ArrowTensorArray
except ImportError as e:
    msg = f'fastpre.interop.ray is for Ray Data, which cannot be imported ({e}): pip install "ray[data]"'
    raise ImportError(msg) from e

if TYPE_CHECKING:
    import torch

    Array = np.ndarray[Any, Any]
    Batch: TypeAlias = Mapping[str, Array] | pyarrow.Table | pandas.DataFrame

__all__ = ["Decode", "Report"]

# Arrow's types, by their names, which are the same in every version that has them.
BYTES = frozenset({"binary", "large_binary", "binary_view"})
TEXT = frozenset({"string", "large_string", "string_view"})
FIELDS = ("bytes", "path")  # of the structs that Hugging Face's data sets keep images as

TRIED = ((6000, 8000), (8000, 6000))  # (height, width) of images for which augmentations are to end with one size


class Decode:
    """A column of compressed images to one of tensors. Ray Data makes one in each actor of `map_batches`.

    A batch may have any of Ray's formats. What is returned is a `pyarrow.Table` whose last column holds (C, H, W)
    tensors of the spec's dtype; what follows in Ray's default format gets a NumPy array (N, C, H, W) of it. With
    `batch_format="pyarrow"` images are decoded from Arrow's memory without a copy, and other columns keep their exact
    types. A batch without a row that is left has the same columns as any other.

    Args:
        spec: what to do with every image; None: `Spec()`. Outputs must have one size: a `crop`, or
            resize=(height, width). bfloat16 is refused, because NumPy has none. `memory_format` is not kept: Arrow's
            tensors are dense and in the order of their shape.
        column: the column of images: bytes, as `ray.data.read_binary_files` gives them; structs of "bytes" and "path",
            as Hugging Face's data sets have them; or strings, which are paths that the actors read themselves.
        output: the name of the new column.
        device: "cpu", "cuda" (the GPU that Ray gives the actor), or "emulated", for tests. None: "cuda" in actors that
            have a GPU (`num_gpus=1`), else "cpu". Tensors end on the host, where Ray keeps its blocks.
        num_threads: decoding threads of each actor. None: as many as the CPUs that Ray has assigned to it (`num_cpus`),
            rounded down, at least 1. (Ray sets OMP_NUM_THREADS to the same, and no CPU affinity.)
        on_error: what to do with a row whose image is null or cannot be decoded: "raise" its `ImageError`, which ends
            the execution; "fill" its tensor with `fill`; or "skip" the row.
        fill: the value of a failed image's tensor, in the output's scale.
        keep_column: whether the compressed images stay as well.
        name_column: the column that says in errors which row it is. None: "path", if there is one, and the paths in
            structs.
        error_column: the name of a new column of strings that say what is wrong, such as "CorruptImage: ..."; null
            where nothing is. None: no such column.
        report: gathers the failures of all actors for the driver.
        augment: random geometry, as `Preprocessor.run` takes it. torch's generator of each actor draws, which is not
            reproducible: Ray deals batches out as actors are free.
        seed_column: a column of integers that alone decide what is drawn for their rows.

    Raises:
        TypeError, ValueError: wrong arguments; Ray shows them at the end of an ActorDiedError.
        BackendUnavailable: the device cannot be used in this actor; the message says why.
    """

    def __init__(
        self,
        spec: Spec | None = None,
        column: str = "bytes",
        *,
        output: str = "image",
        device: str | torch.device | None = None,
        num_threads: int | None = None,
        on_error: OnError = "raise",
        fill: float = 0.0,
        keep_column: bool = False,
        name_column: str | None = None,
        error_column: str | None = None,
        report: Report | None = None,
        augment: Augment | Sequence[Any] | None = None,
        seed_column: str | None = None,
    ) -> None:
        threads, gpu = _granted()
        device = device if device is not None else "cuda" if gpu else "cpu"
        check_on_error(on_error)
        if isinstance(spec, Spec):
            spec = spec.replace(memory_format="contiguous_format")
        self.preprocessor = Preprocessor(spec, device, threads if num_threads is None else num_threads)
        self.augment = None if augment is None else compose(augment)
        if seed_column is not None and augment is None:
            raise ValueError("seed_column is for augment, and there is none")
        self.seed_column = seed_column
        self._size = _size(self.preprocessor.spec, self.augment)
        if output == error_column:
            raise ValueError(f"output and error_column are both {output!r}")
        self.column = column
        self.output = output
        self.on_error: OnError = on_error
        self.fill = float(fill)
        self.keep_column = keep_column
        self.name_column = name_column
        self.error_column = error_column
        self.report = report

    def __repr__(self) -> str:
        return f"Decode({self.preprocessor!r}, {self.column!r} -> {self.output!r}, on_error={self.on_error!r})"

    def __call__(self, batch: Batch) -> pyarrow.Table:
        """The batch with its images decoded.

        Raises:
            ImageError: with on_error="raise".
            ValueError: there is no such column, or one that has the name of a new one.
            TypeError: the column holds no compressed images.
        """
        columns = batch.column_names if isinstance(batch, pyarrow.Table) else list(batch)
        if not columns:  # of no rows either: Ray's empty blocks have no schema
            return pyarrow.table({})
        self._check(columns)
        images, names = _images(batch[self.column], self.column), self._names(batch, columns)
        seeds = None if self.seed_column is None else [int(seed) for seed in _values(batch[self.seed_column])]
        result = self._decoded(images, names, seeds)
        failed = {image.index: _located(image.error, names) for image in result.images if not image.ok}
        if failed and self.report is not None:
            self.report.add(list(failed.values()))
        table = _table(batch, without=None if self.keep_column else self.column)
        fields, arrays = list(table.schema), list(table.columns)
        if self.error_column is not None:
            texts = [_text(failed[row]) if row in failed else None for row in range(len(images))]
            arrays.append(pyarrow.array(texts, pyarrow.string()))
            fields.append(pyarrow.field(self.error_column, pyarrow.string()))
        # Metadata of the schema as a whole, such as Hugging Face's features, would describe columns that are gone.
        table = pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(fields))
        if len(result.indices) < len(images) and fields:
            kept = pyarrow.array(result.indices, pyarrow.int64())  # of this type also where none is
            table = BlockAccessor.for_block(table).take(kept)
        tensors = ArrowTensorArray.from_numpy(_array(result.tensor))
        if not fields:
            return pyarrow.table({self.output: tensors})
        return table.append_column(self.output, tensors)

    def _check(self, columns: list[str]) -> None:
        for name in (self.column, self.name_column, self.seed_column):
            if name is not None and name not in columns:
                raise ValueError(f"there is no column {name!r}; the data set has {', '.join(map(repr, columns))}")
        remaining = columns if self.keep_column else [name for name in columns if name != self.column]
        for argument, name in (("output", self.output), ("error_column", self.error_column)):
            if name in remaining:
                raise ValueError(f"the data set has a column {name!r} already; give another {argument}=")

    def _names(self, batch: Batch, columns: list[str]) -> list[str | None] | None:
        """How errors call the rows; None where there is no column for it."""
        column = self.name_column
        if column is None and "path" in columns:
            column = "path"
        if column is None:
            return None
        return [v if v is None or isinstance(v, str) else f"{column} {v}" for v in _values(batch[column])]

    def _decoded(self, images: list[Any], names: list[str | None] | None, seeds: list[int] | None) -> Result[Any]:
        pre = self.preprocessor
        views = 1 if self.augment is None else self.augment.views
        new = layout(pre.spec, len(images) * views, self._size)  # also where no image is left that would say its size
        if not images:
            rows = (0, *new.shape[1:]) if views == 1 else (0, views, *new.shape[1:])
            return Result(np.empty(rows, new.dtype), [], [])
        out: Any
        if pre.device.startswith("cuda"):
            out = lazy_torch.require().empty(new.shape, dtype=new.torch_dtype, device=pre.device)
        else:
            out = memory.recycled_array(new)
        try:
            return pre.run(images, out=out, on_error=self.on_error, fill=self.fill, augment=self.augment, seeds=seeds)
        except ImageError as error:
            _located(error, names)
            raise


def _values(column: Any) -> Any:
    return column.to_pylist() if isinstance(column, pyarrow.ChunkedArray) else column


class Report:
    """What failed, gathered on the driver from every actor of a data set.

    Make one for each execution: `report = Report()`, then `fn_constructor_kwargs={..., "report": report}`, and read it
    once the data set has been written, counted or consumed. It is a Ray actor that needs no CPU; actors tell it of
    batches with failures alone, and wait for its answer, so that nothing is missing afterwards. Batches that Ray runs
    again, after the loss of a node, say, count again.

    Args:
        keep: how many errors to keep, the first ones to arrive; all are counted.
    """

    def __init__(self, keep: int = 100) -> None:
        keep = integer("keep", keep, least=0)
        self._identity = uuid.uuid4().hex
        self._tally: Any = ray.remote(_Tally).options(num_cpus=0).remote(keep)

    def add(self, errors: list[ImageError]) -> None:
        """Adds a batch's errors; returns once they are counted."""
        ray.get(self._tally.add.remote(errors))

    def counts(self) -> dict[str, int]:
        """How many images failed so far, by the name of their error, such as {"CorruptImage": 3}."""
        counted: dict[str, int] = ray.get(self._tally.counts.remote())
        return counted

    def errors(self) -> list[ImageError]:
        """The errors that were kept; `.name` and `.reason` say which image and why."""
        kept: list[ImageError] = ray.get(self._tally.errors.remote())
        return kept

    # Ray Data finds an actor's `Decode` again by its arguments, after both were pickled.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)


class _Tally:
    """The actor behind a `Report`."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._counts: collections.Counter[str] = collections.Counter()
        self._errors: list[ImageError] = []

    def add(self, errors: list[ImageError]) -> None:
        self._counts.update(type(error).__name__ for error in errors)
        self._errors += errors[: self._keep - len(self._errors)]

    def counts(self) -> dict[str, int]:
        return dict(self._counts)

    def errors(self) -> list[ImageError]:
        return self._errors


def _granted() -> tuple[int | None, bool]:
    """The threads that this actor's CPUs stand for, and whether it has a GPU; (None, False) in any other process."""
    context = ray.get_runtime_context() if ray.is_initialized() else None
    if context is None or context.get_actor_id() is None:
        return None, False
    cpus = context.get_assigned_resources().get("CPU", 0)  # type: ignore[no-untyped-call]
    return max(1, int(cpus)), bool(context.get_accelerator_ids().get("GPU"))


def _size(spec: Spec, augment: Compose | None) -> tuple[int, int]:
    """(height, width) of all tensors of a column.

    Raises:
        ValueError: the spec's tensors do not make a column.
    """
    if spec.dtype_name == "bfloat16":
        msg = "NumPy, and so Ray Data, has no bfloat16: take float16 or float32, or uint8 and normalize on the device"
        raise ValueError(msg)
    if augment is None:
        if spec.output_size is None:
            raise ValueError("the tensors of a column have one size: set the spec's crop, or resize=(height, width)")
        return spec.output_size
    start, random = start_of(spec, augment), Random(lazy_torch.require().Generator())
    drawn = [augment.draw(start.draw(*size), spec.channels, random) for size in TRIED]
    sizes = {draw.size for draws in drawn for draw in draws}
    if len(sizes) > 1:
        raise ValueError(
            f"the tensors of a column have one size: let the augmentation end with one, unlike {augment!r}"
        )
    return sizes.pop()


def _images(values: Any, column: str) -> list[Any]:
    """A column as `Preprocessor.run` takes it, None where a row is null; Arrow's bytes stay where they are."""
    if not isinstance(values, pyarrow.ChunkedArray):
        absent = pandas.isna(values) if values.ndim == 1 else [False] * len(values)
        return [None if missing else value for value, missing in zip(values, absent, strict=True)]
    kind = values.type
    if str(kind) in BYTES:
        return [data for chunk in values.chunks for data in _views(chunk)]
    if str(kind) in TEXT or pyarrow.types.is_null(kind):
        paths: list[Any] = values.to_pylist()
        return paths
    if pyarrow.types.is_struct(kind):
        parts = {field.name: part for field, part in zip(kind, values.flatten(), strict=True) if field.name in FIELDS}
        if parts:
            rows = zip(*(_images(part, column) for part in parts.values()), strict=True)
            return [dict(zip(parts, row, strict=True)) for row in rows]
    msg = (
        f"column {column!r} is of type {kind}; images are bytes (binary), paths (string), or structs of 'bytes' and "
        "'path', as in Hugging Face's data sets"
    )
    raise TypeError(msg)


def _views(chunk: pyarrow.Array) -> list[memoryview | None]:
    """The elements of an array of bytes, as views of its memory: its scalars would be copies."""
    if str(chunk.type) == "binary_view":  # short elements lie elsewhere
        chunk = chunk.cast(pyarrow.large_binary())
    if len(chunk) == 0:
        return []
    _, offsets, data = chunk.buffers()
    width = np.int64 if str(chunk.type) == "large_binary" else np.int32
    ends = np.frombuffer(offsets, width)[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
    view = memoryview(b"" if data is None else data)
    spans = zip(ends[:-1], ends[1:], chunk.is_valid().to_pylist(), strict=True)
    return [view[begin:end] if valid else None for begin, end, valid in spans]


def _table(batch: Batch, without: str | None) -> pyarrow.Table:
    """A batch's columns, but for one, as Ray itself would make a block of them."""
    if isinstance(batch, pyarrow.Table):
        return batch if without is None else batch.drop_columns([without])
    if isinstance(batch, Mapping):
        batch = {name: values for name, values in batch.items() if name != without}
    elif without is not None:
        batch = batch.drop(columns=[without])
    return BlockAccessor.batch_to_block(batch, BlockType.ARROW)


def _located(error: Exception | None, names: list[str | None] | None) -> ImageError:
    """The error of a row, with the row's name."""
    assert isinstance(error, ImageError)
    if names is not None and error.index is not None:
        error.locate(names[error.index], None)
    return error


def _text(error: ImageError) -> str:
    """For the column of errors, whose row says already which image it is."""
    return f"{type(error).__name__}: {error.reason}"


def _array(tensor: Any) -> Array:
    """On the host."""
    if isinstance(tensor, np.ndarray):
        return tensor
    array: Array = tensor.cpu().numpy()
    return array
