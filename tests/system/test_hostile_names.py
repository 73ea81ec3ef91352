"""Names and texts from outside on a terminal: they are shown, and never obeyed."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tests.support.fakes import ENVIRONMENT, identity_model

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")

HARM = "\x1b]0;title\x07\x1b[2J\x1b]52;c;aGk=\x07\x9b2J\nforged [link=http://evil]x[/foo]\u202e"
"""Sets the title, clears the screen, fills the clipboard, adds a line; markup; reverses text."""

PROGRAM = """
import json, sys
from rtmag.realtime.cli.main import execute
for line in json.load(open("commands.json")):
    print("CODE", execute(line), flush=True)
"""


def on_terminal(folder: Path, commands: list[list[str]]) -> tuple[bytes, list[int]]:
    """What a terminal gets from commands run in a folder, and their exit codes."""
    import pty

    (folder / "commands.json").write_text(json.dumps(commands))
    ours, theirs = pty.openpty()
    run = [sys.executable, "-c", PROGRAM]
    environment = ENVIRONMENT | {"TERM": "xterm-256color", "RTMAG_CA": HARM}
    output = b""
    with subprocess.Popen(
        run, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            try:
                output += os.read(ours, 65536)
            except OSError:  # the process has ended
                break
        process.kill()
    os.close(ours)
    codes = [int(part.split()[0]) for part in output.split(b"CODE ")[1:]]
    assert len(codes) == len(commands), output.decode(errors="replace")
    return output, codes


def assert_harmless(output: bytes) -> None:
    text = output.decode()
    assert "\\x1b]0;title" in text
    for obeyed in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\nforged", "\u202e"):
        assert obeyed not in text, ascii(text)
    for word in ("Traceback", "MarkupError", "a bug in rtmag"):
        assert word not in text, text


def test_names_of_files_and_folders(clip: Callable[..., Path], tmp_path: Path) -> None:
    """I10: names in the bar, results, errors, warnings, the log and settings."""
    video = f"a{HARM.replace('/', '')}.mp4"
    clip(video, frames=3)
    bare = ["--model", "none"]
    small = ["--view", "none", "--size", "64x48", "--frames", "2", *bare]
    output, codes = on_terminal(
        tmp_path,
        [
            ["file", video, *bare],
            ["file", video, *bare],
            ["file", video, HARM, "-v", "-o", f"out{HARM.replace('/', '')}", *bare],
            ["file", HARM, *bare],
            ["file", video, "--model", HARM],
            ["file", video, "b.mp4", "--like", HARM],
            ["camera", HARM, "--view", "none"],
            ["camera", "test", *small, "--record", f"r{HARM.replace('/', '')}.mp4"],
            ["stream", f"rtsp://127.0.0.1:9/{HARM}", "--view", "none"],
            ["stream", HARM, "--view", "none"],
            ["config", "show", "stream"],
            ["config", "show", HARM],
            ["bench", "--model", HARM, "--quick"],
            ["bench", "--compare", HARM, HARM],
            ["demo", "--frames", "2", "--out", f"no{HARM}/folder", *bare],
            ["camera", "x", HARM[:-1]],  # Typer itself prints these, and keeps the last character
            [HARM[:-1]],
        ],
    )
    assert_harmless(output)
    assert codes == [0, 2, 1, 2, 2, 2, 2, 0, 2, 2, 0, 2, 2, 2, 0, 2, 2]


def test_metadata_of_models(tmp_path: Path) -> None:
    """S06: a name that is no name is refused."""
    model = onnx.load(identity_model(tmp_path / "model.onnx"))
    for entry in model.metadata_props:
        if entry.key == "rtmag.model":
            entry.value = HARM
    onnx.save(model, tmp_path / "model.onnx")
    renamed = onnx.load(identity_model(tmp_path / "renamed.onnx"))
    renamed.graph.input[0].name = renamed.graph.node[0].input[0] = HARM
    onnx.save(renamed, tmp_path / "renamed.onnx")
    small = ["--view", "none", "--size", "64x48", "--frames", "2"]
    output, codes = on_terminal(
        tmp_path,
        [
            ["camera", "test", *small, "--model", "model.onnx"],
            ["camera", "test", *small, "--model", "renamed.onnx"],
        ],
    )
    assert codes == [2, 2]
    assert b"metadata model is missing or invalid" in output
    assert_harmless(output)
