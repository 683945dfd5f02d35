"""A load generator for inference servers that says when it measured itself.

from fastpre.load import Plan, run
report = run(Plan(url="http://127.0.0.1:8000", rate=200), [open("cat.jpg", "rb").read()])
print(report.goodput, report.latency_ms["ok"].p99, report.generator.fell_behind)
"""

from __future__ import annotations

from .arrivals import constant, gamma, jittered, poisson, replayed
from .histogram import Percentiles
from .images import LoadImage, damaged
from .plan import Plan
from .report import Generator, Machine, Report, Second, SizeClass
from .runner import Measurement, run
from .target import Target, Unreachable
from .trace import read_trace

__all__ = [
    "Generator",
    "LoadImage",
    "Machine",
    "Measurement",
    "Percentiles",
    "Plan",
    "Report",
    "Second",
    "SizeClass",
    "Target",
    "Unreachable",
    "constant",
    "damaged",
    "gamma",
    "jittered",
    "poisson",
    "read_trace",
    "replayed",
    "run",
]
