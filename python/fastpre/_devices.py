"""Where pickles made by fastpre 0.1 look for the device of a `Preprocessor`."""

from ._backend.devices import Cpu, Cuda, Emulated

__all__ = ["Cpu", "Cuda", "Emulated"]
