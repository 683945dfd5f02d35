"""Writes a seed corpus for fuzz_protocol.py: requests that a server takes, one for each way to send a tensor.

usage: make_protocol_seeds.py OUT_DIR
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from fastpre.serve.protocol.schema import message

DECISIONS = 64  # seeds of the target that builds messages


def request(**fields: Any) -> bytes:
    return bytes(message("inference.ModelInferRequest")(model_name="net", **fields).SerializeToString())


def image(**more: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "BYTES", "shape": [2], **more}


def shared(size: int) -> dict[str, Any]:
    return {"shared_memory_region": {"string_param": "mem"}, "shared_memory_byte_size": {"int64_param": size}}


def messages() -> list[bytes]:
    pixels = {"name": "pixels", "datatype": "UINT8", "shape": [2, 2]}
    raw = b"\1\0\0\0a\2\0\0\0bc"
    scores = {"name": "scores", "parameters": {"classification": {"int64_param": 3}}}
    return [
        request(inputs=[image()], raw_input_contents=[raw]),
        request(inputs=[image(), pixels], raw_input_contents=[raw, b"abcd"], outputs=[scores]),
        request(inputs=[image(contents={"bytes_contents": [b"a", b"bc"]})]),
        request(inputs=[{**pixels, "contents": {"uint_contents": [1, 2, 3, 255]}}]),
        request(inputs=[{**pixels, "parameters": shared(4)}], outputs=[{"name": "o", "parameters": shared(9)}]),
        request(parameters={"timeout": {"int64_param": 5}, "priority": {"uint64_param": 1}}, id="r"),
    ]


def http_bodies() -> list[bytes]:
    raw = b"\1\0\0\0a\2\0\0\0bc"
    pixels = {"name": "pixels", "datatype": "FP32", "shape": [2, 2]}
    binary = {**image(), "parameters": {"binary_data_size": len(raw)}}
    region = {"shared_memory_region": "mem", "shared_memory_byte_size": 16, "shared_memory_offset": 4}
    wanted = [{"name": "scores", "parameters": {"classification": 3}}, {"name": "o", "parameters": region}]
    return [
        body({"id": "r", "inputs": [binary], "parameters": {"binary_data_output": True, "timeout": 5}}, raw),
        body({"inputs": [{**pixels, "parameters": {"binary_data_size": 16}}, binary]}, bytes(16) + raw),
        body({"inputs": [{**pixels, "data": [[1, 2], [3, 4.5]]}, {**image(), "data": ["a", "bc"]}]}),
        body({"inputs": [{**pixels, "parameters": region}], "outputs": wanted}),
        b"\0\0" + raw,
    ]


def body(document: dict[str, Any], raw: bytes = b"") -> bytes:
    """As `http_body` takes it."""
    head = json.dumps(document).encode()
    return (len(head) if raw else 0xFFFF).to_bytes(2, "little") + head + raw


def main(folder: str) -> None:
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    seeds = [b"\0" + each for each in messages()]
    seeds += [b"\1" + rng.randbytes(rng.choice((20, 100, 300))) for _ in range(DECISIONS)]
    seeds += [b"\2" + each for each in http_bodies()]
    for index, seed in enumerate(seeds):
        (out / str(index)).write_bytes(seed)
    print(f"{len(seeds)} seeds in {out}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
