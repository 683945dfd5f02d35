"""The cost model behind `ray_scaling.py`: from the clocks of Ray's actors to what an image costs, and from that to
the throughput of more actors and of more nodes. Pure arithmetic, without Ray.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BATCH = 64
BLOCK = 3 * BATCH  # images of a block, which are one task; their float32 tensors are 116 MB, about Ray's own target
TARGET_BLOCK_BYTES = 128 << 20  # ray.data.DataContext.target_max_block_size


@dataclasses.dataclass(frozen=True)
class Costs:
    """What an image costs, in seconds and bytes.

    Attributes:
        worker_s: of an actor with one thread, from block to block.
        worker_cpu_s: its processor time, all of its threads.
        daemons_cpu_s: processor time of the node's raylet and of the GCS.
        driver_cpu_s: processor time of the driver, for a whole block; one driver serves all nodes.
        read_cpu_s: processor time of reading Parquet that is in memory.
        bytes_in: compressed.
        bytes_out: of its tensor.
    """

    worker_s: float
    worker_cpu_s: float
    daemons_cpu_s: float
    driver_cpu_s: float
    read_cpu_s: float
    bytes_in: float
    bytes_out: float


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What is assumed of a cluster.

    Attributes:
        cores: of a node.
        network_bytes_s: of a node's link, each way.
        storage_bytes_s: what the storage gives all nodes together.
        shipped: the share of tensors that leave the node on which they are made.
    """

    cores: int
    network_bytes_s: float
    storage_bytes_s: float
    shipped: float


def actors_rate(costs: Costs, actors: int, cores: int) -> float:
    """Images/s on one machine: what the actors can do, or the cores with Ray's own work beside them."""
    system_cpu_s = costs.daemons_cpu_s + costs.driver_cpu_s / BLOCK
    return min(actors / costs.worker_s, cores / (costs.worker_cpu_s + system_cpu_s))


def bounds(costs: Costs, cluster: Cluster, nodes: int) -> dict[str, float]:
    """Images/s that each part of a cluster allows; its throughput is the least of them."""
    links = nodes * cluster.network_bytes_s
    shipped = costs.bytes_out * cluster.shipped
    return {
        "cores": nodes * cluster.cores / (costs.worker_cpu_s + costs.read_cpu_s + costs.daemons_cpu_s),
        "receiving": links / costs.bytes_in,
        "sending": links / shipped if shipped else math.inf,
        "storage": cluster.storage_bytes_s / costs.bytes_in,
        "driver": TARGET_BLOCK_BYTES / costs.bytes_out / costs.driver_cpu_s,
    }


def steady_rate(actor: Array, ended_s: Array) -> float:
    """Images/s while all actors were at work: from the last one's first batch to the first one's last."""
    ends = [ended_s[actor == each] for each in np.unique(actor)]
    begin, end = max(each.min() for each in ends), min(each.max() for each in ends)
    return float(((begin < ended_s) & (ended_s <= end)).sum() / (end - begin))


def per_image(actor: Array, clock: Array) -> float:
    """Seconds by a clock of the actors, from the end of each one's first batch to the end of its last."""
    each = [clock[actor == number] for number in np.unique(actor)]
    return float(sum(np.ptp(times) for times in each) / sum((times > times.min()).sum() for times in each))
