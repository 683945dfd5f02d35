"""Draws docs/serving/quiet.png and overloaded.png: the live page under a load that the server bears, then twice that.

usage: page_screenshots.py [--seconds S] [--out FOLDER] [--all]

Starts `fastpre serve` with a built-in model that takes a known time, sends generated photographs in an open loop, one
in fifty of them cut short, and has headless Chromium take the pictures. --all: also narrow, and in the other colours.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from PIL import Image  # noqa: E402

import browser  # noqa: E402
import pictures  # noqa: E402

# 16 images take 20 + 16 x 5 = 100 ms: 160 images/s.
MODEL = "resnet=builtin:sleep?ms=20&ms_per_image=5"
BEARABLE, TOO_MUCH = 20.0, 320.0  # requests per second
BAD = 0.02
WIDE, NARROW = (1360, 1500), (400, 2600)


def head(body: bytes) -> bytes:
    length = f"Content-Length: {len(body)}\r\nContent-Type: image/jpeg\r\n\r\n"
    return b"POST /v1/predict HTTP/1.1\r\nHost: page\r\n" + length.encode() + body


def requests() -> list[bytes]:
    """What is sent: photographs of several sizes."""
    sizes = [(320, 240), (640, 480), (800, 600), (1024, 768)]
    return [head(pictures.photograph(*sizes[seed % 4], seed=seed)) for seed in range(16)]


class Sender:
    """Requests at their own times, whatever became of those before, over as many connections as that takes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.rate = BEARABLE
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self) -> None:
        good, draw = requests(), random.Random(1)
        bad = head(pictures.photograph(320, 240, seed=1)[:900])
        loop, tasks = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        due = loop.time()
        while True:
            due += draw.expovariate(self.rate)
            await asyncio.sleep(max(0.0, due - loop.time()))
            task = asyncio.create_task(self._send(bad if draw.random() < BAD else draw.choice(good)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _send(self, request: bytes) -> None:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", answer)
            assert length is not None
            await reader.readexactly(int(length[1]))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
        else:
            self._idle.append((reader, writer))


async def take(shot: browser.Browser, url: str, name: str, out: Path, everything: bool) -> None:
    sizes = {"": (WIDE, False)}
    if everything:
        sizes = {"": (WIDE, False), "-dark": (WIDE, True), "-narrow": (NARROW, False), "-narrow-dark": (NARROW, True)}
    for suffix, ((width, height), dark) in sizes.items():
        path = out / f"{name}{suffix}.png"
        await asyncio.to_thread(picture, shot, url, width, height, dark, path)
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def picture(shot: browser.Browser, url: str, width: int, height: int, dark: bool, path: Path) -> None:
    shot.open(url, width, height, dark=dark, mobile=width < 600)
    shot.wait("document.querySelectorAll('.chart .area').length > 5")
    tall = int(shot.evaluate("document.documentElement.scrollHeight"))
    shot.open(url, width, tall, dark=dark, mobile=width < 600)
    shot.wait("document.querySelectorAll('.chart .area').length > 5")
    shot.screenshot(path)
    Image.open(path).convert("RGB").quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)


def serve() -> Iterator[str]:
    """The server's address, while it runs."""
    command = [sys.executable, "-m", "fastpre", "serve", "--model", MODEL, "--port", "0", "--no-grpc", "--queue", "128"]
    command += ["--log-level", "error", "--timeout", "2", "--target-p99", "300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if found := re.search(r"http://\S+", line):
                    yield found[0]
                    break
        finally:
            server.terminate()


async def drive(url: str, seconds: float, out: Path, everything: bool) -> None:
    sender = Sender(int(url.rsplit(":", 1)[1]))
    sending = asyncio.create_task(sender.run())
    with browser.running() as shot:
        await asyncio.sleep(seconds)
        await take(shot, url, "quiet", out, everything)
        sender.rate = TOO_MUCH
        await asyncio.sleep(seconds / 3)
        await take(shot, url, "overloaded", out, everything)
    sending.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seconds", type=float, default=150.0, help="of the bearable load; a third of it more of the other"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "serving")
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for url in serve():
        asyncio.run(drive(url, arguments.seconds, arguments.out, arguments.all))


if __name__ == "__main__":
    main()
