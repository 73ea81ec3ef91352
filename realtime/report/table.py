"""The table of a measurement, as lines of text."""

from collections.abc import Sequence

from rtmag.realtime.analysis.measurement import Measurement, RegionMotion
from rtmag.realtime.analysis.per_minute import rate_per_minute
from rtmag.realtime.filters import Band
from rtmag.realtime.log import visible
from rtmag.realtime.report.contents import NOTHING, ReportContents

MOST_REGIONS = 20
"""Number of regions in the table; files have all."""

MOST_PEAKS = 3
"""Number of peaks of each region in the table, if there are few regions."""

HEAD = ("region", "frequency", "amplitude", "peak to peak", "velocity rms")


def lines(contents: ReportContents) -> list[str]:
    """Return the lines of the table, the relations between regions, and the notes."""
    measurement = contents.measurement
    frames = max((len(region.times) for region in measurement.regions), default=0)
    seconds = max((region.duration for region in measurement.regions), default=0.0)
    text = [
        f"{visible(contents.source)}: {frames} frames in {seconds:.4g} s, "
        f"{measurement.fps:.5g} frames/s"
    ]
    rows = [HEAD]
    regions = contents.shown(MOST_REGIONS)
    for region in regions:
        rows += region_rows(contents, region, MOST_PEAKS if len(regions) <= MOST_PEAKS else 1)
    text += aligned(rows)
    text += [visible(sentence) for sentence in contents.left_out(MOST_REGIONS)]
    text += [
        f"{visible(link.second)} to {visible(link.first)} at {link.hz:.4g} Hz: "
        f"{'phase ' if link.related else ''}{link.phase_text}, coherence {link.coherence:.2f}"
        for link in contents.links[:MOST_REGIONS]
    ]
    return text + [f"note: {visible(note)}" for note in measurement.notes]


def region_rows(
    contents: ReportContents, region: RegionMotion, peaks: int
) -> list[tuple[str, str, str, str, str]]:
    """Return the rows of a region: one for each of its largest peaks, at least one.

    Args:
        contents: for the units.
        region: one of the measurement.
        peaks: largest number of rows.
    """
    name = visible(region.name)
    extent, velocity = contents.extent(region), contents.rms(region, 1)
    if not region.peaks:
        return [(name, "-", NOTHING, extent, velocity)]
    rows = [
        (name, contents.frequency(peak), contents.amplitude(peak), extent, velocity)
        for peak in region.peaks[:peaks]
    ]
    return [rows[0], *(("", frequency, size, "", "") for _, frequency, size, _, _ in rows[1:])]


def rates(measurement: Measurement, band: Band) -> list[str]:
    """Return a line for each region: its rate per minute within a band in Hz, or no reading."""
    text = []
    for region in measurement.regions[:MOST_REGIONS]:
        rate = rate_per_minute(region.times, region.displacement, band)
        reading = "no reading"
        if rate is not None:
            reading = f"{rate.value:.3g} per minute, confidence {100 * rate.confidence:.0f} %"
        text.append(f"{visible(region.name)}: {reading}")
    return text


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines of text whose columns have the same width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
