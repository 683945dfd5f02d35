"""Starts `fastpre serve` with a small model, sends photographs to it, prints where their time went, and stops it.

usage: serve-demo.py FOLDER [--seconds 5] [--keep]      --keep: it goes on until Ctrl-C, to look at its page
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
from pathlib import Path

SERVING = re.compile(r"^serving .* at (\S+)$")
LISTENS_WITHIN = 200  # lines of the server's output


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    fastpre = [sys.executable, "-m", "fastpre"]
    command = [*fastpre, "serve", "--model", "builtin:tiny", "--port", "0", "--grpc-port", "0"]
    # The log goes where this script's own errors go; what the server says of itself is read here.
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = address(server)
        if url is None:
            print("the server did not start; its log is above", file=sys.stderr)
            return 1
        print(
            f"fastpre serve is at {url}: its page is {url}/, its API {url}/docs, its metrics {url}/metrics", flush=True
        )
        # One photograph of the demo is cut in half on purpose: refused for itself, and no error of the others.
        load = [*fastpre, "load", url, str(arguments.folder), "--concurrency", "4", "--max-errors", "1"]
        status = subprocess.run([*load, "--duration", str(arguments.seconds)]).returncode
        print(f'\nwhere the time went: the line "stages" above, and the page {url}/', flush=True)
        if arguments.keep and status == 0:
            print("Ctrl-C stops the server", flush=True)
            server.wait()
        return status
    except KeyboardInterrupt:
        return 130
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        server.wait()
        print("the server has stopped", flush=True)


def address(server: subprocess.Popen[str]) -> str | None:
    """What the server says that it listens at; None if it ends first."""
    assert server.stdout is not None
    for _ in range(LISTENS_WITHIN):
        line = server.stdout.readline()
        found = SERVING.match(line)
        if found or not line:
            return found[1] if found else None
    return None


if __name__ == "__main__":
    sys.exit(main())
