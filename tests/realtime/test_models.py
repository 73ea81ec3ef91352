"""Models in the package by name, and other files by path."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.errors import ModelIncompatible
from rtmag.realtime.filters import Static, Temporal
from rtmag.realtime.magnifier import Magnifier
from rtmag.realtime.models import DEFAULT_MODEL, model_names, motion_form, read_model
from tests.support import scenes
from tests.support.fakes import run_python


def test_the_default_is_in_the_package() -> None:
    assert DEFAULT_MODEL in model_names()
    assert read_model() == read_model(DEFAULT_MODEL)


@pytest.mark.parametrize("name", model_names())
def test_each_model_has_a_card_log_and_curve(name: str) -> None:
    import rtmag.realtime.models as package

    folder = Path(str(package.__file__)).parent
    for suffix in (".onnx", ".md", ".csv", "-curve.png"):
        assert (folder / f"{name}{suffix}").stat().st_size > 1000, suffix


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"model")
    assert read_model(tmp_path / "mine.onnx") == (b"model", None, str(tmp_path / "mine.onnx"))


def test_an_unknown_name_is_refused_with_the_known_names() -> None:
    with pytest.raises(ModelIncompatible, match=r"'huge': no such file or model .*standard"):
        read_model("huge")
    with pytest.raises(ModelIncompatible, match="no such file or model"):
        read_model("a\0b.onnx")


def test_the_motion_form_is_read_if_its_weights_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    notes = [b"rtmag.sha256\x12\x40" + letter * 64 for letter in (b"a", b"b")]
    path.write_bytes(b"model" + notes[0])
    motion_form(path).write_bytes(b"motion" + notes[0])
    assert read_model(path)[1] == b"motion" + notes[0]
    motion_form(path).write_bytes(b"motion" + notes[1])
    with pytest.raises(ModelIncompatible, match=r"mine\.motion\.onnx next to it has other weights"):
        read_model(path)


@pytest.mark.parametrize("name", model_names())
def test_each_model_has_the_published_weights(name: str) -> None:
    """S04: the model card describes these weights."""
    weights = Path(__file__).parents[2] / "train" / "checkpoints" / name / "model.safetensors"
    checksum = load_engine(name, engine="onnx", threads=1).metadata["rtmag.sha256"]
    assert checksum == hashlib.sha256(weights.read_bytes()).hexdigest()


ROWS = np.arange(scenes.SIZE[1])[:, None, None]

LIGHTS: dict[str, Callable[[int], Any]] = {
    "a step of the exposure": lambda frame: 1 + 0.15 * (frame > 2),
    "flicker": lambda frame: 1 + 0.1 * np.sin(1.2 * frame),
    "rolling bands": lambda frame: 1 + 0.08 * np.sin(1.2 * frame + 0.1 * ROWS),
}


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("name", model_names())
def test_a_change_of_light_is_not_shown_as_motion(name: str, light: str) -> None:
    """A still picture stays as it is filmed, to a few grey levels, at alpha 20."""
    engine = load_engine(name, engine="onnx", threads=1)
    still, course = 0.8 * scenes.shifted(scenes.texture(), 0), LIGHTS[light]
    clip = scenes.filmed([still * course(frame) for frame in range(16)])
    filter = Static() if light.startswith("a step") else Temporal(4, 8)
    magnifier = Magnifier(engine, alpha=20, filter=filter, fps=30)
    shown = [magnifier(image) for image in clip]
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(shown, clip, strict=True)]
    assert max(errors) < 3.5


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    """S04: an interrupted download leaves such a file."""
    path = tmp_path / "half.onnx"
    content = read_model(DEFAULT_MODEL)[0]
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelIncompatible, match=r"half\.onnx': not an ONNX model"):
        load_engine(path)


def test_no_network_is_used() -> None:
    """S04: packaged models need no network, and a URL is not a model."""
    code = """if True:
        import socket, sys
        class Reached(BaseException): ...
        def reach(*_: object, **__: object) -> None: raise Reached
        socket.socket.connect = socket.getaddrinfo = socket.create_connection = reach
        sys.stderr = sys.stdout
        from rtmag.realtime.cli.main import execute
        print(execute(["demo", "--frames", "30", "--engine", "onnx"]))
        for scheme in ("http", "https"):
            print(execute(["demo", "--model", f"{scheme}://127.0.0.1:9/x.onnx"]))
    """
    *lines, http, first_status, https, second_status = run_python(code).splitlines()
    assert lines[-1] == "0"
    assert (first_status, second_status) == ("2", "2")
    assert all("no such file or model" in line for line in (http, https))
