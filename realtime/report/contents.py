"""The contents of a report: a measurement, a picture, and their numbers as text and as records."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from rtmag.realtime.analysis.measurement import Measurement, Peak, RegionMotion
from rtmag.realtime.filters import format_band
from rtmag.realtime.frame import Image, Region
from rtmag.realtime.view.motion_map import MapKind

NOTHING = "nothing stands above the noise"
"""Result of a region without a peak."""

_FEW = 3
"""Number of regions without a peak that are listed one by one."""

_NOISE_FACTOR = 2.0
"""Rms over that of the noise from which motion without a peak is shown."""

PER = ("", "/s", "/s\N{SUPERSCRIPT TWO}")
"""Ends of the units of displacement, velocity and acceleration."""

GENERAL_CAVEATS = (
    "Uncertainties are standard deviations by the noise around each frequency. Motion blur, "
    "rolling shutters and still background inside a region are not in them.",
    "Displacement is that in the plane of the picture. An edge shows only the motion across it.",
    "Motion faster than half the frame rate shows at another, lower frequency.",
)
"""Sentences below every report."""

SCALE_CAVEAT = "The scale holds in the plane in which it was taken, at the same distance only."


class Link(NamedTuple):
    """Phase and coherence of two regions at one frequency."""

    first: str
    second: str
    hz: float
    phase: float
    """Degrees; positive where the second region is ahead of the first."""
    phase_deviation: float
    """Degrees."""
    coherence: float
    """0 to 1."""
    related: bool
    """True if both regions have a peak at this frequency, and noise alone reaches this coherence in
    one of twenty cases at most."""

    @property
    def phase_text(self) -> str:
        """The phase with its uncertainty, or a remark that the coherence is too low for one."""
        if not self.related:
            return "no common motion"
        return f"{self.phase:+.1f} ± {self.phase_deviation:.1f}\N{DEGREE SIGN}"


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportContents:
    """Everything that a table, a file or a page shows."""

    measurement: Measurement
    source: str
    """Name of the source, without credentials."""
    image: Image
    """The first picture that was measured, (H, W, 3) BGR."""
    made: datetime
    """Local time at the end of the measurement."""
    draw_map: Callable[[MapKind], Image] | None = None
    """Draws a map of the motion; None: the fields were not measured."""

    @property
    def unit(self) -> str:
        """Unit of lengths: px or mm."""
        return self.measurement.unit

    @property
    def scale(self) -> float:
        """Units per pixel."""
        return self.measurement.scale

    @property
    def caveats(self) -> list[str]:
        """All reasons to doubt the numbers, those of this measurement first."""
        general = [*GENERAL_CAVEATS, *([SCALE_CAVEAT] if self.unit != "px" else [])]
        return [*self.measurement.notes, *general]

    @cached_property
    def by_amplitude(self) -> list[RegionMotion]:
        """The regions, that with the largest peak first, those without a peak last."""
        return sorted(self.measurement.regions, key=lambda region: -largest(region))

    @cached_property
    def quiet(self) -> Sequence[RegionMotion]:
        """The regions without a peak that are named together; empty if there are few."""
        quiet = [region for region in self.measurement.regions if not region.peaks]
        return quiet if len(quiet) > _FEW else []

    def shown(self, most: int) -> Sequence[RegionMotion]:
        """Return the regions to show one by one, in their order.

        If there are more than `most`, those with the largest peaks are returned.
        """
        listed = [region for region in self.measurement.regions if region not in self.quiet]
        return listed if len(listed) <= most else self.by_amplitude[:most]

    def left_out(self, most: int) -> list[str]:
        """Return a sentence for each reason for which `shown` leaves out regions."""
        others = len(self.measurement.regions) - len(self.quiet) - len(self.shown(most))
        text = [f"{others} more regions move less"] if others else []
        if self.quiet:
            text.append(f"{NOTHING} in {', '.join(region.name for region in self.quiet)}")
        return text

    @cached_property
    def links(self) -> list[Link]:
        """Phase and coherence of the regions with that of the largest peak, at this peak.

        Regions without a peak are left out.
        """
        if not self.by_amplitude or not self.by_amplitude[0].peaks:
            return []
        first, hz = self.by_amplitude[0], self.by_amplitude[0].peaks[0].hz
        links = []
        for other in self.measurement.regions:
            if other is not first and other.peaks:
                relation = self.measurement.relation(first.name, other.name)
                phase, deviation, coherence = relation.at(hz)
                related = _has_peak(other, hz) and coherence > _least_coherence(relation.averages)
                links.append(Link(first.name, other.name, hz, phase, deviation, coherence, related))
        return [link for link in links if math.isfinite(link.coherence)]

    def frequency(self, peak: Peak) -> str:
        """Return the frequency of a peak with its uncertainty, such as '37.001 ± 0.002 Hz'."""
        return f"{plus_minus(peak.hz, peak.hz_deviation)} Hz"

    def amplitude(self, peak: Peak) -> str:
        """Return the amplitude of a peak with its uncertainty, such as '0.100 ± 0.003 px'."""
        return f"{plus_minus(peak.px * self.scale, peak.px_deviation * self.scale)} {self.unit}"

    @property
    def summary(self) -> str:
        """The region that moves most, as a sentence."""
        regions, band = self.by_amplitude, self.measurement.band
        within = "" if band is None else f" between {format_band(*band)}"
        if not regions or not regions[0].peaks:
            return f"{NOTHING.capitalize()}{within}."
        peak = regions[0].peaks[0]
        return (
            f"Largest motion{within}: {regions[0].name}, {self.amplitude(peak)} at "
            f"{self.frequency(peak)}."
        )

    def length(self, px: float, *, per: str = "") -> str:
        """Return a number of pixels in the unit of the report.

        Args:
            px: pixels, or pixels per unit of time.
            per: end of the unit, such as '/s'.
        """
        return f"{significant(px * self.scale)} {self.unit}{per}" if math.isfinite(px) else "-"

    def rms(self, region: RegionMotion, order: int = 0) -> str:
        """Return the rms of displacement (order 0), velocity (1) or acceleration (2) with a unit.

        It is "-" if the region has no peak and its motion is not larger than the noise.
        """
        return self.length(region.level(order).rms, per=PER[order]) if _moves(region) else "-"

    def extent(self, region: RegionMotion) -> str:
        """Return the peak-to-peak displacement of a region with its unit, or "-" as `rms`."""
        return self.length(region.level().peak_to_peak) if _moves(region) else "-"


def described_settings(measurement: Measurement, capture_fps: float | None) -> dict[str, str]:
    """Return picture, rate, band and scale of a measurement by name, for the reader.

    Args:
        measurement: for the numbers.
        capture_fps: rate in 1/s at which a slow-motion file was filmed; None: it is not one.
    """
    width, height = measurement.size
    band = measurement.band
    settings = {
        "picture": f"{width} x {height} px",
        "frame rate": f"{measurement.fps:.6g} per second",
        "band": "all frequencies" if band is None else format_band(*band),
    }
    if capture_fps is not None:
        settings["slow motion"] = f"filmed at {capture_fps:g} frames per second"
    if measurement.unit != "px":
        settings["scale"] = f"{measurement.scale:.6g} {measurement.unit} per px"
    return settings


def largest(region: RegionMotion) -> float:
    """Return the amplitude of the largest peak of a region in px; 0 without a peak."""
    return region.peaks[0].px if region.peaks else 0.0


def _moves(region: RegionMotion) -> bool:
    level = region.level()
    return bool(region.peaks) or level.rms > _NOISE_FACTOR * level.noise


def _has_peak(region: RegionMotion, hz: float) -> bool:
    """True if a region has a peak at this frequency, as far as its duration can tell."""
    return any(abs(peak.hz - hz) * region.duration < 2 for peak in region.peaks)


def _least_coherence(averages: int) -> float:
    """Return the coherence that noise exceeds in one of twenty cases."""
    return 1 - 0.05 ** (1 / (averages - 1)) if averages > 1 else 1.0


def place(box: Region) -> str:
    """Return a region as x, y, width, height in pixels, as `--roi` takes it."""
    return ",".join(map(str, box))


def significant(value: float) -> str:
    """Return a number with three significant digits and without an exponent, if it is not tiny.

    >>> significant(0.012345), significant(23456.0)
    ('0.0123', '23500')
    """
    if value == 0 or abs(value) < 1e-6:
        return f"{value:.3g}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):.{max(digits, 0)}f}"


def plus_minus(value: float, deviation: float) -> str:
    """Return a number with its standard deviation; both end at the deviation's second digit.

    >>> plus_minus(37.00123, 0.00187)
    '37.0012 ± 0.0019'
    """
    if not (math.isfinite(deviation) and deviation > 0):
        return f"{value:.4g}"
    digits = min(max(1 - math.floor(math.log10(deviation)), 0), 9)
    return f"{value:.{digits}f} ± {deviation:.{digits}f}"
