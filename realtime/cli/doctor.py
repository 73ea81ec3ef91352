"""The command `rtmag doctor`: checks of what works on this machine, with hints for the rest.

Each check uses what it checks: for example, it opens an engine or writes a video. A failed check is
a finding and does not stop the others.
"""

import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.runtimes import RUNTIMES, Runtime
from rtmag.realtime.environment import installed
from rtmag.realtime.errors import MissingExtra
from rtmag.realtime.run.adaptive import step_time

PACKAGES = (
    "rtmag", "numpy", "scipy", "av", "opencv-python", "opencv-python-headless",
    "opencv-contrib-python", "typer", "rich", "onnx", "starlette", "uvicorn", "websockets",
    *sorted(package for runtime in RUNTIMES for package in runtime.packages),
)  # fmt: skip
"""Distributions whose versions are listed."""

_EXCLUSIVE = (
    ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
    ("onnxruntime", "onnxruntime-gpu"),
)


EXTRAS = {
    "web": (
        "the picture and all controls in a browser",
        ("starlette", "uvicorn", "h11", "websockets", "prometheus-client"),
    ),
    "camera": ("--virtual-camera", ("pyvirtualcam",)),
    "screen": ("rtmag stream screen", ("mss",)),
    "plot": ("rtmag measure --plot and --report", ("matplotlib", "pillow")),
    "uff": ("rtmag measure --uff", ("pyuff",)),
    "train": (
        "rtmag train",
        ("torch", "safetensors", "scikit-image", "matplotlib", "pillow"),
    ),
    "export": ("rtmag export", ("torch", "safetensors", "onnx", "onnxscript")),
}
"""Purpose and distributions of each extra, except those of runtimes, which are opened."""

_SPEED_SIZE = (640, 480)
"""Width and height of the pictures on which the speed is measured."""

_SLOW_STEP = 0.5
"""Seconds of a step above which one step is enough for the measurement."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    topic: str
    """versions, conflicts, providers, extras, display, cameras, codecs, model or speed."""
    name: str
    ok: bool
    value: str
    hint: str = ""
    """The remedy; empty if nothing has to be done."""
    needed: bool = False
    """True if rtmag cannot work without this."""


def examine() -> list[Finding]:
    """Run every check."""
    findings: list[Finding] = []
    checks = (
        _versions, _conflicts, _providers, _extras, _display, _cameras, _codecs, _model, _speed,
    )  # fmt: skip
    for check in checks:
        findings += _guarded(check)
    return findings


def healthy(findings: list[Finding]) -> bool:
    """True if everything works that rtmag needs."""
    return all(finding.ok for finding in findings if finding.needed)


def as_data(findings: list[Finding]) -> dict[str, object]:
    """The findings as JSON data, for programs and bug reports."""
    return {"healthy": healthy(findings), "findings": [asdict(finding) for finding in findings]}


def as_text(findings: list[Finding]) -> str:
    """The findings as text: a block per topic, then the hints."""
    lines, topic = [], ""
    for finding in findings:
        if finding.topic != topic:
            topic = finding.topic
            lines.append(f"{topic}:")
        lines.append(f"  {'ok' if finding.ok else 'no':3} {finding.name}: {finding.value}")
    hints = [f"  {finding.name}: {finding.hint}" for finding in findings if finding.hint]
    if hints:
        lines += ["hints:", *hints]
    lines.append("rtmag works here" if healthy(findings) else "rtmag cannot work here yet")
    return "\n".join(lines)


def _guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    """Run a check; an exception becomes a finding."""
    topic = check.__name__.removeprefix("_")
    try:
        return check()
    except Exception as error:  # a failed check is a finding
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        needed = topic in ("codecs", "model")
        return [Finding(topic, "check", False, reason, needed=needed)]


def _versions() -> list[Finding]:
    found = [
        Finding("versions", "python", True, platform.python_version()),
        Finding(
            "versions",
            "system",
            True,
            f"{platform.system()} {platform.release()} {platform.machine()}",
        ),
        Finding("versions", "processors", True, str(os.cpu_count())),
    ]
    for package in PACKAGES:
        if (number := installed(package)) is not None:
            found.append(Finding("versions", package, True, number))
    return found


def _conflicts() -> list[Finding]:
    found = []
    for group in _EXCLUSIVE:
        present = [package for package in group if installed(package) is not None]
        if len(present) > 1:
            names = " and ".join(present)
            hint = f"pip uninstall {' '.join(present)}; then pip install {present[0]}"
            found.append(
                Finding(
                    "versions",
                    names,
                    False,
                    "installed together, but they use the same folder",
                    hint,
                )
            )
    return found


def _providers() -> list[Finding]:
    return [_runtime(each, each.check) for each in RUNTIMES if each.check is not None]


def _runtime(runtime: Runtime, check: Callable[[], str]) -> Finding:
    needed = runtime.extra is None
    hint = "" if needed else f"for {runtime.device}, optional: pip install 'rtmag[{runtime.extra}]'"
    try:
        return Finding("providers", runtime.provider, True, check(), needed=needed)
    except MissingExtra as error:
        reason = str(error) if needed else "not installed"
    except Exception as error:  # the runtimes' errors share no other base class
        reason = str(error).splitlines()[0]
    return Finding("providers", runtime.provider, False, reason, hint, needed)


def _extras() -> list[Finding]:
    found = []
    for name, (purpose, packages) in EXTRAS.items():
        missing = [package for package in packages if installed(package) is None]
        if missing:
            value = f"{purpose}; not installed: {', '.join(missing)}"
            hint = f"for {purpose}, optional: pip install 'rtmag[{name}]'"
            found.append(Finding("extras", name, False, value, hint))
        else:
            found.append(Finding("extras", name, True, purpose))
    return found


def _display() -> list[Finding]:
    from rtmag.realtime.errors import SinkUnavailable
    from rtmag.realtime.view.window import check_display

    try:
        check_display()
    except SinkUnavailable as error:
        value, _, hint = str(error).partition("; ")
        return [Finding("display", "windows", False, value, hint)]
    return [Finding("display", "windows", True, "can be opened")]


def _cameras() -> list[Finding]:
    from rtmag.realtime.sources.camera import NO_CAMERA, list_cameras

    cameras = list_cameras()
    if not cameras:
        value, _, hint = NO_CAMERA.partition("; ")
        return [Finding("cameras", "cameras", False, value, hint)]
    return [Finding("cameras", str(camera), True, "found, not opened") for camera in cameras]


def _codecs() -> list[Finding]:
    from rtmag.realtime.frame import Frame
    from rtmag.realtime.sinks.video_file import VideoSink

    with tempfile.TemporaryDirectory(prefix="rtmag-") as folder:
        path = Path(folder) / "doctor.mp4"
        sink = VideoSink(path, fps=30.0)
        for index in range(8):
            image = np.full((48, 64, 3), 16 * index, np.uint8)
            sink.write(Frame(image, index / 30, index))
        sink.close()
        size = path.stat().st_size
    return [Finding("codecs", "writing mp4", size > 0, f"8 frames, {size} bytes", needed=True)]


def _model() -> list[Finding]:
    start = time.perf_counter()
    engine = load_engine()
    value = f"{engine.name} on {engine.provider}, loaded in {time.perf_counter() - start:.2f} s"
    return [Finding("model", "built-in model", True, value, needed=True)]


def _speed() -> list[Finding]:
    """The speed of the default model on each runtime that opens; it takes about a second each."""
    found = []
    for runtime in RUNTIMES:
        if runtime.check is None or runtime.open_graph is None:
            continue
        try:
            runtime.check()
            engine = load_engine(engine=runtime.name)
            seconds = step_time(engine, _SPEED_SIZE, _SLOW_STEP)
        except Exception:  # the topic `providers` has the reason  # noqa: S112
            continue
        size = "x".join(map(str, _SPEED_SIZE))
        value = f"{1 / seconds:.0f} steps/s at {size} with model {engine.name}"
        found.append(Finding("speed", runtime.name, True, value))
    return found
