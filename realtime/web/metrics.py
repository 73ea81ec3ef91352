"""The run's figures for Prometheus."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from rtmag.realtime.sources.source import SourceState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS = {
    "frames": "Frames magnified.",
    "dropped": "Frames never looked at because newer ones had come.",
    "reconnects": "Times the source was opened anew.",
    "stalls": "Times the source fell silent.",
    "errors": "Failures that did not end the run.",
}

_GAUGES = {
    "fps": "Frames magnified per second, over the last moments.",
    "latency_ms": "Milliseconds from grab to picture, median over the last moments.",
    "latency_p95_ms": "The same, but for one frame in twenty.",
    "viewers": "Browsers connected.",
}


class Metrics:
    """Reads the figures when asked, so that the loop need not know of Prometheus."""

    def __init__(self, figures: Callable[[], Mapping[str, Any]]) -> None:
        self._figures = figures
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """The figures of this moment; those not known yet are left out."""
        figures = self._figures()
        for name, words in _COUNTERS.items():
            yield CounterMetricFamily(f"rtmag_{name}", words, value=figures.get(name, 0))
        for name, words in _GAUGES.items():
            if (value := figures.get(name)) is not None:
                yield GaugeMetricFamily(f"rtmag_{name}", words, value=value)
        if (now := figures.get("state")) is not None:
            state = GaugeMetricFamily("rtmag_state", "1 for the source's state.", labels=["state"])
            for each in get_args(SourceState):
                state.add_metric([each], each == now)
            yield state

    def text(self) -> bytes:
        """All of them in Prometheus' format."""
        return generate_latest(self._registry)
