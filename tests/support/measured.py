"""Reports of measurements with known motion, made without pictures that move."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from rtmag.realtime.analysis.measurement import Measurement, RegionMotion
from rtmag.realtime.report.contents import ReportContents

FPS = 30.0
HZ = 3.0
SIZE = (64, 48)


def swaying(
    name: str = "motor", px: float = 0.2, phase: float = 0.0, *, hz: float = HZ, seconds: float = 8
) -> RegionMotion:
    """A region that sways to the right by `px` at `hz`, in noise of 0.002 px."""
    times = np.arange(round(seconds * FPS)) / FPS
    rng = np.random.default_rng(len(name))
    displacement = rng.normal(0, 0.002, (len(times), 2))
    displacement[:, 0] += px * np.sin(2 * np.pi * hz * times + np.radians(phase))
    return RegionMotion(
        name, (8, 8, 16, 16), times, displacement, np.full_like(displacement, 0.002)
    )


def report(
    regions: Sequence[RegionMotion] | None = None,
    *,
    source: str = "clip.mp4",
    scale: float = 1.0,
    unit: str = "px",
    settings: Mapping[str, object] | None = None,
    notes: Sequence[str] = (),
) -> ReportContents:
    """A report of these regions; by default of one that sways."""
    regions = [swaying()] if regions is None else regions
    return ReportContents(
        measurement=Measurement(
            regions, SIZE, FPS, scale, unit, settings=settings or {}, notes=notes
        ),
        source=source,
        image=np.full((SIZE[1], SIZE[0], 3), 90, np.uint8),
        made=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    )
