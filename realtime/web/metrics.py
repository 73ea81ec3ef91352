"""Metrics of a run for Prometheus, in the text format that `/metrics` serves."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from rtmag.realtime.sources.source import SourceState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Media type of the Prometheus text format."""

_COUNTERS = {
    "frames": "Frames magnified.",
    "dropped": "Frames skipped because newer ones had arrived.",
    "reconnects": "Reconnections to the source.",
    "stalls": "Times the source stopped delivering frames.",
    "errors": "Damaged packets and pictures of the source.",
}

_GAUGES = {
    "fps": "Frames magnified per second, over the last 30 frames.",
    "latency_ms": "Median time from grab to picture over the last 30 frames, in milliseconds.",
    "latency_p95_ms": "95th percentile of that time, in milliseconds.",
    "viewers": "Browsers connected.",
}


class Metrics:
    """Prometheus collector over the statistics of a run.

    The statistics are read at each scrape, so the frame loop does no extra work.

    Args:
        statistics: returns the statistics of the run by name, as `Tally.snapshot` does, and the
            number of `viewers`; called on each scrape.
    """

    def __init__(self, statistics: Callable[[], Mapping[str, Any]]) -> None:
        self._statistics = statistics
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return the current metrics; gauges whose value is None are left out."""
        statistics = self._statistics()
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"rtmag_{name}", text, value=statistics.get(name, 0))
        for name, text in _GAUGES.items():
            if (value := statistics.get(name)) is not None:
                yield GaugeMetricFamily(f"rtmag_{name}", text, value=value)
        if (current := statistics.get("state")) is not None:
            text = "State of the source: 1 for the current state, 0 for the others."
            family = GaugeMetricFamily("rtmag_state", text, labels=["state"])
            for state in get_args(SourceState):
                family.add_metric([state], state == current)
            yield family

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
