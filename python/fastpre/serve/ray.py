"""The same server on a Ray cluster: replicas of the engine behind Ray Serve's proxy.

```python
import ray.serve
from fastpre.serve.ray import application

ray.serve.run(application(["torchvision:resnet18"], replicas=2, max_replicas=8))
```

Ray adds replicas, replaces those that die, and spreads them over machines. It is no way to a lower latency: its proxy
and its router pass each request on between processes (docs/serving.md has figures). A request whose replica dies is
answered with an error by the proxy; it is not run again.

Needs `pip install "ray[serve]>=2.50"`.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

from ray import serve

from .building import ModelChoice, build
from .engine import Settings
from .http.app import Application
from .http.limits import Limits
from .observing.loop_lag import LoopLag
from .observing.prometheus import metrics, registry

__all__ = ["Replica", "application"]


class Replica:
    """One replica: engines, and the HTTP application in front of them. Ray makes it; see `application`.

    Shared memory regions are not offered: clients and replicas need not be on one machine.
    """

    def __init__(
        self, choices: Sequence[ModelChoice], settings: Settings, handover: str, limits: Limits, api_key: str | None
    ) -> None:
        self._service = build(choices, settings, handover=handover, max_images=limits.max_images)
        self._limits = limits
        self._api_key = api_key

    def __serve_build_asgi_app__(self) -> Application:
        """What Ray calls with each HTTP request."""
        lag = LoopLag()
        lag.start()
        collected = registry(self._service.engines, self._service.recorders, lag)
        return Application(
            self._service,
            metrics=lambda accept: metrics(collected, accept),
            admit=lambda _: self._service.admit(),
            api_key=self._api_key,
            limits=self._limits,
        )

    def check_health(self) -> None:
        """Raises if a model cannot run: Ray replaces the replica then."""
        if not self._service.ready:
            raise RuntimeError("a model is not ready")

    async def __del__(self) -> None:
        """Finishes what was begun; Ray awaits it when it takes the replica away."""
        self._service.draining = True
        for engine in self._service.engines.values():
            await asyncio.to_thread(engine.close)


def application(
    models: Sequence[str | ModelChoice],
    *,
    settings: Settings | None = None,
    handover: str = "threads",
    limits: Limits | None = None,
    api_key: str | None = None,
    replicas: int = 1,
    max_replicas: int | None = None,
    target_ongoing_requests: float = 8.0,
    cpus: float = 1.0,
    gpus: float = 0.0,
    drain_s: float = 10.0,
) -> serve.Application:
    """What `ray.serve.run` takes.

    Args:
        models: references as `load` takes them, or choices with more options.
        settings, handover, limits, api_key: as for `fastpre serve`. `Settings.threads` is `cpus` rounded up where it
            is not set: Ray does not keep a replica to its cores.
        replicas: how many, at least.
        max_replicas: at most; None: always `replicas`. Between them Ray follows the number of requests under way.
        target_ongoing_requests: of each replica, above which one more is started; the queue's depth that is wanted.
        cpus, gpus: that Ray reserves for each replica; a fraction of a GPU lets replicas share one.
        drain_s: how long a replica that is taken away may finish what it has begun.

    Raises:
        ValueError: numbers that do not fit each other.
    """
    most = replicas if max_replicas is None else max_replicas
    if not 1 <= replicas <= most:
        raise ValueError(f"replicas must be from 1 to max_replicas, got {replicas} and {max_replicas}")
    settings = Settings() if settings is None else settings
    if settings.threads is None:
        settings = dataclasses.replace(settings, threads=max(1, -int(-cpus // 1)))
    limits = Limits() if limits is None else limits
    choices = [ModelChoice(model) if isinstance(model, str) else model for model in models]
    scaling: dict[str, Any] = {"num_replicas": replicas}
    if most > replicas:
        scaling = {
            "autoscaling_config": {
                "min_replicas": replicas,
                "max_replicas": most,
                "target_ongoing_requests": target_ongoing_requests,
            }
        }
    deployment = serve.deployment(
        name="fastpre",
        ray_actor_options={"num_cpus": cpus, "num_gpus": gpus},
        # The engine has a queue with a bound and deadlines; Ray's own in front of it only has to feed that.
        max_ongoing_requests=settings.queue_limit,
        max_queued_requests=settings.queue_limit,
        graceful_shutdown_timeout_s=drain_s,
        health_check_period_s=2.0,
        **scaling,
    )(serve.ingress()(Replica))
    return deployment.bind(choices, settings, handover, limits, api_key)
