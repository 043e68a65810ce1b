"""What Prometheus reads of a service."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from relo_server.api.house import House

_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counts and times of this process."""

    def __init__(self, house: House) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "relo_requests", "Requests answered.", ["operation", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "relo_request_seconds", "Time to the end of an answer.", ["operation"],
            buckets=_BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._published = Counter(
            "relo_refreshes", "Audiences refreshed by this service.", ["outcome"],
            registry=self._registry,
        )  # fmt: skip
        self._registry.register(_Lanes(house))

    def request(self, operation: str, status: int, seconds: float) -> None:
        self._requests.labels(operation, str(status)).inc()
        self._seconds.labels(operation).observe(seconds)

    def refreshed(self, outcome: str) -> None:
        """One audience: `published`, `held` or `failed`."""
        self._published.labels(outcome).inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Lanes(Collector):
    """What the lanes and the sets say when they are asked."""

    def __init__(self, house: House) -> None:
        self._house = house

    def collect(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily(
            "relo_queue_depth", "Work being done or waiting.", labels=["lane"]
        )
        time = CounterMetricFamily("relo_engine_seconds", "Time at the engine.", labels=["lane"])
        for lane in self._house.lanes:
            depth.add_metric([lane.name], lane.waiting)
            time.add_metric([lane.name], lane.seconds)
        yield depth
        yield time
        yield from self._ages()

    def _ages(self) -> Iterator[Metric]:
        age = GaugeMetricFamily(
            "relo_version_age_seconds", "Since the instant that a published set is of.",
            labels=["client", "audience"],
        )  # fmt: skip
        client = self._house.settings.client
        if client is not None:
            now = self._house.clock()
            for info in self._house.sets.published(client):
                age.add_metric([str(client), info.name], max(now - info.at, 0) / 1000)
        yield age
