"""Who takes part: one list, above everybody that is in it."""

from __future__ import annotations

from gpu_suite import entrants, gpu_peers, nvjpeg_entrant


def every() -> list[type[entrants.Entrant]]:
    """In the order of tables."""
    ours = [
        entrants.FastpreExact,
        entrants.FastpreAuto,
        entrants.FastpreHardware,
        entrants.FastpreHybrid,
        entrants.FastpreCoefficients,
        entrants.FastpreCpu,
    ]
    return [*ours, *gpu_peers.PEERS, nvjpeg_entrant.NvjpegCeiling]
