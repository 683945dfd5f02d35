"""Measures fastpre beside other implementations: `python benchmarks/run.py --task natural --threads 1`."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import subprocess
import sys
import warnings

import comparison
import loader
import machine
import photographs
import report
import torch
from implementations import BY_KEY
from tasks import TASKS, Task


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--task", choices=[*TASKS, "all"], default="natural")
    p.add_argument("--threads", choices=["1", "all"], default="1", help="one pinned core, or every core with batches")
    p.add_argument("--rounds", type=int, default=7, help="timed rounds after the check and a warm-up (default 7)")
    p.add_argument("--images", type=int, help="at most so many images, evenly spaced in the set")
    keys = [*(key for key, i in BY_KEY.items() if "cpu" in i.devices), "fastpre-here", "fastpre-threads"]
    p.add_argument("--only", nargs="+", choices=keys, metavar="KEY", help=f"of {', '.join(keys)}")
    p.add_argument("--results", type=pathlib.Path, default=report.RESULTS, help="folder for the JSON files")
    return p


def run(task: Task, arguments: argparse.Namespace) -> None:
    """One task in this process: measures, stores, prints."""
    torch.set_num_threads(1)
    # The tensors that other libraries are given only read the compressed bytes.
    warnings.filterwarnings("ignore", "The given buffer is not writable")
    pinned = task.kind == "images" and arguments.threads == "1"
    threads = 1 if pinned else machine.cores()
    photos = photographs.load(task.photos).first(min(task.limit, arguments.images or task.limit))
    with machine.pinned_to_one_core() if pinned else contextlib.nullcontext():
        if task.kind in ("loader", "memory"):
            outcome = loader.compare(task, photos.images, arguments.rounds, arguments.only)
        else:
            outcome = comparison.compare(task, photos.images, threads, arguments.rounds, arguments.only)
    result = report.record(task, "1" if pinned else "all", photos, arguments.rounds, outcome)
    report.write(result, arguments.results)
    print(report.table(result), flush=True)


def run_all(arguments: argparse.Namespace) -> int:
    """Every task, each in a process of its own, so that none inherits another's threads or heap."""
    names = [name for name, task in TASKS.items() if not (arguments.threads == "all" and task.job.decode_only)]
    failed = []
    for name in names:
        command = [sys.executable, __file__, *sys.argv[1:], "--task", name]  # the last --task counts
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        print("failed:", ", ".join(failed), file=sys.stderr)
    return bool(failed)


def main() -> int:
    arguments = parser().parse_args()
    if arguments.task == "all":
        return run_all(arguments)
    try:
        run(TASKS[arguments.task], arguments)
    except comparison.NotBatchable as e:
        print(e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
