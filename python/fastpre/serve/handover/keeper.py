"""One worker process, and the thread that puts another in its place when it ends."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from . import WorkerDied
from .channel import Channel, Gone, Kind
from .description import Description
from .job import Job, failure_from
from .options import Options

__all__ = ["Keeper", "Worker"]

log = logging.getLogger("fastpre.serve")

SHORT_LIFE_S = 10.0
FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
GRACE_S = 1.0
CLOSED_S = 1.0


class Worker:
    """A process that runs a model.

    Attributes:
        channel: to it. One thread at a time uses it.
        description: of its model, once it is ready.
        ended: set when the process has ended.
    """

    description: Description

    def __init__(self, job: Job) -> None:
        """Starts it. The thread that does must live as long as the worker: the kernel ends the one with the other."""
        self.channel, theirs = Channel.pair()
        threads = str(job.threads)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fastpre.serve.handover.worker", *map(str, theirs.fds)],
                pass_fds=theirs.fds,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": threads},
                start_new_session=True,  # Ctrl-C is for this process, which ends its workers
            )
        except BaseException:
            self.channel.close()
            raise
        finally:
            theirs.let_go()
        self.ended = threading.Event()
        self._job = job

    def get_ready(self, timeout_s: float) -> None:
        """Waits for its model to be loaded.

        Raises:
            ModelRaised: what loading it raised.
            Gone, TimeoutError: it ended, or was too slow.
        """
        self.channel.set_timeout(timeout_s)
        job = pickle.dumps((os.getpid(), sys.path, pickle.dumps(self._job)))
        kind, body, _ = self.channel.ask(Kind.JOB, job)
        if kind == Kind.RAISED:
            raise failure_from(body)
        self.description = pickle.loads(body)

    def wait(self, patience_s: float | None = None) -> None:
        """Waits for the process to end; kills it when the patience is at its end."""
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        self.ended.set()
        self.channel.close()

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def end(self) -> str:
        """How it ended, in words; says so if it has not."""
        code = self._process.returncode
        if code is None:
            return "has not ended yet"
        if code < 0:
            return f"was ended by signal {-code} ({signal.strsignal(-code)})"
        return f"ended with exit status {code}"


class Keeper:
    """Keeps one worker process running.

    Attributes:
        worker: the one that takes batches; None while there is none.
        description: of its model, since the first one was ready.
    """

    description: Description

    def __init__(
        self, number: int, job: Job, options: Options, on_end: Callable[[Worker, str], None] | None = None
    ) -> None:
        """on_end: called in the keeper's thread when a worker that was ready has ended, with how it did."""
        self.worker: Worker | None = None
        self._number = number
        self._job = job
        self._options = options
        self._on_end = on_end
        self._newest: Worker | None = None
        self._lock = threading.Lock()  # of `worker`, `_newest`
        self._closing = threading.Event()
        self._first = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._keep, name=f"fastpre-worker-{number}", daemon=True)

    def start(self) -> None:
        """Starts the first worker, and returns at once."""
        self._thread.start()

    def wait_for_first(self) -> Description:
        """Waits for it to be ready.

        Raises:
            ModelRaised, WorkerDied: as `Handover.start`.
        """
        self._first.wait()
        if self._failure is not None:
            raise self._failure
        return self.description

    def lose(self, worker: Worker, *, kill: bool = False) -> str:
        """Takes no more batches with a worker that is gone, or has to go; returns how it ended, in words."""
        with self._lock:
            if self.worker is worker:
                self.worker = None
        # Its end of the socket is closed a moment before the process has ended altogether.
        if kill or not worker.ended.wait(CLOSED_S):
            worker.kill()
            worker.ended.wait(CLOSED_S)
        return worker.end()

    def close(self) -> None:
        """Begins to end the worker; `join` waits for it."""
        self._closing.set()
        with self._lock:
            newest, ready = self._newest, self.worker is not None
            self.worker = None
        if newest is not None:
            newest.channel.close()
            if not ready:  # it may be loading its model, and does not listen
                newest.kill()

    def join(self) -> None:
        """Waits for the worker to end, and kills it if that takes too long."""
        if self._thread.ident is None:
            return
        self._thread.join(GRACE_S)
        newest = self._newest
        if self._thread.is_alive() and newest is not None:
            newest.kill()
        self._thread.join()

    def _keep(self) -> None:
        short_lives = 0
        while not self._closing.is_set():
            began = time.monotonic()
            failure = self._live()
            if not self._first.is_set():
                self._failure = failure
                self._first.set()
            if self._failure is not None or self._closing.is_set():
                return
            short_lives = short_lives + 1 if time.monotonic() - began < SHORT_LIFE_S else 0
            # At once after the first accident: a worker that ends again and again is what must not keep a core busy.
            delay = min(FIRST_DELAY_S * 2 ** (short_lives - 2), LONGEST_DELAY_S) if short_lives > 1 else 0.0
            log.warning("%s; the next one starts in %.1f s", failure, delay)
            self._closing.wait(delay)

    def _live(self) -> Exception | None:
        """The life of one worker, from start to end; returns what went wrong."""
        name = f"worker {self._number}"
        with self._lock:
            if self._closing.is_set():
                return WorkerDied(f"{name} was not started")
            try:
                worker = self._newest = Worker(self._job)
            except Exception as error:
                return WorkerDied(f"{name} could not be started: {error}")
        failure = self._get_ready(worker, name)
        if failure is None:
            self.description = worker.description
            with self._lock:
                if not self._closing.is_set():
                    self.worker = worker
            self._first.set()
        else:
            worker.kill()
        worker.wait()
        with self._lock:
            if self.worker is worker:
                self.worker = None
        if failure is None:
            if self._on_end is not None and not self._closing.is_set():
                self._on_end(worker, worker.end())
            return WorkerDied(f"{name} {worker.end()}")
        return failure

    def _get_ready(self, worker: Worker, name: str) -> Exception | None:
        try:
            worker.get_ready(self._options.start_timeout_s)
            worker.channel.set_timeout(self._options.timeout_s)
        except Gone:
            worker.wait(CLOSED_S)
            return WorkerDied(f"{name} {worker.end()} while it loaded the model")
        except TimeoutError:
            return WorkerDied(f"{name} had not loaded the model after {self._options.start_timeout_s:g} s")
        except Exception as error:
            return error
        return None
