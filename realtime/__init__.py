"""Magnify motion live: frames in, magnified frames out. Never imports torch.

for frame in stream(0, alpha=20): ...                # a camera, motion twenty times larger
magnifier = Magnifier(load_engine(), alpha=20)        # or frame by frame
shown = magnifier(Frame(image, time, index))          # image (H, W, 3) uint8 BGR, time in seconds

The module of a name is imported when the name is first used, so that `rtmag --help` loads no heavy
library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtmag.realtime.analysis.measurement import Measurement
    from rtmag.realtime.analysis.meter import Meter
    from rtmag.realtime.engines.engine import Engine
    from rtmag.realtime.engines.loading import load_engine
    from rtmag.realtime.engines.onnx_engine import OnnxEngine
    from rtmag.realtime.errors import (
        MissingExtra,
        ModelError,
        ModelIncompatible,
        OptionError,
        ParityError,
        ProviderUnavailable,
        RtmagError,
        SinkClosed,
        SinkError,
        SinkUnavailable,
        SourceAbsent,
        SourceError,
        SourceLost,
        SourceUnavailable,
    )
    from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal, parse_band
    from rtmag.realtime.frame import Frame, MotionField
    from rtmag.realtime.magnifier import Magnifier
    from rtmag.realtime.presets import PRESETS
    from rtmag.realtime.run.measure import measure
    from rtmag.realtime.sinks.video_file import VideoSink
    from rtmag.realtime.sources.opening import open_source
    from rtmag.realtime.sources.source import FrameSource
    from rtmag.realtime.streaming import motion, stream

__all__ = [
    "PRESETS",
    "Dynamic",
    "Engine",
    "Filter",
    "Frame",
    "FrameSource",
    "Magnifier",
    "Measurement",
    "Meter",
    "MissingExtra",
    "ModelError",
    "ModelIncompatible",
    "MotionField",
    "OnnxEngine",
    "OptionError",
    "ParityError",
    "ProviderUnavailable",
    "RtmagError",
    "SinkClosed",
    "SinkError",
    "SinkUnavailable",
    "SourceAbsent",
    "SourceError",
    "SourceLost",
    "SourceUnavailable",
    "Static",
    "Temporal",
    "VideoSink",
    "load_engine",
    "measure",
    "motion",
    "open_source",
    "parse_band",
    "stream",
]

_MODULES = {
    "analysis.measurement": ("Measurement",),
    "analysis.meter": ("Meter",),
    "engines.engine": ("Engine",),
    "engines.loading": ("load_engine",),
    "filters": ("Dynamic", "Filter", "Static", "Temporal", "parse_band"),
    "frame": ("Frame", "MotionField"),
    "magnifier": ("Magnifier",),
    "presets": ("PRESETS",),
    "run.measure": ("measure",),
    "engines.onnx_engine": ("OnnxEngine",),
    "sinks.video_file": ("VideoSink",),
    "sources.source": ("FrameSource",),
    "sources.opening": ("open_source",),
    "streaming": ("motion", "stream"),
}
"""Public names by module. All other public names are exceptions, from `errors`."""

if not TYPE_CHECKING:  # because of this function, a type checker would accept every name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = next((each for each, names in _MODULES.items() if name in names), "errors")
        value = getattr(import_module(f"{__name__}.{module}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
