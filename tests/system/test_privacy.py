"""Privacy: nothing is sent, and no file is written that was not requested."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.fakes import ENVIRONMENT

MakeClip = Callable[..., Path]

WATCHED = """
import sys
def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect", "os.fork"):
        open("events", "a").write(f"{event} {arguments}\\n")
sys.addaudithook(watch)
"""
"""Program that writes every look-up, connection and fork of its process to the file `events`."""

COMMAND = "from rtmag.realtime.cli.main import main; main()"

LIBRARY = """
import numpy as np, rtmag
rtmag.Magnifier(rtmag.load_engine(engine=sys.argv[1]))(np.zeros((64, 64, 3), np.uint8))
"""

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="needs OpenVINO")
ENGINES = ["onnx", pytest.param("openvino", marks=needs_openvino)]


def run_at_home(folder: Path, code: str, *args: str, before: tuple[str, ...] = ()) -> Path:
    """Run Python code in a folder and with a home of its own; return the home."""
    home = folder / "home"
    home.mkdir()
    settings = {name: str(home) for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA")}
    unset = ("XDG_", "ORT_", "DISPLAY", "WAYLAND_DISPLAY")  # a display is a socket too
    environment = {k: v for k, v in ENVIRONMENT.items() if not k.startswith(unset)}
    done = subprocess.run(
        [*before, sys.executable, "-c", WATCHED + code, *args],
        env=environment | settings | {"TMPDIR": str(folder / "temporary")},
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return home


def commands(clip: MakeClip, folder: Path, engine: str) -> dict[str, list[str]]:
    clip("in.mp4", frames=4, size=(64, 48))
    chosen = ["--engine", engine]
    return {
        "file": ["file", "in.mp4", "out.mp4", *chosen],
        "camera": ["camera", "test", "--view", "none", "--frames", "3", *chosen],
    }


@pytest.mark.parametrize("command", ["file", "camera"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_command_leaves_nothing_at_home(
    engine: str, command: str, clip: MakeClip, tmp_path: Path
) -> None:
    """S09: no identifier, no cache, no look-up."""
    home = run_at_home(tmp_path, COMMAND, *commands(clip, tmp_path, engine)[command])
    assert not [*home.rglob("*")]
    assert not (tmp_path / "events").exists()


OTHERS = [
    ["presets"], ["config", "show"], ["doctor"], ["demo", "--frames", "3"], ["train", "--help"],
    ["export", "--help"], ["measure", "in.mp4", "--report", "out.html", "--plot", "out.png"],
]  # fmt: skip


@pytest.mark.parametrize("args", OTHERS, ids=lambda args: args[0])
def test_other_commands_leave_nothing_at_home(
    args: list[str], clip: MakeClip, tmp_path: Path
) -> None:
    """S09: not even Matplotlib's list of fonts."""
    if args[0] in ("train", "export"):
        pytest.importorskip("torch")
    if args[0] == "measure":
        pytest.importorskip("matplotlib")
    clip("in.mp4", frames=30, size=(64, 48))
    home = run_at_home(tmp_path, COMMAND, *args)
    assert not [*home.rglob("*")]
    assert not (tmp_path / "events").exists()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_library_leaves_nothing_at_home(engine: str, tmp_path: Path) -> None:
    """S09."""
    home = run_at_home(tmp_path, LIBRARY, engine)
    assert not [*home.rglob("*")]
    assert not (tmp_path / "events").exists()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("engine", ENGINES)
def test_no_thread_and_no_child_opens_a_socket(engine: str, clip: MakeClip, tmp_path: Path) -> None:
    """S09: native threads of the runtimes included."""
    trace = tmp_path / "trace"
    traced = ("strace", "-f", "-qq", "-o", str(trace), "-e", "trace=socket,connect")
    run_at_home(tmp_path, COMMAND, *commands(clip, tmp_path, engine)["file"], before=traced)
    assert not re.findall(r"AF_INET6?", trace.read_text())
