"""Whether a change made fastpre slower: two builds in turn, a process each, on one pinned core.

python benchmarks/compare_builds.py OLD NEW [--pairs 9] [--task natural large small]

OLD and NEW are folders for PYTHONPATH, each with a package fastpre and its compiled core. A ratio is NEW / OLD of
neighbouring processes, so what the machine does meanwhile is in both.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import photographs

PASSES = {"natural": 5, "large": 3, "small": 40}  # of a process, the fastest of which counts
# Runs with the build's own package, so nothing of this folder is imported.
CHILD = """
import json, pathlib, sys, time
import fastpre
paths, fidelity, passes = json.load(sys.stdin)
images = [pathlib.Path(path).read_bytes() for path in paths]
call = fastpre.Preprocessor(fastpre.Spec(fidelity=fidelity), num_threads=1).dlpack
best = float("inf")
for turn in range(passes + 1):
    start = time.process_time()
    for image in images:
        call([image])
    if turn:
        best = min(best, time.process_time() - start)
print(best / len(images) * 1e3)
"""


def cpu_ms(build: str, order: list[object]) -> float:
    """CPU time of an image, in milliseconds."""
    command = [sys.executable, "-W", "ignore", "-c", CHILD]
    environment = os.environ | {"PYTHONPATH": build}
    done = subprocess.run(
        command, input=json.dumps(order), env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs=2, metavar=("OLD", "NEW"))
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--task", nargs="+", choices=[*PASSES], default=[*PASSES])
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for task, fidelity in itertools.product(arguments.task, ("exact", "fast")):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for i, image in enumerate(photographs.load(task).images):
                paths.append(f"{folder}/{i}.jpg")
                pathlib.Path(paths[-1]).write_bytes(image)
            order: list[object] = [paths, fidelity, PASSES[task]]
            pairs = []
            for turn in range(arguments.pairs):
                builds = arguments.builds if turn % 2 == 0 else arguments.builds[::-1]
                times = [cpu_ms(build, order) for build in builds]
                pairs.append(times if turn % 2 == 0 else times[::-1])
            old, new = (statistics.median(times) for times in zip(*pairs, strict=True))
            ratios = sorted(b / a for a, b in pairs)
            print(
                f"{task}, {fidelity}: {old:.4f} and {new:.4f} ms; ratio {statistics.median(ratios):.4f} "
                f"({ratios[0]:.3f} to {ratios[-1]:.3f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
