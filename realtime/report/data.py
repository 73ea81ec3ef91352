"""A measurement as CSV, a row for each frame, and as JSON, everything except the waveforms."""

import csv
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import numpy as np

from rtmag.realtime.analysis.measurement import Level, Peak, RegionMotion
from rtmag.realtime.analysis.spectra import Samples
from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.report.contents import ReportContents

QUANTITIES = ("displacement", "velocity", "acceleration")
"""Names of the derivatives of order 0, 1 and 2."""


def write_csv(contents: ReportContents, file: TextIO) -> None:
    """Write times in seconds, and displacement and deviation of each region in x and y.

    The first line has the names of the columns. A cell is empty if the region was not measured at
    that time.
    """
    regions, unit = contents.measurement.regions, contents.unit
    writer = csv.writer(file, lineterminator="\n")
    head = ["time_s"]
    for region in regions:
        head += [f"{region.name}_{axis}_{unit}" for axis in "xy"]
        head += [f"{region.name}_{axis}_deviation_{unit}" for axis in "xy"]
    writer.writerow(head)
    writer.writerows(_rows(regions, contents.scale))


def _rows(regions: Sequence[RegionMotion], scale: float) -> Iterator[list[str]]:
    """Yield a row for each time of any region."""
    positions = [0] * len(regions)
    for time in np.unique(np.concatenate([region.times for region in regions])):
        row = [f"{time:.9g}"]
        for number, region in enumerate(regions):
            at = positions[number]
            if at < len(region.times) and region.times[at] == time:
                values = (*region.displacement[at], *region.deviation[at])
                row += [f"{value * scale:.6g}" for value in values]
                positions[number] = at + 1
            else:
                row += [""] * 4
        yield row


def write_json(contents: ReportContents, file: TextIO) -> None:
    """Write figures, peaks, spectra, relations, settings and caveats; see `as_data`."""
    json.dump(as_data(contents), file, indent=1, allow_nan=False, ensure_ascii=False)
    file.write("\n")


def as_data(contents: ReportContents) -> dict[str, Any]:
    """Return a measurement as JSON types. Lengths are in `unit`; numbers that are unknown are None.

    `levels` are of displacement, velocity and acceleration within the band: of both axes together,
    with the rms that noise alone would have. `phase_deg` is positive where `second` is ahead.
    """
    measurement = contents.measurement
    data = {
        "rtmag": rtmag_version(),
        "made": contents.made.isoformat(timespec="seconds"),
        "source": contents.source,
        "size": list(measurement.size),
        "fps": measurement.fps,
        "unit": contents.unit,
        "unit_per_px": measurement.scale,
        "band_hz": None if measurement.band is None else list(measurement.band),
        "settings": dict(measurement.settings),
        "regions": [_region(region, contents.scale) for region in measurement.regions],
        "relations": [
            {
                "first": link.first,
                "second": link.second,
                "hz": link.hz,
                "phase_deg": link.phase,
                "phase_deviation_deg": link.phase_deviation,
                "coherence": link.coherence,
                "related": link.related,
            }
            for link in contents.links
        ],
        "caveats": contents.caveats,
    }
    return dict(_finite(data))


def _region(region: RegionMotion, scale: float) -> dict[str, Any]:
    spectrum = region.spectrum()
    return {
        "name": region.name,
        "box": list(region.box),
        "frames": len(region.times),
        "seconds": region.duration,
        "levels": {
            name: _level(region.level(order), scale) for order, name in enumerate(QUANTITIES)
        },
        "peaks": [_peak(peak, scale) for peak in region.peaks],
        "spectrum": {
            "averages": spectrum.averages,
            "hz": _rounded(spectrum.hz),
            "x": _rounded(spectrum.px[:, 0] * scale),
            "y": _rounded(spectrum.px[:, 1] * scale),
        },
    }


def _level(level: Level, scale: float) -> dict[str, float]:
    return {
        "rms": level.rms * scale,
        "peak": level.peak * scale,
        "peak_to_peak": level.peak_to_peak * scale,
        "noise_rms": level.noise * scale,
    }


def _peak(peak: Peak, scale: float) -> dict[str, Any]:
    ellipse = peak.ellipse
    return {
        "hz": peak.hz,
        "hz_deviation": peak.hz_deviation,
        "amplitude": peak.px * scale,
        "amplitude_deviation": peak.px_deviation * scale,
        "velocity": peak.per_second * scale,
        "acceleration": peak.per_second2 * scale,
        "orbit": {
            "major": ellipse.major * scale,
            "minor": ellipse.minor * scale,
            "angle_deg": ellipse.angle,
            "clockwise": ellipse.clockwise,
        },
    }


def _rounded(values: Samples) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _finite(data: Any) -> Any:
    """Replace numbers that JSON does not have by None."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
