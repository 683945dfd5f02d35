"""Peak memory of one call on a 24-megapixel photograph: `python benchmarks/memory.py`.

Counted is what the process grows by while the call runs, beyond the compressed bytes (which are
loaded before) and the output tensor (whose size is subtracted), after a warm-up on a small image.
"""

from __future__ import annotations

import argparse
import ctypes
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

import targets
import torch
from implementations import BY_KEY
from tasks import Job

from fastpre.cli.photographs import generated

WIDTH, HEIGHT = 6000, 4000
TARGET = targets.Target("peak of fastpre-exact", 4, True, lambda grown: (grown["fastpre-exact"], ""), " MB")
DEFAULT = ("fastpre-exact", "fastpre-fast", "torchvision-tensor", "torchvision-pil")


def resident_kb(field: str) -> int:
    """VmRSS (now) or VmHWM (the peak) of this process."""
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert found, f"no {field} in /proc/self/status"
    return int(found.group(1))


def reset_peak() -> bool:
    """Sets VmHWM to VmRSS (proc(5): clear_refs, 5); False where the kernel does not let us."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def child(key: str, small: pathlib.Path, large: pathlib.Path) -> None:
    """Runs in a process of its own; prints the growth in KiB and how it was read."""
    torch.set_num_threads(1)
    run = BY_KEY[key].make(Job(), "cpu", 1)
    data = large.read_bytes()
    for _ in range(3):
        run([small.read_bytes()])
    # Free memory in the heap would take the call's own without growing: give it back first.
    ctypes.CDLL(None).malloc_trim(0)
    if reset_peak():
        before = resident_kb("VmRSS")
        result = run([data])
        grown, how = resident_kb("VmHWM") - before, "VmHWM, reset before the call"
    else:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = run([data])
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        how = "ru_maxrss, which misses growth below an earlier peak"
    print(grown - torch.as_tensor(result).nbytes // 1024, how, sep="\t")


def measured_mb(key: str, small: pathlib.Path, large: pathlib.Path) -> tuple[float, str]:
    """MB (10^6 bytes) that one call adds, and how it was read."""
    command = [sys.executable, "-W", "ignore", __file__, "--child", key, str(small), str(large)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    kib, how = done.stdout.rstrip("\n").split("\t")
    return int(kib) * 1024 / 1e6, how


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*BY_KEY], metavar="KEY", default=DEFAULT)
    parser.add_argument("--child", nargs=3, metavar=("KEY", "SMALL", "LARGE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        key, *paths = arguments.child
        child(key, *map(pathlib.Path, paths))
        return 0
    grown: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        small, large = pathlib.Path(folder) / "small.jpg", pathlib.Path(folder) / "large.jpg"
        small.write_bytes(generated(1, 240, 320)[0])
        large.write_bytes(generated(1, HEIGHT, WIDTH)[0])
        print(f"one call on {WIDTH}x{HEIGHT} ({large.stat().st_size / 1e6:.1f} MB of JPEG), one thread, peak beyond "
              "compressed bytes and output:")  # fmt: skip
        for key in arguments.only:
            grown[key], how = measured_mb(key, small, large)
            print(f"  {BY_KEY[key].label:32}{grown[key]:9.2f} MB  ({how})", flush=True)
    if "fastpre-exact" in grown:
        print(f"  target: {targets.line(targets.judge([TARGET], grown)[0])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
