"""The program of a worker process: loads a model and runs it on what a transport brings.

`python -m fastpre.serve.handover.worker FD FD FD`, where these are its end of a channel to the process that started it.
It ends when the other end does, and on Linux also in the middle of a batch.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import signal
import sys
import traceback

from .channel import Channel, Gone, Kind

SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def die_with_the_parent(parent: int) -> None:
    """Lets the kernel kill this process when the thread that started it ends; ends it if that has happened.

    Linux. Elsewhere the end of the channel is what a worker notices, between two batches.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(SET_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        raise Gone("the process that started this one has ended")


def work(channel: Channel) -> None:
    """Does the job that comes first."""
    from .job import failure_of

    _, body, _ = channel.receive()
    parent, paths, pickled = pickle.loads(body)
    die_with_the_parent(parent)
    sys.path[:] = paths
    try:
        job = pickle.loads(pickled)
        import torch

        torch.set_num_threads(job.threads)
        model = pickle.loads(job.factory)()
        serve = job.transport.connect(model, channel)
        from .description import Description

        ready = pickle.dumps(Description.of(model))
    except Exception as error:
        channel.send(Kind.RAISED, failure_of(error))
        return
    gc.collect()
    gc.freeze()  # what is there now stays, and looking through it for garbage would take 0.3 s of a batch's time
    channel.send(Kind.READY, ready)
    serve()


def main() -> None:
    """Runs until the other end of the channel is closed."""
    status = 0
    try:
        work(Channel.inherited(*map(int, sys.argv[1:])))
    except Gone:
        pass
    except SystemExit as end:  # of the model's
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # torch takes half a second to be torn down, which the operating system does as well


if __name__ == "__main__":
    main()
