"""Compiles the .proto files of the server's protocol into oip.binpb, which the server loads at run time.

The output is a FileDescriptorSet and no Python code: generated modules register their names for the whole process,
where those of an installed client (tritonclient, kserve) already are, and demand a protobuf no older than the compiler.

usage: compile-protocol.py [OUTPUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

FOLDER = Path(__file__).parents[1] / "python" / "fastpre" / "serve" / "protocol"
SOURCES = ("oip.proto", "health.proto")


def main(output: str = str(FOLDER / "oip.binpb")) -> int:
    return int(protoc.main(["protoc", f"-I{FOLDER}", f"--descriptor_set_out={output}", *SOURCES]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
