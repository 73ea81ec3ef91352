"""Waveform, spectrum and orbit of regions, drawn with Matplotlib.

Figures are made without pyplot, which keeps figures of the whole process and picks a window system.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rtmag.realtime.analysis.measurement import RegionMotion
from rtmag.realtime.analysis.spectra import Samples
from rtmag.realtime.environment import no_font_cache
from rtmag.realtime.log import visible
from rtmag.realtime.report.contents import ReportContents

with no_font_cache():
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

MOST_ROWS = 12
"""Number of regions in a PNG file and on a page; a PDF file has all."""

MOST_PEAKS = 3
"""Number of peaks that are marked in a spectrum."""

COLOURS = ("#0b62a4", "#c2410c")
"""Of motion to the right and down. They differ in brightness too."""

_POINTS = 2000
"""Largest number of points of a curve, twice the pixels of its width."""

_DPI = 150

_HEIGHT = 2.9
"""Height of a plot in inches."""

_STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 0.9,
    "legend.frameon": False,
    "text.parse_math": False,  # names may contain dollar signs
    "svg.fonttype": "path",  # the same on every machine
    "svg.hashsalt": "rtmag",
}


def write_plot(contents: ReportContents, path: Path) -> None:
    """Write the plots of the regions with the largest motion to a PNG file, or of all to a PDF.

    Raises:
        OSError: the file cannot be written.
    """
    regions = contents.shown(len(contents.measurement.regions))
    with _style():
        if path.suffix.lower() == ".pdf":
            with PdfPages(path) as pages:
                for first in range(0, len(regions), 3):
                    pages.savefig(_figure(contents, regions[first : first + 3]))
            return
        figure = _figure(contents, contents.shown(MOST_ROWS))
        FigureCanvasAgg(figure)
        figure.savefig(path, dpi=_DPI)


def region_svgs(contents: ReportContents, region: RegionMotion) -> dict[str, bytes]:
    """Return the waveform, the spectrum and the orbit of a region as SVG pictures, by name."""
    with _style():
        return {name: _as_svg(contents, region, name) for name in _DRAWN}


def _as_svg(contents: ReportContents, region: RegionMotion, name: str) -> bytes:
    draw, width = _DRAWN[name]
    figure = Figure(figsize=(width, _HEIGHT), layout="constrained", facecolor="white")
    FigureCanvasSVG(figure)
    draw(contents, region, figure.subplots())
    file = BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


@contextmanager
def _style() -> Iterator[None]:
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Matplotlib's font lacks some scripts; their letters become boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def _figure(contents: ReportContents, regions: Sequence[RegionMotion]) -> Figure:
    """Draw a row for each region."""
    widths = [width for _, width in _DRAWN.values()]
    figure = Figure(
        figsize=(sum(widths), _HEIGHT * len(regions)), layout="constrained", facecolor="white"
    )
    grid = figure.subplots(len(regions), len(widths), width_ratios=widths, squeeze=False)
    for region, row in zip(regions, grid, strict=True):
        for (draw, _), axes in zip(_DRAWN.values(), row, strict=True):
            draw(contents, region, axes)
        row[0].set_title(visible(region.name), loc="left", fontweight="bold")
    return figure


def _draw_waveform(contents: ReportContents, region: RegionMotion, axes: Axes) -> None:
    times, values = region.waveform()
    values = values * contents.scale
    for axis, label in enumerate(("right", "down")):
        axes.plot(*envelope(times, values[:, axis]), color=COLOURS[axis], label=label)
    axes.set_title("displacement", loc="left")
    axes.set_xlabel("time (s)")
    axes.set_ylabel(f"displacement ({contents.unit})")
    axes.margins(x=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.1)


def _draw_spectrum(contents: ReportContents, region: RegionMotion, axes: Axes) -> None:
    spectrum = region.spectrum()
    for axis in (0, 1):
        amplitude = spectrum.px[1:, axis] * contents.scale
        axes.plot(*envelope(spectrum.hz[1:], amplitude), color=COLOURS[axis])
    for peak in region.peaks[:MOST_PEAKS]:
        size = peak.px * contents.scale
        axes.plot(peak.hz, size, "v", color="black", markersize=5)
        axes.annotate(
            f"{peak.hz:.4g} Hz\n{size:.3g} {contents.unit}",
            (peak.hz, size),
            (4, 4),
            textcoords="offset points",
            fontsize=7.5,
        )
    if (spectrum.px[1:] > 0).any():
        axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.margins(x=0, y=0.2)
    plural = "" if spectrum.averages == 1 else "s"
    axes.set_title(f"spectrum, {spectrum.averages} average{plural}", loc="left")
    axes.set_xlabel("frequency (Hz)")
    axes.set_ylabel(f"amplitude ({contents.unit})")


def _draw_orbit(contents: ReportContents, region: RegionMotion, axes: Axes) -> None:
    """Draw the path of the last seconds, and the ellipse at the largest peak over it."""
    values = region.waveform()[1][-_POINTS:] * contents.scale
    axes.plot(*values.T, color="0.7", linewidth=0.5)
    if region.peaks:
        x, y = region.peaks[0].sinusoid.amplitude
        turn = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
        axes.plot(
            np.real(x * turn) * contents.scale, np.real(y * turn) * contents.scale, color="black"
        )
        axes.set_title(f"orbit at {region.peaks[0].hz:.4g} Hz", loc="left")
    else:
        axes.set_title("orbit", loc="left")
    axes.set_aspect("equal", adjustable="datalim")
    axes.invert_yaxis()  # as in the picture
    axes.set_xlabel(f"right ({contents.unit})")
    axes.set_ylabel(f"down ({contents.unit})")


def envelope(x: Samples, y: Samples, points: int = _POINTS) -> tuple[Samples, Samples]:
    """Return at most `points` points that draw the same curve: extremes of equal parts.

    Args:
        x: (N,) increasing.
        y: (N,).
        points: an even number.
    """
    if len(x) <= points:
        return x, y
    edges = np.linspace(0, len(x), points // 2 + 1).astype(int)
    kept = np.empty(points // 2 * 2, int)
    for number, (first, last) in enumerate(pairwise(edges)):
        part = y[first:last]
        low, high = sorted((int(part.argmin()), int(part.argmax())))
        kept[2 * number : 2 * number + 2] = first + low, first + high
    return x[kept], y[kept]


_DRAWN = {
    "waveform": (_draw_waveform, 4.5),
    "spectrum": (_draw_spectrum, 4.5),
    "orbit": (_draw_orbit, 2.6),
}
"""The function that draws each plot, and its width in inches."""
