"""A server under load for a long time: does it answer every good image, stay in its memory, and keep its pace?

usage: soak.py [--minutes 30] [--overload-s 60] [--model REF] [--serve OPTION ...] [--out FOLDER]

`fastpre serve` and the load generator share the machine. First its capacity is measured (closed loop, the median of
three runs). Then it gets 80% of that for some minutes (open loop, Poisson, 1% of the images damaged), one measurement a
minute, and beside them its memory, descriptors, threads and /dev/shm every five seconds. At the end it gets 200%.

The verdicts, one a line, and all numbers in FOLDER/soak.json; the exit status is 1 if one of them fails:
- no request with a good image has an error, and each with a damaged one has a 4xx;
- memory is flat: the line through its samples after the first fifth grows by at most 1 MB in ten minutes, or, in a
  short run, by 5 MB in all;
- descriptors, threads and /dev/shm are, when it is idle at the end, what they were when it was idle before;
- p99 is at most 3 x p50, in the median minute;
- at 200% of its capacity, its goodput is at least 90% of it, and no answer is an error but 503 and the damaged images'.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import machine
import numpy as np
import photographs
import psutil

from fastpre.load import Plan, Report, run

CLIENTS = 16
SAMPLE_S = 5.0
IDLE_S = 7.0  # after which connections that are kept alive are closed
BAD = 0.01
SHM = pathlib.Path("/dev/shm")


@dataclasses.dataclass(frozen=True)
class Sample:
    """What the server and its workers have, `at` seconds after the begin of the load."""

    at: float
    rss_mb: float
    descriptors: int
    threads: int
    shm_files: int
    shm_mb: float


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A claim and whether it holds."""

    claim: str
    measured: str
    holds: bool


@contextlib.contextmanager
def serving(model: str, options: Sequence[str]) -> Iterator[tuple[str, psutil.Process]]:
    """A server that listens: its address and its process."""
    command = [sys.executable, "-m", "fastpre", "serve", "--model", model, "--port", "0", "--no-grpc", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                sys.exit(f"the server did not start: {' '.join(command)}")
            yield found[0], psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)


class Watch(threading.Thread):
    """Takes samples until it is stopped."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._process = process
        self._begun = time.monotonic()
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Thread: the samples."""
        while not self._stop_asked.wait(SAMPLE_S):
            self.samples.append(self.sample())

    def stop(self) -> None:
        """Ends it."""
        self._stop_asked.set()
        self.join()

    def sample(self) -> Sample:
        """What there is now."""
        all_of_it = [self._process, *self._process.children(recursive=True)]
        files = [file.stat().st_size for file in SHM.iterdir()] if SHM.is_dir() else []
        return Sample(
            time.monotonic() - self._begun,
            sum(each.memory_info().rss for each in all_of_it) / 1e6,
            sum(each.num_fds() for each in all_of_it),
            sum(each.num_threads() for each in all_of_it),
            len(files),
            sum(files) / 1e6,
        )


def capacity(url: str, images: list[bytes], seconds: float) -> list[float]:
    """Answers a second in three runs of a closed loop."""
    runs = [run(Plan(url=url, concurrency=CLIENTS, duration_s=seconds, warmup_s=2), images) for _ in range(3)]
    return [each.goodput for each in runs]


def refused(report: Report) -> int:
    """503s and 429s among the answers to good images."""
    return report.outcomes.get("refused", 0)


def wrong(report: Report) -> int:
    """Requests with a good image that got an error, and those with a damaged one that did not get a 4xx."""
    return round(report.error_share * report.due)


def slope_mb_per_minute(samples: Sequence[Sample]) -> float:
    """Of the line through the memory."""
    minutes = np.array([sample.at / 60 for sample in samples])
    return float(np.polyfit(minutes, [sample.rss_mb for sample in samples], 1)[0])


def verdicts(
    minutes: list[Report], samples: list[Sample], idle: tuple[Sample, Sample], overload: Report, able: float
) -> list[Verdict]:
    """What was found, against what was promised."""
    due, errors = sum(each.due for each in minutes), sum(map(wrong, minutes))
    steady = samples[len(samples) // 5 :]
    slope, lasted = slope_mb_per_minute(steady), (steady[-1].at - steady[0].at) / 60
    allowed = max(0.1, 5 / lasted)
    ratios = [each.latency_ms["ok"].p99 / each.latency_ms["ok"].p50 for each in minutes]
    first, last = idle
    kept = all(abs(getattr(last, name) - getattr(first, name)) <= 2 for name in ("descriptors", "threads", "shm_files"))
    share = overload.goodput / able
    others = wrong(overload) - refused(overload)
    return [
        Verdict("no error for a good image, a 4xx for each damaged one", f"{errors} of {due} requests", errors == 0),
        Verdict(
            f"memory is flat: at most {allowed:.2f} MB a minute",
            f"{slope:+.3f} MB a minute over {lasted:.1f} minutes, {steady[0].rss_mb:.0f} to {steady[-1].rss_mb:.0f} MB",
            slope <= allowed,
        ),
        Verdict(
            "descriptors, threads and /dev/shm stay",
            f"{first.descriptors} to {last.descriptors}, {first.threads} to {last.threads}, "
            f"{first.shm_files} to {last.shm_files} files",
            kept,
        ),
        Verdict(
            "p99 is at most 3 x p50",
            f"{statistics.median(ratios):.2f} in the median minute, {max(ratios):.2f} in the worst",
            statistics.median(ratios) <= 3,
        ),
        Verdict("at 200% the goodput is at least 90% of the capacity", f"{share:.1%}", share >= 0.9),
        Verdict("at 200% no error but 503", f"{others} of {overload.due} requests", others == 0),
    ]


def line(number: int, report: Report) -> str:
    """A minute for people."""
    ok = report.latency_ms["ok"]
    behind = "  (the load generator fell behind)" if report.generator.fell_behind else ""
    return (
        f"minute {number:3}: {report.rate_due:7.1f}/s due, {report.goodput:7.1f}/s answered, "
        f"p50 {ok.p50:6.2f} ms, p99 {ok.p99:7.2f} ms, {wrong(report)} wrong{behind}"
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--overload-s", type=float, default=60)
    parser.add_argument("--capacity-s", type=float, default=10, help="of each of its three runs")
    parser.add_argument("--model", default="builtin:tiny")
    parser.add_argument(
        "--serve", action="append", default=[], metavar="OPTION", help="for `fastpre serve`: --serve=--batch=8"
    )
    parser.add_argument("--out", type=pathlib.Path, metavar="FOLDER")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server must not stay
    photos = photographs.load("natural", 64)
    with serving(arguments.model, arguments.serve) as (url, process):
        runs = capacity(url, photos.images, arguments.capacity_s)
        able = statistics.median(runs)
        print(f"capacity: {able:.1f}/s ({min(runs):.1f} to {max(runs):.1f})", flush=True)
        watch = Watch(process)
        time.sleep(IDLE_S)
        before = watch.sample()
        watch.start()
        minutes: list[Report] = []
        for number in range(arguments.minutes):
            plan = Plan(url=url, rate=0.8 * able, duration_s=60, warmup_s=1, bad_fraction=BAD, seed=number)
            minutes.append(run(plan, photos.images))
            print(line(number + 1, minutes[-1]), flush=True)
        watch.stop()
        plan = Plan(url=url, rate=2 * able, duration_s=arguments.overload_s, warmup_s=2, bad_fraction=BAD)
        overload = run(plan, photos.images)
        time.sleep(IDLE_S)
        idle = before, watch.sample()
    found = verdicts(minutes, watch.samples, idle, overload, able)
    for each in found:
        print(f"{'holds ' if each.holds else 'FAILS '} {each.claim}: {each.measured}")
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        document: dict[str, Any] = {
            "machine": machine.describe(),
            "images": {"source": photos.source, "count": len(photos.images)},
            "model": arguments.model,
            "serve": arguments.serve,
            "capacity": {"clients": CLIENTS, "runs": runs, "median": able},
            "minutes": [each.json() for each in minutes],
            "idle": [dataclasses.asdict(sample) for sample in idle],
            "samples": [dataclasses.asdict(sample) for sample in watch.samples],
            "overload": overload.json(),
            "verdicts": [dataclasses.asdict(each) for each in found],
        }
        (arguments.out / "soak.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if all(each.holds for each in found) else 1)


if __name__ == "__main__":
    main()
