"""torch.compile breaks its graph at fastpre's calls, quietly, and says so with fullgraph=True."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import fastpre
import streams
from fastpre.transforms import DecodeResizeNormalize

JPEG = streams.encode(streams.picture("RGB", 64, 48))
PRE = fastpre.Preprocessor(fastpre.Spec(resize=32, crop=24), num_threads=1)
TRANSFORM = DecodeResizeNormalize(PRE.spec, num_threads=1)
SHAPE = (1, 3, 24, 24)

CALLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "a Preprocessor": lambda _: PRE([JPEG]),
    "a Preprocessor with out": lambda x: PRE([JPEG], out=x),
    "a Preprocessor with out, skipping": lambda x: PRE([b"", JPEG], out=torch.cat([x, x]), on_error="skip"),
    "run": lambda _: PRE.run([JPEG]).tensor,
    "decode_resize_normalize": lambda _: fastpre.decode_resize_normalize([JPEG], resize=32, crop=24),
    "decode_resize_normalize with out": lambda x: fastpre.decode_resize_normalize([JPEG], resize=32, crop=24, out=x),
    "a module": lambda _: TRANSFORM(JPEG)[None],
}


class Frames:
    """A compiler that counts the graphs it is given, and what is in them."""

    def __init__(self) -> None:
        self.operations: list[str] = []

    def __call__(self, module: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        self.operations += [node.name for node in module.graph.nodes if node.op == "call_function"]
        return module.forward


@pytest.mark.parametrize("name", CALLS)
def test_the_graph_breaks_and_the_result_is_right(name: str) -> None:
    torch._dynamo.reset()
    call, frames = CALLS[name], Frames()
    compiled = torch.compile(lambda x: call(x) * 2, backend=frames)  # a warning would be an error here
    for _ in range(2):
        assert torch.equal(compiled(torch.zeros(SHAPE)), PRE([JPEG]) * 2)
    assert set(frames.operations) <= {"mul", "cat", "out", "getitem"}, "fastpre's own frames were compiled"
    assert "mul" in frames.operations


def test_a_module_that_is_compiled_itself() -> None:
    torch._dynamo.reset()
    assert torch.equal(torch.compile(TRANSFORM, backend="eager")(JPEG), TRANSFORM(JPEG))


@pytest.mark.parametrize("name", CALLS)
def test_a_full_graph_is_refused_with_the_reason(name: str) -> None:
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported, match="fastpre decodes outside of graphs"):
        torch.compile(CALLS[name], backend="eager", fullgraph=True)(torch.zeros(SHAPE))
