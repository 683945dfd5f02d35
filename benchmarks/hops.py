"""How long a short message takes to another process and back, by what carries it: python benchmarks/hops.py.

A child process returns every message. Both sides are Python, as in `fastpre.serve.handover.channel`, whose own messages
are the last row: with a timeout, and an eye on the other side's end.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import machine

from fastpre.serve.handover.channel import Channel, Kind

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "handover"
MESSAGE = bytes(24)
Ends = tuple[Callable[[], object], Callable[[], bool], Callable[[], object]]  # ask, answer one, stop


def pipe() -> Ends:
    there, back = os.pipe(), os.pipe()

    def ask() -> None:
        os.write(there[1], MESSAGE)
        os.read(back[0], 64)

    def answer() -> bool:
        return os.write(back[1], os.read(there[0], 64)) == len(MESSAGE)

    return ask, answer, lambda: os.write(there[1], b"stop")


def sockets(kind: socket.SocketKind) -> Ends:
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)

    def ask() -> None:
        ours.send(MESSAGE)
        ours.recv(64)

    def answer() -> bool:
        return theirs.send(theirs.recv(64)) == len(MESSAGE)

    return ask, answer, lambda: ours.send(b"stop")


def eventfd() -> Ends:
    there, back = os.eventfd(0), os.eventfd(0)

    def ask() -> None:
        os.eventfd_write(there, 1)
        os.eventfd_read(back)

    def answer() -> bool:
        found = os.eventfd_read(there)
        os.eventfd_write(back, 1)
        return found == 1

    return ask, answer, lambda: os.eventfd_write(there, 2)


def channel() -> Ends:
    ours, theirs = Channel.pair()
    ours.set_timeout(60.0)

    def answer() -> bool:
        kind, body, _ = theirs.receive()
        theirs.send(Kind.DONE, body)
        return kind == Kind.RUN

    return lambda: ours.ask(Kind.RUN, MESSAGE[:16]), answer, lambda: ours.send(Kind.FORGET)


WAYS: dict[str, Callable[[], Ends]] = {
    "eventfd": eventfd,
    "pipe": pipe,
    "Unix socket, packets": lambda: sockets(socket.SOCK_SEQPACKET),
    "Unix socket, stream": lambda: sockets(socket.SOCK_STREAM),
    "handover.Channel": channel,
}


@contextlib.contextmanager
def answering(way: Callable[[], Ends]) -> Iterator[Callable[[], object]]:
    """What asks a child process, for as long as it is there."""
    ask, answer, stop = way()
    child = os.fork()
    if child == 0:
        try:
            while answer():
                pass
        finally:
            os._exit(0)
    try:
        yield ask
    finally:
        stop()
        os.waitpid(child, 0)


def median_us(ask: Callable[[], object], count: int) -> float:
    """Microseconds there and back."""
    clock = time.perf_counter
    found = []
    for _ in range(count):
        began = clock()
        ask()
        found.append(clock() - began)
    return 1e6 * statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--messages", type=int, default=2000, help="of each way and round")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    rounds: dict[str, list[float]] = {name: [] for name in WAYS}
    with contextlib.ExitStack() as stack:
        asks = {name: stack.enter_context(answering(way)) for name, way in WAYS.items()}
        for turn in range(arguments.rounds):
            for name in [*WAYS][turn % len(WAYS) :] + [*WAYS][: turn % len(WAYS)]:
                rounds[name].append(median_us(asks[name], arguments.messages))
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.describe(),
        "messages": arguments.messages,
        "there_and_back_us": rounds,
    }
    print(f"{machine.cores()} cores, {result['machine']['cpu']}; one hop in us, medians of {arguments.rounds} rounds")
    for name, values in rounds.items():
        hops = [value / 2 for value in values]
        print(f"  {name:24}{statistics.median(hops):6.1f}  ({min(hops):.1f} to {max(hops):.1f})")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{result['date']}-hops.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
