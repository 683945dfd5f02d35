"""What fastpre is worth on a GPU, within minutes: `python benchmarks/gpu.py --out DIR`.

Needs no network. Every section runs in a process of its own: one that fails, hangs or crashes costs only itself.
Without a GPU the part that the emulator can do is run, and everything else is reported as not measured.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import signal
import sys

import photographs
from gpu_suite import sections, summary


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=pathlib.Path, required=True, help="folder for gpu.json and table.txt")
    p.add_argument("--minutes", type=float, default=9.0, help="all of it ends within this (default 9)")
    names = list(sections.SHARES)
    p.add_argument("--only", nargs="+", choices=names, metavar="SECTION", help=f"of {', '.join(names)}")
    p.add_argument("--corpus", help="folder with INDEX.csv, as $FASTPRE_CORPUS; 'generated': made images")
    p.add_argument("--quick", action="store_true", help="a few images, a few rounds: does it run at all?")
    arguments = p.parse_args()
    # SIGTERM ends the section that is on its way too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if arguments.minutes <= 0:
        p.error(f"--minutes must be positive, got {arguments.minutes}")
    if arguments.corpus is not None:
        os.environ["FASTPRE_CORPUS"] = arguments.corpus
        if arguments.corpus != photographs.GENERATED and photographs.folder() is None:
            p.error(f"--corpus: {arguments.corpus} has no INDEX.csv ('generated' asks for made images)")
    report = sections.run(arguments.out, 60 * arguments.minutes, arguments.only, arguments.quick)
    text = summary.table(report)
    (arguments.out / "table.txt").write_text(text + "\n", encoding="utf-8")
    print(text, flush=True)
    return summary.exit_code(report)


if __name__ == "__main__":
    sys.exit(main())
