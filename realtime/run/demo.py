"""The demo: the built-in scene through the real model, with the gain measured against the truth.

Writes a video (original | magnified) and x-t slices of both vibrating things before and after.
"""

from dataclasses import dataclass, field
from pathlib import Path

from rtmag.realtime.analysis.gain import Gain, SceneMeasurement
from rtmag.realtime.controls import Controls
from rtmag.realtime.engines.loading import EngineSpec
from rtmag.realtime.errors import SinkError
from rtmag.realtime.filters import Temporal
from rtmag.realtime.frame import Frame, Image
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.opencv import cv2
from rtmag.realtime.run.loop import run
from rtmag.realtime.run.report import Progress, Report
from rtmag.realtime.sinks.paths import check_free, make_folder, numbered, with_suffix
from rtmag.realtime.sinks.sink import BaseSink, Sink
from rtmag.realtime.sinks.video_file import VideoSink
from rtmag.realtime.sources.scene.scene import SceneSource
from rtmag.realtime.view.overlay import label
from rtmag.realtime.view.window import WindowSink

FRAMES = 240

BAND = (1.0, 8.0)
"""Hz; of second order it passes 2 and 5 Hz alike within 2 %."""


class _Labelled(BaseSink):
    """Names the halves of the pictures on their way to another sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, frame: Frame) -> None:
        self._sink.write(frame.with_image(label(frame.image, "side")))

    def close(self, *, finished: bool = True) -> None:
        self._sink.close(finished=finished)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a demo made and measured."""

    alpha: float
    report: Report
    gains: list[Gain]
    noise: tuple[float, float]
    """Grey levels by which still pixels are off, before and after."""
    files: list[Path]

    @property
    def lines(self) -> list[str]:
        """For a person: what to look for, what was measured, where it is."""
        lines = ["On the left nothing seems to move but the crate; on the right:"]
        lines += [self._gain(gain) for gain in self.gains]
        before, after = self.noise
        lines.append(
            f"  what stands still differs from the truth by {after:.2f} grey levels, "
            f"{before:.2f} of them the camera's noise"
        )
        return lines + [f"wrote {path}" for path in self.files]

    def _gain(self, gain: Gain) -> str:
        true = gain.vibration
        words = f"  the {true.name} moves by {true.amplitude:g} px at {true.hz:g} Hz"
        if gain.measured is None:
            return f"{words}; {FRAMES} frames are enough to measure what becomes of it"
        words += f", shown as {gain.measured:.2f} px"
        return f"{words}: {gain.ratio:.1f} times (alpha {self.alpha:g})"


@dataclass(slots=True, kw_only=True)
class Demo:
    """How the demo is made."""

    progress: Progress
    frames: int = FRAMES
    alpha: float = 20.0
    out: str | None = None
    """A folder, or the beginning of both outputs' paths."""
    window: bool = False
    overwrite: bool = False
    engine: EngineSpec = field(default_factory=EngineSpec)

    def run(self) -> Outcome:
        """Make the video and the slices, and measure."""
        prefix = self._prefix()
        video, picture = with_suffix(prefix, ".mp4"), with_suffix(prefix, ".png")
        check_free(video, overwrite=self.overwrite)
        controls = Controls(
            alpha=self.alpha, filter=Temporal(*BAND, order=2), order=2, layout="side"
        )
        engine = self.engine.load()
        with SceneSource(frames=self.frames) as scene:
            magnifier = Magnifier(engine, alpha=self.alpha, filter=controls.filter, fps=scene.fps)
            measurement = SceneMeasurement(scene)
            view = WindowSink("rtmag demo") if self.window else None
            sink = VideoSink(video, fps=scene.fps or 30.0, overwrite=self.overwrite)
            self.progress.begin("rtmag demo", scene.frames)

            def on_frame(original: Frame, magnified: Frame) -> None:
                measurement.add(original, magnified)
                self.progress.step()

            try:
                report = run(
                    scene, magnifier, controls, [_Labelled(sink)], view=view, on_frame=on_frame
                )
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

    def _prefix(self) -> Path:
        """Where both outputs begin; numbered when something is there already."""
        if self.out is None:
            prefix = Path("rtmag-demo")
        elif Path(self.out).is_dir() or self.out.endswith(("/", "\\")):
            prefix = Path(self.out) / "rtmag-demo"
        else:
            prefix = Path(self.out.removesuffix(".mp4"))
        make_folder(prefix.parent)
        return prefix if self.overwrite else numbered(prefix, (".mp4", ".png"))


def _write_picture(path: Path, picture: Image) -> None:
    _, data = cv2.imencode(".png", picture)
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise SinkError(f"cannot write {str(path)!r}: {error.strerror}") from error
