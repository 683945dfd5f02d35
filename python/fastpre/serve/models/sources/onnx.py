"""`onnx:FILE.onnx`: run by ONNX Runtime, on CUDA by its CUDA execution provider.

The file says the shape, datatype and names of what it takes and gives. If its batch is fixed there, smaller ones are
filled up with zeros. Input as (N, H, W, C), as TensorFlow's models have it, is taken too: the batch is in the channels
last format then, which is the same memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....spec import Spec
from ..errors import ModelUnavailable
from ..found import Found, Options
from ..libraries import required
from ..sidecar import model_file
from .files import InputShape, described, no_parameters

if TYPE_CHECKING:
    import torch

__all__ = ["find"]

# ONNX Runtime's names of types, as torch calls them.
_TYPES = {
    "tensor(bool)": "bool",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


def find(target: str, parameters: Mapping[str, Any], options: Options) -> Found:
    """See the module."""
    no_parameters("onnx", parameters)
    runtime = required("onnxruntime", "onnx")
    path = model_file(target, ".onnx")
    try:
        session = runtime.InferenceSession(
            str(path), sess_options=_session_options(runtime, options), providers=_providers(runtime, options)
        )
    except ModelUnavailable:
        raise
    except Exception as e:  # its exceptions have no class in common
        raise ModelUnavailable(f"{target} cannot be read by ONNX Runtime: {' '.join(str(e).split())}") from e
    for output in session.get_outputs():
        if output.type not in _TYPES:
            raise ModelUnavailable(f"output {output.name} of {target} is {output.type}; tensors of numbers are needed")
    shape, pixels_last = _shape(session.get_inputs(), target)
    network = _Session(session, pixels_last, options)
    ranks = tuple(len(output.shape) for output in session.get_outputs())
    return described(network, "onnxruntime", path, options, shape, ranks)


def _session_options(runtime: Any, options: Options) -> Any:
    made = runtime.SessionOptions()
    made.log_severity_level = 3  # errors; what it warns of is the model's making
    # Threads that wait for work without giving the core away take it from those that decode: resnet18 with two threads
    # took 31 ms instead of 16 where another process had one of two cores.
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if options.num_threads is not None:
        made.intra_op_num_threads = options.num_threads
    return made


def _providers(runtime: Any, options: Options) -> list[Any]:
    if options.device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in runtime.get_available_providers():
        raise ModelUnavailable(f"onnx: {options.device} needs another package: pip install onnxruntime-gpu")
    import torch

    index = torch.device(options.device).index or 0
    return [("CUDAExecutionProvider", {"device_id": index}), "CPUExecutionProvider"]


def _shape(inputs: list[Any], target: str) -> tuple[InputShape, bool]:
    """Of the one input, and True if it is (N, H, W, C)."""
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        shapes = ", ".join(f"{each.name} {each.shape}" for each in inputs)
        raise ModelUnavailable(f"{target} takes {shapes}, and a model to be served takes one tensor of (N, C, H, W)")
    batch, channels, height, width = (side if isinstance(side, int) else 0 for side in inputs[0].shape)
    pixels_last = width in (1, 3) and channels not in (1, 3)
    if pixels_last:
        channels, height, width = width, channels, height
    dtype = _TYPES.get(inputs[0].type, inputs[0].type)
    return InputShape(batch, channels, height, width, dtype), pixels_last


class _Session:
    """A `Network` of an ONNX Runtime session; its outputs are written into tensors of torch's.

    The first call learns the outputs' shapes; later ones let it write into memory that is there, page-locked on CUDA.
    """

    def __init__(self, session: Any, pixels_last: bool, options: Options) -> None:
        self._session = session
        self._pixels_last = pixels_last
        self._input = session.get_inputs()[0].name
        self._outputs = session.get_outputs()
        self._device = options.device
        self._shapes: dict[str, tuple[int, ...]] = {}

    def prepare(self, spec: Spec, options: Options) -> Spec:
        """See `Network`."""
        return spec.replace(memory_format="channels_last" if self._pixels_last else "contiguous_format")

    def __call__(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        import torch

        batch = (batch.permute(0, 2, 3, 1) if self._pixels_last else batch).contiguous()
        if not self._shapes:
            arrays = self._session.run(None, {self._input: batch.cpu().numpy()})
            found = {output.name: torch.from_numpy(array) for output, array in zip(self._outputs, arrays, strict=True)}
            self._shapes = {name: tuple(tensor.shape[1:]) for name, tensor in found.items()}
            return found
        binding = self._session.io_binding()
        self._bind(binding.bind_input, self._input, batch)
        results = {}
        for output in self._outputs:
            dtype = getattr(torch, _TYPES[output.type])
            shape = (batch.shape[0], *self._shapes[output.name])
            results[output.name] = torch.empty(shape, dtype=dtype, pin_memory=batch.is_cuda)
            self._bind(binding.bind_output, output.name, results[output.name])
        if batch.is_cuda:
            torch.cuda.current_stream(batch.device).synchronize()  # ONNX Runtime has a stream of its own
        self._session.run_with_iobinding(binding)
        return results

    def _bind(self, bind: Any, name: str, tensor: torch.Tensor) -> None:
        import torch

        element = torch.empty(0, dtype=tensor.dtype).numpy().dtype.type
        index = tensor.device.index or 0
        bind(name, tensor.device.type, index, element, tuple(tensor.shape), tensor.data_ptr())
