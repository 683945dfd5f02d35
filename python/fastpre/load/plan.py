"""What load to send where: everything that can be asked of `fastpre.load.run`, checked."""

from __future__ import annotations

import dataclasses
import math
import re
import urllib.parse
from collections.abc import Mapping

__all__ = ["ARRIVALS", "PROTOCOLS", "Plan"]

V2_HTTP = "v2-http"
V2_GRPC = "v2-grpc"
PREDICT = "predict"
PROTOCOLS = (V2_HTTP, V2_GRPC, PREDICT)

CONSTANT = "constant"
POISSON = "poisson"
GAMMA = "gamma"
ARRIVALS = (CONSTANT, POISSON, GAMMA)
TRACE_SUFFIX = ".csv"

DEFAULT_DURATION_S = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """One measurement.

    Either `rate` (open loop: requests are sent when they are due, whatever became of the earlier ones), or
    `concurrency` (closed loop: so many clients, each of which waits for its answer before it sends again). With
    neither it is a closed loop of one client. A trace needs no rate: it is replayed as it was recorded.

    Attributes:
        url: "http://host:port", or "grpc://host:port" for gRPC. `protocol="predict"` posts to the URL's path, and to
            /v1/predict if it has none.
        protocol: one of `PROTOCOLS`; empty: the URL's, where http means v2-http.
        model: empty: the server's only model.
        rate: requests (not images) per second.
        arrivals: "constant", "poisson", "gamma", or the path of a trace, a .csv file.
        cv: coefficient of variation of the gaps between Gamma arrivals; 1 is Poisson, more is bursts.
        seed: of arrivals, of the order of images and of the mix.
        duration_s: how long requests are sent after the warm-up. Without it and `requests`, 10 s.
        requests: how many requests are sent after the warm-up. The first of both bounds to be reached counts.
        warmup_s: how long requests are sent before that, which no result contains.
        timeout_s: after which a request is given up, from when it was handed to its connection, or to one being opened.
        batch: images in each request.
        mix: share of requests by size class: names of folders (in `LoadImage.name`), or `small`, `medium` and `large`
            (see `size_class`). Empty: images in turn.
        bad_fraction: share of requests that have one damaged image; spread evenly.
        max_outstanding: most requests without an answer; those that are due then wait.
        headers: sent along (HTTP), or as metadata (gRPC).
        api_key: sent as `Authorization: Bearer`; no report contains it.

    Raises:
        ValueError: the message names the argument.
    """

    url: str
    protocol: str = ""
    model: str = ""
    rate: float | None = None
    concurrency: int | None = None
    arrivals: str = POISSON
    cv: float = 2.0
    seed: int = 0
    duration_s: float | None = None
    requests: int | None = None
    warmup_s: float = 1.0
    timeout_s: float = 10.0
    batch: int = 1
    mix: Mapping[str, float] = dataclasses.field(default_factory=dict)
    bad_fraction: float = 0.0
    max_outstanding: int = 512
    headers: tuple[tuple[str, str], ...] = ()
    api_key: str = dataclasses.field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        try:
            port = parts.port
        except ValueError as e:
            raise ValueError(f"url {self.url!r}: {e}") from None
        if parts.scheme not in ("http", "grpc") or not parts.hostname:
            raise ValueError(f"url {self.url!r} is neither http://host:port nor grpc://host:port")
        if parts.scheme == "grpc" and port is None:
            raise ValueError(f"url {self.url!r} has no port")
        protocol = self.protocol or (V2_GRPC if parts.scheme == "grpc" else V2_HTTP)
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol {protocol!r} is none of {', '.join(PROTOCOLS)}")
        if (protocol == V2_GRPC) != (parts.scheme == "grpc"):
            raise ValueError(f"protocol {protocol} does not go with {parts.scheme}://")
        if self.rate is not None and self.concurrency is not None:
            raise ValueError("rate is of the open loop, concurrency of the closed loop: give one of them")
        if self.arrivals not in ARRIVALS and not self.trace:
            raise ValueError(f"arrivals {self.arrivals!r} is none of {', '.join(ARRIVALS)}, nor a .csv file")
        if self.trace and self.concurrency is not None:
            raise ValueError("a trace is of the open loop, concurrency of the closed loop: give one of them")
        self._check_numbers()
        duration_s = self.duration_s
        if duration_s is None and self.requests is None:
            duration_s = DEFAULT_DURATION_S
        concurrency = self.concurrency
        if self.rate is None and not self.trace and concurrency is None:
            concurrency = 1
        resolved = {
            "protocol": protocol,
            "duration_s": duration_s,
            "concurrency": concurrency,
            "mix": dict(self.mix),
            "headers": tuple(self.headers),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)

    def _check_numbers(self) -> None:
        above_zero = {
            "rate": self.rate,
            "concurrency": self.concurrency,
            "cv": self.cv,
            "duration_s": self.duration_s,
            "requests": self.requests,
            "timeout_s": self.timeout_s,
            "batch": self.batch,
            "max_outstanding": self.max_outstanding,
            **{f"mix of {name}": share for name, share in self.mix.items()},
        }
        for name, value in above_zero.items():
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be above 0, not {value}")
        if not (self.warmup_s >= 0 and math.isfinite(self.warmup_s)):
            raise ValueError(f"warmup_s must be 0 or more, not {self.warmup_s}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, not {self.seed}")
        if not 0 <= self.bad_fraction <= 1:
            raise ValueError(f"bad_fraction must be between 0 and 1, not {self.bad_fraction}")
        for name, text in self.sent_headers():
            if not (re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) and re.fullmatch(r"[ -~]*", text)):
                raise ValueError(f"header {name!r}: a name of letters, digits and hyphens, a value of printable ASCII")
        if self.concurrency is not None and self.concurrency > self.max_outstanding:
            raise ValueError(f"concurrency {self.concurrency} is more than max_outstanding {self.max_outstanding}")

    @property
    def trace(self) -> bool:
        """True if arrivals come from a file."""
        return self.arrivals.lower().endswith(TRACE_SUFFIX)

    @property
    def open_loop(self) -> bool:
        """True if requests are sent when they are due, not when an earlier one is answered."""
        return self.concurrency is None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urllib.parse.urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    @property
    def authority(self) -> str:
        """`host:port`, with brackets around an IPv6 address."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def path(self) -> str:
        """Path and query of the URL; empty if there is none."""
        parts = urllib.parse.urlsplit(self.url)
        path = parts.path.rstrip("/") or ("/" if parts.query else "")
        return f"{path}?{parts.query}" if parts.query else path

    def sent_headers(self) -> list[tuple[str, str]]:
        """The caller's headers, and the key's."""
        return [*self.headers, *([("authorization", f"Bearer {self.api_key}")] if self.api_key else [])]
