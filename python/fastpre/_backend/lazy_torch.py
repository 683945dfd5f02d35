"""torch, imported when it is first needed: everything but tensors works without it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


@functools.cache
def installed() -> bool:
    """True if `import torch` works."""
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def require() -> Any:
    """The torch module, or an ImportError that says what else can be done."""
    try:
        import torch
    except ImportError as e:
        msg = "this call returns torch tensors: pip install torch, or use Preprocessor.dlpack for NumPy and JAX"
        raise ImportError(msg) from e
    return torch


def name_of(value: object) -> str:
    """`torch.float32` -> "float32", `torch.channels_last` -> "channels_last"; strings as they are."""
    return str(value).removeprefix("torch.")


def as_attribute(name: str) -> Any:
    """The reverse of `name_of`, where torch is installed; the plain name elsewhere."""
    return getattr(require(), name) if installed() else name


class NamedAttribute:
    """A descriptor: a field kept as a name, and read as torch's object of that name (the name itself without torch).

    It lets a `Spec` be made, compared and used without importing torch.
    """

    def __init__(self, default: str) -> None:
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.key = f"_{name}_name"

    def __get__(self, instance: Any, owner: type) -> Any:
        return self.default if instance is None else as_attribute(instance.__dict__[self.key])

    def __set__(self, instance: Any, value: object) -> None:
        instance.__dict__[self.key] = name_of(value)


def is_tensor(value: object) -> bool:
    """True for a torch.Tensor, without importing torch to find out that nothing is one."""
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(type(value), torch.Tensor)


def inside_loader_worker() -> bool:
    """True in a DataLoader worker process, where one thread is each worker's share."""
    worker = sys.modules.get("torch.utils.data._utils.worker")
    return worker is not None and worker.get_worker_info() is not None


REASON = "fastpre decodes outside of graphs, in C++"


def outside_graphs(function: F) -> F:
    """Has `torch.compile` break its graph at calls of the function, and look at nothing inside.

    `torch.compiler.disable` without importing torch first. With fullgraph=True torch's error gives `REASON`.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return _untraced(function)(*args, **kwargs)

    return _marked(call)  # type: ignore[return-value]


def _marked(function: Callable[..., Any]) -> Callable[..., Any]:
    """What torch.compiler.disable leaves on its functions: Dynamo does not trace into them."""
    function._torchdynamo_disable = True  # type: ignore[attr-defined]
    function._torchdynamo_disable_msg = REASON  # type: ignore[attr-defined]
    return function


_disabled: dict[Callable[..., Any], Callable[..., Any]] = {}


def _untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function; once Dynamo is loaded, which torch.compile does, in a form that keeps it from the frames inside."""
    if "torch._dynamo" not in sys.modules:
        return function
    if function not in _disabled:
        _disabled[function] = require().compiler.disable(function)
    return _disabled[function]


# Dynamo may trace `call` itself, which holds the caller's tensors; it stops here.
_marked(_untraced)
