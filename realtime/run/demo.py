"""`rtmag demo`: magnify the built-in scene and measure the gain against its known motion.

Writes a video (original and magnified side by side) and x-t slices of both vibrating objects.
"""

from dataclasses import dataclass, field
from pathlib import Path

from rtmag.realtime.analysis.gain import Gain, SceneMeasurement
from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import load_spec
from rtmag.realtime.engines.spec import EngineSpec
from rtmag.realtime.errors import SinkError
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.opencv import cv2
from rtmag.realtime.run.loop import Pipeline, run
from rtmag.realtime.run.report import Progress, Report
from rtmag.realtime.sinks.paths import check_free, make_folder, unused_prefix, with_suffix
from rtmag.realtime.sinks.sink import BaseSink, Sink
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.realtime.view.overlay import label
from rtmag.realtime.view.window import WindowSink

FRAMES = 240

BAND = (1.0, 8.0)
"""Frequency band in Hz. At second order its gains at 2 and 5 Hz differ by less than 2 %."""


class _LabelledSink(BaseSink):
    """Writes labels on both halves of a picture and passes it to another sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, frame: Frame) -> None:
        self._sink.write(frame.with_image(label(frame.image, "side")))

    def close(self, *, finished: bool = True) -> None:
        self._sink.close(finished=finished)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Files and measurements of a demo."""

    alpha: float
    report: Report
    gains: list[Gain]
    noise: tuple[float, float]
    """Mean absolute error of still pixels in grey levels, before and after magnification."""
    files: list[Path]

    @property
    def lines(self) -> list[str]:
        """Text for the user: description, measurements and files."""
        lines = ["In the left half, only the crate visibly moves. In the right half:"]
        lines += [self._gain(gain) for gain in self.gains]
        before, after = self.noise
        lines.append(
            f"  still pixels have an error of {after:.2f} grey levels, "
            f"{before:.2f} of them from the noise of the camera"
        )
        return lines + [f"wrote {path}" for path in self.files]

    def _gain(self, gain: Gain) -> str:
        true = gain.vibration
        text = f"  the {true.name} moves by {true.amplitude:g} px at {true.hz:g} Hz"
        if gain.measured is None:
            return f"{text}; at least {FRAMES} frames are needed to measure the gain"
        text += f", shown as {gain.measured:.2f} px"
        return f"{text}: {gain.ratio:.1f} times (alpha {self.alpha:g})"


@dataclass(slots=True, kw_only=True)
class Demo:
    """Options of the demo."""

    progress: Progress
    frames: int = FRAMES
    alpha: float = 20.0
    out: str | None = None
    """Folder of both outputs, or their common path without suffix; None: rtmag-demo."""
    window: bool = False
    overwrite: bool = False
    engine: EngineSpec = field(default_factory=EngineSpec)

    def run(self) -> Outcome:
        """Write the video and the slices, and measure the gain.

        Raises:
            OptionError: alpha is not finite.
            SinkError: an output exists or cannot be written.
        """
        prefix = self._prefix()
        video, picture = with_suffix(prefix, ".mp4"), with_suffix(prefix, ".png")
        check_free(video, overwrite=self.overwrite)
        engine = load_spec(self.engine)
        with SceneSource(frames=self.frames) as scene:
            measurement = SceneMeasurement(scene)
            pipeline, sink = self._pipeline(scene, engine, video, measurement)
            self.progress.begin("rtmag demo", scene.frames)
            try:
                report = run(pipeline)
            finally:
                self.progress.end()
        files = []
        if sink.path_written is not None:
            _write_picture(picture, measurement.slices())
            files = [sink.path_written, picture]
        return Outcome(
            alpha=self.alpha,
            report=report,
            gains=measurement.gains(),
            noise=measurement.noise(),
            files=files,
        )

    def _pipeline(
        self, scene: SceneSource, engine: Engine, video: Path, measurement: SceneMeasurement
    ) -> tuple[Pipeline, VideoSink]:
        controls = Controls(
            alpha=self.alpha, filter=Temporal(*BAND, order=2), order=2, layout="side"
        )
        magnifier = Magnifier(engine, alpha=self.alpha, filter=controls.filter, fps=scene.fps)
        view = WindowSink("rtmag demo") if self.window else None
        sink = VideoSink(video, fps=scene.fps or 30.0, overwrite=self.overwrite)

        def on_frame(original: Frame, magnified: Frame) -> None:
            measurement.add(original, magnified)
            self.progress.step()

        sinks = [_LabelledSink(sink)]
        return Pipeline(scene, magnifier, controls, sinks, view=view, on_frame=on_frame), sink

    def _prefix(self) -> Path:
        """Return the path of both outputs without suffix, numbered if a file exists."""
        if self.out is None:
            prefix = Path("rtmag-demo")
        elif Path(self.out).is_dir() or self.out.endswith(("/", "\\")):
            prefix = Path(self.out) / "rtmag-demo"
        else:
            prefix = Path(self.out.removesuffix(".mp4"))
        make_folder(prefix.parent)
        return prefix if self.overwrite else unused_prefix(prefix, (".mp4", ".png"))


def _write_picture(path: Path, picture: Image) -> None:
    _, data = cv2.imencode(".png", picture)
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise SinkError(f"cannot write {str(path)!r}: {error.strerror}") from error
