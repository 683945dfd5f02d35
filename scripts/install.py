"""Installs this checkout and what it needs into the environment that runs this, and says how far it is.

usage: install.py EXTRAS      e.g. install.py torch,preview

All that pip and the compiler say goes to build/install.log, and its end to the terminal if they fail.
Without build isolation, compiling again is incremental.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

LOG = Path("build/install.log")
# Lines of `pip install -v`, and of ninja inside it.
DOWNLOADS = re.compile(r"\s*(?:Downloading|Obtaining dependency information for) (?P<what>\S+)(?P<size> \([^)]*B\))?")
COMPILES = re.compile(r"\s*\[(?P<step>\d+)/(?P<steps>\d+)\] (?P<what>.*)")
INSTALLS = re.compile(r"\s*Installing collected packages: (?P<names>.*)")
QUIET_S = 15.0  # without a terminal, a line of progress at most this often


class Progress:
    """One line that is written over and over on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.terminal = sys.stdout.isatty()
        self.text, self.stage, self.said_at = "asking for packages", "", self.began
        self.lock = threading.Lock()

    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    def update(self, stage: str, text: str) -> None:
        """A new stage is always said."""
        with self.lock:
            fresh, self.stage, self.text = stage != self.stage, stage, text
            if self.terminal:
                self._draw()
            elif fresh or time.monotonic() - self.said_at > QUIET_S:
                self.said_at = time.monotonic()
                print(f"  {self.elapsed_s():4.0f} s  {text}", flush=True)

    def tick(self) -> None:
        with self.lock:
            if self.terminal:
                self._draw()

    def _draw(self) -> None:
        width = os.get_terminal_size().columns - 1
        sys.stdout.write(f"\r\033[K  {self.elapsed_s():4.0f} s  {self.text}"[: width + 4])
        sys.stdout.flush()

    def end(self) -> None:
        with self.lock:
            if self.terminal:
                sys.stdout.write("\r\033[K")


def follow(line: str, progress: Progress) -> None:
    if match := COMPILES.fullmatch(line):
        subject = match["what"].split("/CMakeFiles/")[-1].split(".dir/")[-1].removesuffix(".o")
        progress.update("compiling", f"compiling [{match['step']}/{match['steps']}] {subject}")
    elif match := DOWNLOADS.match(line):
        name = match["what"].rsplit("/", 1)[-1].split("#")[0]
        progress.update("downloading", f"downloading {name}{match['size'] or ''}")
    elif match := INSTALLS.fullmatch(line):
        progress.update("installing", f"installing {len(match['names'].split(', '))} packages")


def install(extras: str) -> int:
    """Returns pip's exit status."""
    LOG.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-v", "--progress-bar", "off",
               "--no-build-isolation", f".[{extras}]"]  # fmt: skip
    environment = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore", "PYTHONUNBUFFERED": "1"}
    progress = Progress()
    done = threading.Event()

    def tick() -> None:
        while not done.wait(1):
            progress.tick()

    threading.Thread(target=tick, daemon=True).start()
    lines: list[str] = []
    with (
        LOG.open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
                         text=True, errors="replace") as pip,
    ):  # fmt: skip
        assert pip.stdout is not None
        for line in pip.stdout:
            log.write(line)
            lines.append(line)
            follow(line.rstrip("\n"), progress)
    done.set()
    progress.end()
    if pip.returncode:
        sys.stdout.writelines(lines[-60:])
        print(f"pip failed; all that it said is in {LOG}")
    else:
        print(f"  {progress.elapsed_s():4.0f} s  fastpre is installed in {Path(sys.prefix).name}")
    return pip.returncode


if __name__ == "__main__":
    sys.exit(install(sys.argv[1]))
