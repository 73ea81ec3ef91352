"""A measurement as one HTML page that contains its pictures and needs nothing else.

Text from outside is escaped. The page has no script, and its content security policy allows no
request: pictures are in the page, and the style is the one whose hash is named.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.frame import Image
from rtmag.realtime.log import redact, visible
from rtmag.realtime.opencv import cv2
from rtmag.realtime.report.contents import NOTHING, PER, ReportContents, place
from rtmag.realtime.report.data import QUANTITIES
from rtmag.realtime.report.plots import MOST_ROWS, region_svgs

MOST_LISTED = 100
"""Number of regions in the tables of the page."""

_LARGEST = 1600
"""Longest side in pixels of the picture on the page."""

_JPEG_QUALITY = 88

_LABEL_SHARE = 36
"""Height of the picture over that of the names in it."""


def as_html(contents: ReportContents) -> str:
    """Return the page."""
    folder = files("rtmag.realtime.report")
    style = (folder / "page.css").read_text(encoding="utf-8")
    settings = contents.measurement.settings
    template = Template((folder / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=_text(f"Motion of {contents.source}"),
        style=style,
        style_hash=f"sha256-{b64encode(hashlib.sha256(style.encode()).digest()).decode()}",
        summary=_text(contents.summary),
        picture=_picture(contents),
        peaks=_peaks(contents),
        levels=_levels(contents),
        links=_links(contents),
        plots=_plots(contents),
        notes="\n".join(f"<li>{_text(note)}</li>" for note in contents.caveats),
        settings=_table((), ((name, str(value)) for name, value in settings.items())),
        made=_text(f"Made by rtmag {rtmag_version()}, {contents.made:%Y-%m-%d %H:%M}"),
    )


def write_page(contents: ReportContents, path: Path) -> None:
    """Write the page.

    Raises:
        OSError: the file cannot be written.
    """
    path.write_text(as_html(contents), encoding="utf-8")


def _text(text: str) -> str:
    """Return text from outside for a page: no credentials, no control characters, no markup."""
    return escape(visible(redact(text)))


def _picture(contents: ReportContents) -> str:
    """The picture with the regions drawn over it."""
    width, height = contents.measurement.size
    size = max(height // _LABEL_SHARE, 9)
    shapes = []
    for region in contents.measurement.regions:
        x, y, w, h = region.box
        box = f'x="{x}" y="{y}" width="{w}" height="{h}"'
        shapes.append(f'<rect class="halo" {box}/><rect class="region" {box}/>')
        below = min(y + 1.15 * size, height - 2)
        shapes.append(f'<text x="{x + size / 3:.1f}" y="{below:.1f}">{_text(region.name)}</text>')
    return (
        f'<figure class="picture"><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="The picture with the regions" font-size="{size}">'
        f'<image href="{data_url(contents.image)}" width="{width}" height="{height}"/>'
        f"{''.join(shapes)}</svg>"
        f"<figcaption>The first picture, {width} x {height} px</figcaption></figure>"
    )


def data_url(image: Image) -> str:
    """Return a picture as a JPEG inside a URL; a large one is reduced."""
    height, width = image.shape[:2]
    factor = _LARGEST / max(width, height)
    if factor < 1:
        size = max(round(width * factor), 1), max(round(height * factor), 1)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
    return f"data:image/jpeg;base64,{b64encode(coded.tobytes()).decode()}"


def _peaks(contents: ReportContents) -> str:
    """The table of the peaks."""
    head = (
        "region", "x, y, width, height", "frequency", "amplitude", "velocity", "acceleration",
        "direction",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = []
    for region in contents.shown(MOST_LISTED):
        if not region.peaks:
            rows.append((region.name, place(region.box), "-", NOTHING, "-", "-", "-"))
        for number, peak in enumerate(region.peaks):
            rows.append(
                (
                    *((region.name, place(region.box)) if number == 0 else ("", "")),
                    contents.frequency(peak),
                    contents.amplitude(peak),
                    contents.length(peak.per_second, per=PER[1]),
                    contents.length(peak.per_second2, per=PER[2]),
                    f"{round(peak.ellipse.angle)}\N{DEGREE SIGN}",
                )
            )
    left_out = "".join(
        f"<p>{_text(text[0].upper() + text[1:])}.</p>" for text in contents.left_out(MOST_LISTED)
    )
    return f"{_table(head, rows)}{left_out}" + (
        "<p>Amplitudes are half of the full swing. Directions turn from right (0\N{DEGREE SIGN}) "
        "to down (90\N{DEGREE SIGN}).</p>"
    )


def _levels(contents: ReportContents) -> str:
    """The table of the motion at all frequencies of the band together."""
    head = ("region", "peak to peak", *(f"{name} rms" for name in QUANTITIES), "noise rms")
    rows = []
    for region in contents.shown(MOST_LISTED):
        rows.append(
            (
                region.name,
                contents.extent(region),
                *(contents.rms(region, order) for order in range(len(QUANTITIES))),
                contents.length(region.level().noise),
            )
        )
    return _table(head, rows)


def _links(contents: ReportContents) -> str:
    if not contents.links:
        return ""
    head = ("region", "relative to", "frequency", "phase", "coherence")
    rows = [
        (
            link.second,
            link.first,
            f"{link.hz:.4g} Hz",
            link.phase_text,
            f"{link.coherence:.3f}",
        )
        for link in contents.links
    ]
    return f"<h3>Phase between regions</h3>{_table(head, rows)}"


def _plots(contents: ReportContents) -> str:
    """The plots of the regions that move most."""
    figures = []
    for region in contents.shown(MOST_ROWS):
        pictures = [
            f'<img class="{kind}" src="data:image/svg+xml;base64,{b64encode(svg).decode()}" '
            f'alt="{kind} of {_text(region.name)}">'
            for kind, svg in region_svgs(contents, region).items()
        ]
        figures.append(
            f'<figure class="plots"><figcaption>{_text(region.name)}</figcaption>'
            f"{''.join(pictures)}</figure>"
        )
    return "\n".join(figures)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table; the first cell of each row is its heading."""
    text = '<div class="wide"><table>'
    if head:
        text += f"<thead><tr>{''.join(f'<th>{_text(cell)}</th>' for cell in head)}</tr></thead>"
    text += "<tbody>"
    for first, *rest in rows:
        cells = "".join(f"<td>{_text(cell)}</td>" for cell in rest)
        text += f'<tr><th scope="row">{_text(first)}</th>{cells}</tr>'
    return f"{text}</tbody></table></div>"
