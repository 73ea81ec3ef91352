"""Settings of an output, in FILE.json next to FILE, for the user and for `rtmag file --like FILE`.

Only the names of files are kept, not their folders, because the settings may be published together
with the video.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtmag.realtime.controls import LAYOUTS, Controls
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.spec import MOTION_SCALES, EngineSpec, scale_name
from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.errors import OptionError, SinkError
from rtmag.realtime.filters import FILTERS, MODES
from rtmag.realtime.models import model_names
from rtmag.realtime.regular_file import read_regular

_NUMBERS = ("alpha", "fl", "fh", "drift", "capture_fps")

_CHOICES: dict[str, tuple[object, ...]] = {
    "mode": MODES, "layout": LAYOUTS, "order": (1, 2),
    "motion_scale": tuple(map(scale_name, MOTION_SCALES)),
}  # fmt: skip

_LARGEST = 1e9
"""Limit of the numbers above; also excludes values that are not finite."""

REPEATED_SETTINGS = (*_NUMBERS, *_CHOICES, "model", "roi")
"""Settings that `--like` repeats."""

_PARAMETERS = tuple(name for filter in FILTERS.values() for name in filter.parameters())

_FILTER = ("mode", *_PARAMETERS)


_ALWAYS = {"rtmag", "source", "alpha", "mode", "layout", "model"}
"""Keys that identify a file as settings of rtmag."""

_MAX_BYTES = 1 << 20
"""Size in bytes of the largest file of settings that is read."""


def settings_path(output: Path) -> Path:
    """Return the path of the settings of an output."""
    return output.with_name(output.name + ".json")


def describe(
    controls: Controls,
    engine: Engine,
    spec: EngineSpec,
    *,
    source: str,
    size: tuple[int, int],
    fps: float | None,
    capture_fps: float | None = None,
    scene_changes: Sequence[float] | None = None,
) -> dict[str, object]:
    """Return all settings that the frames of an output depend on.

    Args:
        controls: alpha, filter and layout.
        engine: the model that was loaded.
        spec: the model that was requested.
        source: name of the input.
        size: (width, height) of the input in pixels.
        fps: frame rate of the input in 1/s.
        capture_fps: rate in 1/s at which a slow-motion file was filmed.
        scene_changes: seconds after the first frame at which a new reference was taken; None if
            they are not known yet.
    """
    custom = spec.model is not None and engine.name not in model_names()
    settings: dict[str, object] = {
        "rtmag": rtmag_version(),
        "source": source,
        "size": list(size),
        "fps": fps,
        "alpha": controls.alpha,
        "mode": controls.filter.mode,
        **dict.fromkeys(_PARAMETERS),
        **controls.filter.parameters(),
        "capture_fps": capture_fps,
        "layout": controls.layout,
        "roi": None if controls.region is None else [",".join(map(str, controls.region))],
        "model": Path(str(spec.model)).name if custom else engine.name,
        "model_sha256": engine.metadata.get("rtmag.sha256"),
        "motion_scale": scale_name(engine.motion_scale),
    }
    if scene_changes is not None:
        settings["scene_changes"] = [round(each, 3) for each in scene_changes]
    return settings


def write_settings(output: Path, settings: Mapping[str, object]) -> None:
    """Write the settings of an output atomically.

    Raises:
        SinkError: a file of another program is in the way, or the file cannot be written.
    """
    path = settings_path(output)
    if os.path.lexists(path) and not _read(path):
        raise SinkError(
            f"cannot write settings to {str(path)!r}: another file is there; move or rename it"
        )
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("x", encoding="utf-8") as file:
            json.dump(settings, file, indent=2)
            file.write("\n")
        part.replace(path)
    except OSError as error:
        reason = (error.strerror or "the system refused it").lower()
        raise SinkError(f"cannot write settings to {str(path)!r}: {reason}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def read_settings(output: Path) -> dict[str, Any]:
    """Read the settings of an output.

    Raises:
        OptionError: there are none, or they are not valid.
    """
    path = settings_path(output)
    settings = _read(path)
    if not settings:
        raise OptionError(
            f"cannot repeat {str(output)!r}: no settings in {str(path)!r}; "
            "give an output of rtmag file"
        )
    for name in REPEATED_SETTINGS:
        value = settings.get(name)
        if value is not None and not _valid(name, value):
            raise OptionError(
                f"cannot repeat {str(output)!r}: {name} has the invalid value {value!r} in "
                f"{str(path)!r}"
            )
    return settings


def _valid(name: str, value: object) -> bool:
    if name in _NUMBERS:
        return isinstance(value, int | float) and abs(value) < _LARGEST
    if name == "roi":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return value in _CHOICES[name] if name in _CHOICES else isinstance(value, str)


def merge_options(settings: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the options of an earlier run and new options; new ones have priority.

    An option for another filter replaces all old options of the filter.

    Args:
        settings: settings of the earlier run, see `read_settings`.
        options: new options, from the command line.
    """
    old = {name: settings[name] for name in REPEATED_SETTINGS if settings.get(name) is not None}
    banded = ("fl" in options or "fh" in options) and old.get("mode") != "temporal"
    if banded or options.keys() & {"mode", "drift", "band", "preset"}:
        old = {name: value for name, value in old.items() if name not in _FILTER}
    return old | dict(options)


def _read(path: Path) -> dict[str, Any]:
    """Read settings; an empty dictionary if there are none, or the file is of another program."""
    try:
        settings = json.loads(read_regular(path, _MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    ours = isinstance(settings, dict) and settings.keys() >= _ALWAYS
    return settings if ours and isinstance(settings["rtmag"], str) else {}
