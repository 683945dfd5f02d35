"""What a section is given to work with."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import json
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

HANG_S = 60.0  # what says nothing for so long ends the process


@dataclasses.dataclass
class Context:
    """What a section's process knows.

    Attributes:
        device: "cuda", or "emulated" where there is no GPU.
        seconds: to be done within, from now on; a little later the process is killed.
        quick: as little as shows that it works.
        path: where `save` writes.
        skip: implementations that have ended the process in an earlier try.
        result: filled by the section, JSON types only.
    """

    device: str
    seconds: float
    quick: bool
    path: pathlib.Path
    skip: tuple[str, ...] = ()
    result: dict[str, Any] = dataclasses.field(default_factory=dict)
    started: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def memory(self) -> str:
        """Where torch keeps the device's tensors."""
        return "cuda" if self.device == "cuda" else "cpu"

    def synchronize(self) -> None:
        """Waits for the device, whatever stream a library uses."""
        import torch

        if self.device == "cuda":
            torch.cuda.synchronize()

    def left(self) -> float:
        """Seconds."""
        return self.seconds - (time.monotonic() - self.started)

    def save(self) -> None:
        """Keeps what there is, should the process not live to say more."""
        write_json(self.path, self.result)

    @contextlib.contextmanager
    def attempt(self, key: str, failures: dict[str, str]) -> Iterator[None]:
        """Notes whose turn it is, should the process die, ends it if that takes too long, and keeps what is raised."""
        self.result["running"] = key
        self.save()
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        try:
            yield
        except Exception as e:  # whatever a library raises is the finding
            failures[key] = f"{type(e).__name__}: {e}"[:300]
        finally:
            faulthandler.cancel_dump_traceback_later()
            self.result.pop("running")
            self.save()


def write_json(path: pathlib.Path, value: Any) -> None:
    """Replaces the file as a whole: a reader never sees half of it."""
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")
    os.replace(scratch, path)
