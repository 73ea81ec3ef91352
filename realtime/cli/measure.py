"""`rtmag measure`: displacement, frequency and amplitude of what moves, as a table and as files."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer
from typer import Option

from rtmag.realtime.cli import options
from rtmag.realtime.cli.console import notice, print_path, print_result
from rtmag.realtime.cli.regions import parse_grid, parse_regions, parse_scale
from rtmag.realtime.errors import OptionError
from rtmag.realtime.filters import band_unit, parse_band
from rtmag.realtime.media.image_size import MAX_PIXELS

if TYPE_CHECKING:
    from rtmag.realtime.filters import Band
    from rtmag.realtime.report.files import Kind, ReportFiles
    from rtmag.realtime.run.mapping import ClipMap
    from rtmag.realtime.sources.source import SourceOptions


@dataclass(frozen=True, kw_only=True)
class RegionOptions:
    """The places where motion is measured, and their size in millimetres."""

    panel: ClassVar = "Regions"
    roi: Annotated[
        list[str] | None,
        Option(
            "--roi",
            metavar="[NAME=]X,Y,W,H",
            help="Region in pixels: left edge, upper edge, width and height. Can be given several "
            "times.",
            show_default="the whole picture",
        ),
        options.HARMLESS,
    ] = None
    grid: Annotated[
        str | None,
        Option(
            "--grid",
            metavar="CxR",
            help="Divide the picture into C columns, called A, B, C ..., of R rows, and measure "
            "each part.",
        ),
        options.HARMLESS,
    ] = None
    find: Annotated[
        bool,
        Option(
            "--find",
            help="List the frequencies at which something moves anywhere in the picture, with "
            "amplitude and place, and with what else each may be. --json writes the list.",
        ),
        options.HARMLESS,
    ] = False
    scale: Annotated[
        str | None,
        Option(
            "--scale",
            metavar="LENGTH/px|X,Y-X,Y=LENGTH",
            help="Show millimetres: a length per pixel such as 0.12mm/px, or two points in pixels "
            "and their distance such as 100,200-340,200=50mm.",
            show_default="pixels",
        ),
        options.HARMLESS,
    ] = None
    band: Annotated[
        str | None,
        Option(
            "--band",
            metavar="LOWER-UPPER",
            callback=options.checked_band,
            help="Look for frequencies within this band only, in Hz, bpm or rpm, for example "
            "30-45Hz. auto: around the first frequency of --find.",
            show_default="all frequencies",
        ),
        options.HARMLESS,
    ] = None


@dataclass(frozen=True, kw_only=True)
class MeasureInputOptions:
    """The part of the input that is measured, and its frame rate."""

    panel: ClassVar = "Input"
    start: Annotated[
        float,
        Option("--start", min=0, max=1e9, help="First second of a clip to measure."),
        options.HARMLESS,
    ] = 0.0
    end: Annotated[
        float | None,
        Option("--end", min=0, max=1e9, help="Last second of a clip to measure."),
        options.HARMLESS,
    ] = None
    seconds: Annotated[
        float | None,
        Option(
            "--seconds",
            min=0.1,
            max=1e9,
            help="Measure for this time.",
            show_default="to the end of a clip; a camera or a stream until Ctrl-C",
        ),
        options.HARMLESS,
    ] = None
    capture_fps: Annotated[
        float | None,
        Option(
            "--capture-fps",
            min=0.001,
            max=options.MAX_RATE,
            help="Slow motion: frame rate in frames/s at which the scene was filmed, if it is "
            "played at a lower rate. Frequencies are those of the scene.",
        ),
        options.HARMLESS,
    ] = None
    fps: Annotated[
        float | None,
        Option(
            "--fps",
            min=0.001,
            max=options.MAX_RATE,
            help="Frame rate in frames/s of pictures in a folder, of files without timestamps and "
            "of raw pictures, or to request from a camera.",
        ),
        options.HARMLESS,
    ] = None
    size: Annotated[
        str | None,
        Option(
            "--size",
            metavar="WxH|auto",
            callback=options.checked_size,
            help="Picture size in pixels to request from a camera, or of raw pictures on standard "
            "input. auto: the source chooses.",
        ),
        options.HARMLESS,
    ] = None
    lock_exposure: Annotated[
        bool,
        Option(
            "--lock-exposure",
            help="Turn off automatic exposure and white balance of a camera, which disturb the "
            "measurement.",
        ),
        options.HARMLESS,
    ] = False
    ca: options.CertificatesOption = None
    max_pixels: options.MaxPixels = MAX_PIXELS

    def source_options(self) -> "SourceOptions":
        """The options of the source; raises OptionError, see `options.parse_live_size`."""
        from rtmag.realtime.sources.source import SourceOptions

        return SourceOptions(
            size=options.parse_live_size(self.size),
            fps=self.fps,
            lock_exposure=self.lock_exposure,
            ca=self.ca,
            max_pixels=self.max_pixels,
            note=notice,
        )


@dataclass(frozen=True, kw_only=True)
class MeasureOutputOptions:
    """The files of `rtmag measure`; the table is always printed."""

    panel: ClassVar = "Output"
    csv: Annotated[
        str | None,
        Option(
            "--csv",
            metavar="FILE|-",
            help="Write the displacement of every frame as CSV. -: standard output.",
        ),
    ] = None
    json: Annotated[
        str | None,
        Option(
            "--json",
            metavar="FILE|-",
            help="Write figures, peaks, spectra and relations as JSON. -: standard output.",
        ),
    ] = None
    uff: Annotated[
        Path | None,
        Option(
            "--uff",
            metavar="FILE",
            help="Write the displacement as a Universal File (data set 58), for programs of modal "
            r"analysis. Needs the extra: pip install 'rtmag\[uff]'.",
        ),
    ] = None
    plot: Annotated[
        Path | None,
        Option(
            "--plot",
            metavar="FILE.png|.pdf",
            help="Draw waveform, spectrum and orbit of each region. Needs the extra: pip install "
            r"'rtmag\[plot]'.",
        ),
    ] = None
    map: Annotated[
        Path | None,
        Option(
            "--map",
            metavar="FILE.png",
            help="Draw the amplitude of the motion at --hz in colours over the picture.",
        ),
    ] = None
    phase: Annotated[
        Path | None,
        Option(
            "--phase",
            metavar="FILE.png",
            help="Draw the phase of the motion at --hz: parts of one colour move together, colours "
            "180 degrees apart move against each other.",
        ),
    ] = None
    hz: Annotated[
        float | None,
        Option(
            "--hz",
            min=0.01,
            max=1e5,
            help="Frequency in hertz for --map and --phase.",
            show_default="the strongest within --band",
        ),
        options.HARMLESS,
    ] = None
    report: Annotated[
        Path | None,
        Option(
            "--report",
            metavar="FILE.html",
            help="Write a page with the picture, the regions, the table and the plots, in one file "
            r"that needs no other. Needs the extra: pip install 'rtmag\[plot]'.",
        ),
    ] = None
    overwrite: options.Overwrite = False
    progress: Annotated[
        options.ProgressKind,
        Option(
            "--progress",
            help="auto: a bar on a terminal, else lines of text, on standard error. json: lines of "
            "JSON on standard output. none: nothing.",
        ),
        options.HARMLESS,
    ] = "auto"

    @property
    def piped(self) -> bool:
        """True if a result goes to standard output, so that the table goes to standard error.

        Raises:
            OptionError: several outputs use standard output.
        """
        users = {
            "--csv -": self.csv == "-",
            "--json -": self.json == "-",
            "--progress json": self.progress == "json",
        }
        names = [name for name, used in users.items() if used]
        if len(names) > 1:
            raise OptionError(f"{' and '.join(names)} use standard output: leave out one")
        return bool(names)

    def clip_map(
        self, band: "Band | None", capture_fps: float | None, scale: float | None
    ) -> "ClipMap | None":
        """The map to measure; None if neither --map nor --phase is given.

        Raises:
            OptionError: --hz is given without them.
        """
        if self.map is None and self.phase is None:
            if self.hz is not None:
                raise OptionError("--hz is the frequency of --map or --phase: give one of them")
            return None
        from rtmag.realtime.run.mapping import ClipMap
        from rtmag.realtime.view.motion_map import PIXELS, Unit

        unit = PIXELS if scale is None else Unit("mm", scale)
        return ClipMap(self.hz, band, capture_fps, unit)

    def files(self) -> "ReportFiles":
        """The files to write."""
        from rtmag.realtime.report.files import ReportFiles

        paths: dict[Kind, str | Path | None] = {
            "csv": self.csv,
            "json": self.json,
            "uff": self.uff,
            "plot": self.plot,
            "report": self.report,
            "map": self.map,
            "phase": self.phase,
        }
        given = {kind: Path(path) for kind, path in paths.items() if path is not None}
        return ReportFiles(given, self.overwrite)


MeasuredSource = Annotated[
    str,
    typer.Argument(
        metavar="CLIP|STREAM|CAMERA",
        help="Video file, folder of pictures, TIFF stack or pattern such as f%03d.png; URL of a "
        "stream; index or name of a camera; -: standard input; screen; test: the built-in scene.",
    ),
]


@options.grouped
def measure(
    source: MeasuredSource,
    regions: RegionOptions,
    input: MeasureInputOptions,
    output: MeasureOutputOptions,
    model: options.ModelOptions,
) -> None:
    """Measure motion: frequency, amplitude and phase of regions, with their uncertainty.

    Regions are measured without a model; --find and --band auto use one.
    """
    piped, files = output.piped, output.files()
    places, grid = parse_regions(regions.roi or []), parse_grid(regions.grid)
    if places and grid is not None:
        raise OptionError("--roi and --grid both choose the regions: leave out one")
    if regions.find:
        _find(source, regions, input, output, model)
        return
    scale, band = parse_scale(regions.scale), regions.band
    from rtmag.realtime.analysis.finding import FINDING
    from rtmag.realtime.cli.progress import progress_of
    from rtmag.realtime.report.table import lines, rates
    from rtmag.realtime.run.finding import find_band
    from rtmag.realtime.run.measure import MeasureOptions, run_measure
    from rtmag.realtime.sources.opening import open_source

    files.check(source)
    chosen = None if band in (None, options.AUTO_BAND) else parse_band(band or "")
    if band == options.AUTO_BAND:
        with open_source(source, options=input.source_options()) as clip:
            chosen = find_band(clip, notice, input.capture_fps, model.spec())
    clip_map = output.clip_map(chosen, input.capture_fps, scale)
    result = run_measure(
        source,
        MeasureOptions(
            regions=places,
            grid=grid,
            scale=scale,
            band=chosen,
            start=input.start,
            end=input.end,
            seconds=input.seconds,
            capture_fps=input.capture_fps,
            source=input.source_options(),
            observers=[] if clip_map is None else [clip_map],
            filter=FINDING,
            engine=model.spec(),
            progress=progress_of(output.progress),
            notice=notice,
        ),
    )
    contents = result.contents
    if clip_map is not None:
        contents = replace(contents, draw_map=clip_map.draw)
    table = lines(contents)
    if chosen is not None and band_unit(band or "") == "bpm":
        table += rates(contents.measurement, chosen)
    for line in table:
        (notice if piped else print_result)(line)
    for path in files.write(contents, print_result):
        (notice if piped else print_path)(path)
    if result.ending == "interrupt":
        raise typer.Exit(130)
    if result.lost:
        raise typer.Exit(1)


def _find(
    source: str,
    regions: RegionOptions,
    input: MeasureInputOptions,
    output: MeasureOutputOptions,
    model: options.ModelOptions,
) -> None:
    """List what moves.

    Raises:
        OptionError: an option that belongs to regions is given as well.
        typer.Exit: as `measure`.
    """
    others = {
        "--roi": regions.roi, "--grid": regions.grid, "--scale": regions.scale,
        "--band": regions.band, "--csv": output.csv, "--uff": output.uff, "--plot": output.plot,
        "--report": output.report, "--map": output.map, "--phase": output.phase,
    }  # fmt: skip
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise OptionError(f"--find looks at the whole picture: leave out {', '.join(given)}")
    from rtmag.realtime.analysis.finding import FINDING, Finder
    from rtmag.realtime.cli.progress import progress_of
    from rtmag.realtime.report.found import found_json, found_lines, write_found
    from rtmag.realtime.run.measure import MeasureOptions, run_measure

    output.files().check(source)
    finder = Finder(capture_fps=input.capture_fps)
    result = run_measure(
        source,
        MeasureOptions(
            start=input.start,
            end=input.end,
            seconds=input.seconds,
            capture_fps=input.capture_fps,
            source=input.source_options(),
            observers=[finder],
            filter=FINDING,
            engine=model.spec(),
            progress=progress_of(output.progress),
            notice=notice,
        ),
    )
    lines = finder.lines()
    for line in found_lines(lines):
        (notice if output.piped else print_result)(line)
    if output.json == "-":
        print_result(found_json(lines))
    elif output.json is not None:
        write_found(Path(output.json), lines)
        (notice if output.piped else print_path)(Path(output.json))
    if result.ending == "interrupt":
        raise typer.Exit(130)
    if result.lost:
        raise typer.Exit(1)
