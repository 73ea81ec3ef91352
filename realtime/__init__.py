"""Magnify motion live: frames in, magnified frames out. Never imports torch.

for frame in stream(0, alpha=20): ...                # a camera, motion twenty times larger
magnifier = Magnifier(load_engine(), alpha=20)        # or frame by frame
shown = magnifier(Frame(image, time, index))          # image (H, W, 3) uint8 BGR, time in seconds
"""

from rtmag.realtime.engine import Engine, OnnxEngine, load_engine
from rtmag.realtime.errors import (
    MissingExtra,
    ModelError,
    ModelIncompatible,
    OptionError,
    ParityError,
    ProviderUnavailable,
    RtmagError,
    SinkError,
    SinkUnavailable,
    SourceError,
    SourceLost,
    SourceUnavailable,
)
from rtmag.realtime.filters import Dynamic, Filter, Static, Temporal
from rtmag.realtime.frame import Frame
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.sources import FrameSource, open_source
from rtmag.realtime.streaming import stream

__all__ = [
    "Dynamic",
    "Engine",
    "Filter",
    "Frame",
    "FrameSource",
    "Magnifier",
    "MissingExtra",
    "ModelError",
    "ModelIncompatible",
    "OnnxEngine",
    "OptionError",
    "ParityError",
    "ProviderUnavailable",
    "RtmagError",
    "SinkError",
    "SinkUnavailable",
    "SourceError",
    "SourceLost",
    "SourceUnavailable",
    "Static",
    "Temporal",
    "load_engine",
    "open_source",
    "stream",
]
