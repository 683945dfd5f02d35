"""Everything there is to know of fastpre on a GPU, within minutes: `python benchmarks/gpu.py --out DIR`.

Needs no network. Every section runs in a process of its own: one that fails, hangs or crashes costs only itself.
Without a GPU the part that the emulator can do is run, and everything else is reported as not measured.
"""

from __future__ import annotations

import argparse
import pathlib
import signal
import sys

from gpu_suite import sections, summary, supervise


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [section.name for section in sections.SECTIONS]
    p.add_argument("--out", type=pathlib.Path, required=True, help="folder for gpu.json and logs, 8 files at most")
    p.add_argument("--minutes", type=float, default=9.0, help="all of it ends within this (default 9)")
    p.add_argument("--only", nargs="+", choices=names, metavar="SECTION", help=f"of {', '.join(names)}")
    p.add_argument(
        "--corpus",
        help="folder with INDEX.csv; default $FASTPRE_CORPUS, else ../shared/corpus; "
        f"'{supervise.GENERATED}': made-up images",
    )
    p.add_argument(
        "--wheel", type=pathlib.Path, help="install this fastpre aside and measure it, not the installed one"
    )
    p.add_argument("--quick", action="store_true", help="a few images, a few rounds: does it run at all?")
    return p


def main() -> int:
    arguments = parser().parse_args()
    # Whoever ends this process ends the section that is on its way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if arguments.minutes <= 0:
        parser().error(f"--minutes must be positive, got {arguments.minutes}")
    if (
        arguments.corpus not in (None, supervise.GENERATED)
        and not (pathlib.Path(arguments.corpus) / "INDEX.csv").is_file()
    ):
        parser().error(
            f"--corpus: {arguments.corpus} has no INDEX.csv ('{supervise.GENERATED}' asks for made-up images)"
        )
    if arguments.wheel is not None and not arguments.wheel.is_file():
        parser().error(f"--wheel: no file {arguments.wheel}")
    report = supervise.run(
        arguments.out,
        60 * arguments.minutes,
        only=arguments.only,
        corpus=arguments.corpus,
        wheel=arguments.wheel,
        quick=arguments.quick,
    )
    text = summary.table(report)
    (arguments.out / "table.txt").write_text(text + "\n", encoding="utf-8")
    print(text, flush=True)
    return summary.exit_code(report)


if __name__ == "__main__":
    sys.exit(main())
