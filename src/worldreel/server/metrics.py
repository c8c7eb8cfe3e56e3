"""Prometheus metrics: requests as they were answered here, jobs as the database counts them."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worldreel.server.events import Hub
from worldreel.server.jobs import Jobs

__all__ = ["Metrics"]


class _Rows(Collector):
    """What only the database knows, read when somebody asks."""

    def __init__(self, jobs: Jobs, hub: Hub) -> None:
        self.jobs, self.hub = jobs, hub

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        counted = GaugeMetricFamily("worldreel_jobs", "Jobs by status", labels=["status"])
        for status, count in self.jobs.counts().items():
            counted.add_metric([status], count)
        yield counted
        alive = self.jobs.alive(within=15)
        yield GaugeMetricFamily("worldreel_workers", "Workers that are alive", alive)
        pace = self.jobs.pace() or 0.0
        told = "Seconds that the last ten videos took, on average"
        yield GaugeMetricFamily("worldreel_job_seconds", told, pace)
        yield GaugeMetricFamily("worldreel_listeners", "Open event streams", len(self.hub))


class Metrics:
    """The metrics of one server process."""

    def __init__(self, jobs: Jobs, hub: Hub) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        told = "Requests answered"
        self.requests = Counter("worldreel_requests", told, labels, registry=self.registry)
        self.latency = Histogram(
            "worldreel_request_seconds",
            "Seconds until an answer began",
            ["route"],
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=self.registry,
        )
        self.registry.register(_Rows(jobs, hub))

    def note(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answer."""
        self.requests.labels(method, route, str(status)).inc()
        self.latency.labels(route).observe(seconds)

    def text(self) -> bytes:
        """The exposition that Prometheus reads."""
        return generate_latest(self.registry)
