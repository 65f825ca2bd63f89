"""Prometheus metrics of a server."""

from __future__ import annotations

import os

from rowspace._optional import require

require("prometheus_client", extra="fastapi")

from prometheus_client import (  # noqa: E402 -- after the check that names the extra
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402

__all__ = ["CONTENT_TYPE", "MULTIPROCESS", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

#: The directory where the workers of a server store their counts, so that each can report the counts of all.
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Counts requests by method, route and status. A route is a pattern, never a name that a caller chose."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rowspace_http_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "rowspace_http_request_seconds",
            "Seconds until the response began.",
            ["method", "route"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def count(self, method: str, route: str, *, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """Return the metrics in Prometheus's text format. With several workers, they include those of all."""
        if os.environ.get(MULTIPROCESS):
            everyone = CollectorRegistry()
            MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
            return generate_latest(everyone)
        return generate_latest(self._registry)
