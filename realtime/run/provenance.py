"""How an output was made: FILE.json beside FILE, for people and for `rtmag file --like FILE`.

Names are kept, folders are not: the note may be passed on with the video.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtmag.realtime.controls import LAYOUTS, Controls
from rtmag.realtime.engines.engine import Engine
from rtmag.realtime.engines.loading import EngineSpec
from rtmag.realtime.engines.spec import MOTION_SCALES, scale_name
from rtmag.realtime.environment import rtmag_version
from rtmag.realtime.errors import OptionError, SinkError
from rtmag.realtime.filters import FILTERS, MODES
from rtmag.realtime.models import model_names

_NUMBERS = ("alpha", "fl", "fh", "drift", "capture_fps")

_CHOICES: dict[str, tuple[object, ...]] = {
    "mode": MODES, "layout": LAYOUTS, "order": (1, 2),
    "motion_scale": tuple(map(scale_name, MOTION_SCALES)),
}  # fmt: skip

REPEATED = (*_NUMBERS, *_CHOICES, "model")
"""What `--like` takes over."""

_PARAMETERS = tuple(name for filter in FILTERS.values() for name in filter.parameters())

_MOTION = ("mode", *_PARAMETERS)


def note_of(output: Path) -> Path:
    """Where it lies how an output was made."""
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
) -> dict[str, object]:
    """Everything that the pictures of an output depend on, as it is kept beside it."""
    outside = spec.model is not None and engine.name not in model_names()
    return {
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
        "model": Path(str(spec.model)).name if outside else engine.name,
        "model_sha256": engine.metadata.get("rtmag.sha256"),
        "motion_scale": scale_name(engine.motion_scale),
    }


def write_note(output: Path, settings: Mapping[str, object]) -> None:
    """Keep settings beside an output: whole, or not at all.

    Raises:
        SinkError: something else lies there, or it cannot be written.
    """
    note = note_of(output)
    if os.path.lexists(note) and "rtmag" not in _read(note):
        raise SinkError(f"cannot note settings in {str(note)!r}: another file is there")
    part = note.with_name(f"{note.name}.{os.getpid()}.part")
    try:
        with part.open("x", encoding="utf-8") as file:
            json.dump(settings, file, indent=2)
            file.write("\n")
        part.replace(note)
    except OSError as error:
        reason = (error.strerror or "the system refused it").lower()
        raise SinkError(f"cannot note settings in {str(note)!r}: {reason}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def read_note(output: Path) -> dict[str, Any]:
    """The settings that an output was made with.

    Raises:
        OptionError: nothing of that kind lies beside it.
    """
    settings = _read(note_of(output))
    if "rtmag" not in settings:
        raise OptionError(
            f"cannot repeat {str(output)!r}: its settings would be in {str(note_of(output))!r}"
        )
    for name in REPEATED:
        value = settings.get(name)
        if value is not None and not _valid(name, value):
            raise OptionError(f"cannot repeat {str(output)!r}: {name} is noted as {value!r}")
    return settings


def _valid(name: str, value: object) -> bool:
    if name in _NUMBERS:
        return isinstance(value, int | float)
    return value in _CHOICES[name] if name in _CHOICES else isinstance(value, str)


def repeated(settings: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of before, under those given now.

    What is given of one way to measure motion takes the place of all that belongs to another.
    """
    old = {name: settings[name] for name in REPEATED if settings.get(name) is not None}
    banded = ("fl" in given or "fh" in given) and old.get("mode") != "temporal"
    if banded or given.keys() & {"mode", "drift", "band", "preset"}:
        old = {name: value for name, value in old.items() if name not in _MOTION}
    return old | dict(given)


def _read(note: Path) -> dict[str, Any]:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
