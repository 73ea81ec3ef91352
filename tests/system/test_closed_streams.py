"""Standard streams that are closed before the start, or by their reader."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from tests.support.fakes import ENVIRONMENT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")

MAIN = "from rtmag.realtime.cli.main import main; main()"
CAMERA = "camera test --view none --size 64x48 --frames 4 --model none"


def run_in_shell(folder: Path, command: str) -> "subprocess.CompletedProcess[bytes]":
    """Run `rtmag COMMAND` in a shell, so that it may contain redirections."""
    line = f"exec {sys.executable} -c '{MAIN}' {command}"
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=ENVIRONMENT, capture_output=True, check=False
    )


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_notices_never_reach_the_results(tmp_path: Path) -> None:
    """F14: with stderr closed, they are lost."""
    done = run_in_shell(tmp_path, f"{CAMERA} -o - 2>&-")
    assert done.returncode == 0
    assert done.stdout.startswith(b"YUV4MPEG2 W64 H48 ")
    assert len(done.stdout.split(b"FRAME")) == 5
    done = run_in_shell(tmp_path, f"{CAMERA} --stats json 2>&-")
    assert done.returncode == 0
    assert [json.loads(line) for line in done.stdout.splitlines()][-1]["frames"] == 4


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_file_is_written_whatever_is_closed(
    closed: str, clip: Callable[..., Path], tmp_path: Path
) -> None:
    """F14: no file takes the number of a closed stream, which libraries write into."""
    clip("in.mp4", frames=5)
    done = run_in_shell(tmp_path, f"file in.mp4 out.mp4 --model none {closed}")
    assert done.returncode == 0
    assert done.stderr == b""
    assert frames_of(tmp_path / "out.mp4") == 5


def test_a_closed_stream_that_is_needed_is_one_line(tmp_path: Path) -> None:
    """F14."""
    for command, words in (
        ("stream - --view none <&-", b"cannot read standard input: it is closed"),
        ("stream - --view none --size 8x8 <&-", b"cannot read standard input: it is closed"),
        (f"{CAMERA} -o - >&-", b"stdout, which is closed"),
    ):
        done = run_in_shell(tmp_path, command)
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert b"Traceback" not in done.stderr
        assert b"a bug in rtmag" not in done.stderr


@pytest.mark.parametrize("command", ["--help", "config show", "presets"])
def test_a_reader_that_is_gone_is_no_failure(command: str, tmp_path: Path) -> None:
    """F14: 141 is what a shell reports for a program that SIGPIPE ended."""
    reading, writing = os.pipe()
    os.close(reading)
    run = [sys.executable, "-c", MAIN, *command.split()]
    done = subprocess.run(
        run, cwd=tmp_path, env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 141
