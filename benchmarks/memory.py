"""Peak memory of one call on a 24-megapixel photograph: `python benchmarks/memory.py`.

Counted is what the process grows by while the call runs, beyond the compressed bytes (which are
loaded before) and the output tensor (whose size is subtracted), after a warm-up on a small image.
"""

from __future__ import annotations

import argparse
import ctypes
import io
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

import numpy as np
from competitors import BY_KEY
from PIL import Image
from tasks import Job

WIDTH, HEIGHT = 6000, 4000
TARGET_MB = 4.0
DEFAULT = ("fastpre-exact", "fastpre-fast", "torchvision-tensor", "torchvision-pil")


def photograph(width: int, height: int, seed: int = 1) -> bytes:
    """A baseline 4:2:0 JPEG of smooth noise: octaves from the whole frame down to a few pixels."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    size = max(width, height)
    while size >= 2:
        shape = (height // size + 2, width // size + 2, 3)
        octave = Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).resize((width, height), 3)
        total += np.asarray(octave, np.float32) * (size / max(width, height)) ** 0.3
        size //= 4
    total -= total.min()
    total *= 255 / total.max()
    stream = io.BytesIO()
    Image.fromarray(total.astype(np.uint8)).save(stream, "JPEG", quality=90, subsampling="4:2:0")
    return stream.getvalue()


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
    import torch

    torch.set_num_threads(1)
    competitor = BY_KEY[key](Job(), 1)
    data = large.read_bytes()
    for _ in range(3):
        competitor.run([small.read_bytes()])
    # Free memory in the heap would take the call's own without growing: give it back first.
    ctypes.CDLL(None).malloc_trim(0)
    if reset_peak():
        before = resident_kb("VmRSS")
        result = competitor.run([data])
        grown, how = resident_kb("VmHWM") - before, "VmHWM, reset before the call"
    else:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = competitor.run([data])
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        how = "ru_maxrss, which misses growth below an earlier peak"
    print(grown - np.asarray(result).nbytes // 1024, how, sep="\t")


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
    with tempfile.TemporaryDirectory() as folder:
        small, large = pathlib.Path(folder) / "small.jpg", pathlib.Path(folder) / "large.jpg"
        small.write_bytes(photograph(320, 240))
        large.write_bytes(photograph(WIDTH, HEIGHT))
        print(f"one call on {WIDTH}x{HEIGHT} ({large.stat().st_size / 1e6:.1f} MB of JPEG), one thread, peak beyond "
              "compressed bytes and output:")  # fmt: skip
        for key in arguments.only:
            megabytes, how = measured_mb(key, small, large)
            verdict = ""
            if key == "fastpre-exact":
                verdict = f"  target < {TARGET_MB:.0f} MB: {'met' if megabytes < TARGET_MB else 'MISSED'}"
            print(f"  {BY_KEY[key].label:32}{megabytes:9.2f} MB  ({how}){verdict}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
