"""Signals that ask a command to stop: it does, and what it has half written goes with it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import click

__all__ = ["Stopped", "stopping_cleanly"]

# SIGINT's own handler is Python's, KeyboardInterrupt, of which click makes "Aborted!" and exit code 1.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(SystemExit):
    """A signal's exit code by the shell's convention, 128 + its number: 130 for Ctrl-C, 143 for SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


@contextlib.contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Makes the signals an exception, `Stopped`, so that files are closed and removed on the way out.

    The first one counts: more of them would end the cleaning up. A signal that is ignored stays so, which is what
    `nohup` asks for. Other threads than the main one cannot set handlers and leave all as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    watched = [number for number in SIGNALS if before[number] != signal.SIG_IGN]

    def stop(number: int, _frame: FrameType | None) -> None:
        for other in watched:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    for number in watched:
        signal.signal(number, stop)
    try:
        yield
    except Stopped as e:
        click.echo(f"stopped by {signal.Signals(e.number).name}", err=True)
        raise
    finally:
        for number in watched:
            signal.signal(number, before[number])
