"""`rtmag measure`: options, settings, outputs and exit codes."""

import csv
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.cli.main import execute
from rtmag.realtime.opencv import cv2
from tests.support.clips import Clip
from tests.support.fakes import ENVIRONMENT
from tests.support.scenes import SIZE, filmed, shifted, texture

FPS = 40
HZ = 5.0
PX = 0.4
FRAMES = 120

WITHOUT = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("matplotlib", "pyuff"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
from rtmag.realtime.cli.main import main
main()
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that sways to the right by PX at HZ."""
    base = texture()
    shifts = PX * np.sin(2 * np.pi * HZ * np.arange(FRAMES) / FPS)
    pictures = filmed(shifted(base, shift) for shift in shifts)
    made = Clip(
        frames=FRAMES, fps=Fraction(FPS), size=SIZE, picture=lambda index, _: pictures[index]
    )
    return made.write(tmp_path_factory.mktemp("clip") / "sway.mp4")


def failed(capsys: pytest.CaptureFixture[str], *args: str, code: int = 2) -> str:
    assert execute(["measure", *args]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def test_the_table_and_every_file(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("pyuff")
    names = {name: tmp_path / f"out.{name}" for name in ("csv", "json", "uff", "png", "html")}
    outputs = [part for kind, name in zip(
        ("--csv", "--json", "--uff", "--plot", "--report"), names.values(), strict=True
    ) for part in (kind, str(name))]  # fmt: skip
    args = [str(clip), "--roi", "left=0,0,80,120", "--roi", "80,0,80,120", "--scale", "0.5mm/px"]
    assert execute(["measure", *args, "--progress", "none", *outputs]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"sway.mp4: {FRAMES} frames in 2.975 s, 40 frames/s")
    named = [line.split()[0] for line in lines[2:-5] if not line.startswith((" ", "note"))]
    assert named[:2] == ["left", "R2"]
    assert any(line.startswith(("R2 to left at 5", "left to R2 at 5")) for line in lines)
    assert lines[-5:] == [str(name) for name in names.values()]
    assert all(name.stat().st_size for name in names.values())
    assert sorted(tmp_path.iterdir()) == sorted(names.values())  # no temporary file is left
    region = json.loads(names["json"].read_text(encoding="utf-8"))["regions"][0]
    assert region["peaks"][0]["hz"] == pytest.approx(HZ, abs=0.01)
    assert region["peaks"][0]["amplitude"] == pytest.approx(PX / 2, rel=0.05)
    assert region["box"] == [0, 0, 80, 120]


def test_results_on_standard_output_are_alone(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["measure", str(clip), "--json", "-", "--progress", "none"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["source"] == "sway.mp4"
    assert "picture" in printed.err
    assert execute(["measure", str(clip), "--csv", "-", "--progress", "none"]) == 0
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert len(rows) == FRAMES + 1


def test_slow_motion_has_the_frequencies_of_the_scene(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [str(clip), "--capture-fps", "400", "--band", "40-60Hz", "--progress", "none"]
    assert execute(["measure", *args, "--json", "-"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["regions"][0]["peaks"][0]["hz"] == pytest.approx(10 * HZ, abs=0.1)
    assert data["band_hz"] == [40, 60]


def test_a_grid(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["measure", str(clip), "--grid", "2x2", "--progress", "none"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines[2:6]) == ["A1", "A2", "B1", "B2"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--roi", "a=1,2"], "a region is"),
        (["--grid", "0x1"], "a grid is"),
        (["--scale", "1"], "a scale is"),
        (["--grid", "2x2", "--roi", "1,2,3,4"], "leave out one"),
        (["--csv", "-", "--json", "-"], "--csv - and --json - use standard output"),
        (["--csv", "-", "--progress", "json"], "--csv - and --progress json use"),
        (["--plot", "a.jpg"], "must end in one of .png, .pdf"),
        (["--report", "a.pdf"], "must end in one of .html"),
        (["--csv", "no/a.csv"], "no such folder"),
        (["--csv", "a", "--json", "./a"], "twice: by --csv and --json"),
        (["--start", "2", "--end", "1"], "--end 1 must be later than --start 2"),
        (["--band", "1-30Hz"], "needs more than 60 frames/s"),
        (["--start", "9"], "no frames after 9 s"),
        (["--roi", "500,2,30,30"], "is outside the picture"),
    ],
)
def test_wrong_options_are_one_line_and_code_2(
    args: list[str], words: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert words in failed(capsys, str(clip), *args)
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_overwritten_unless_requested(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a.csv"
    output.write_text("mine")
    assert "use --overwrite" in failed(capsys, str(clip), "--csv", str(output))
    assert output.read_text() == "mine"
    assert "it is the input" in failed(capsys, str(clip), "--csv", str(clip), "--overwrite")
    args = [str(clip), "--csv", str(output), "--overwrite", "--progress", "none"]
    assert execute(["measure", *args]) == 0
    assert output.read_text().startswith("time_s,")


@pytest.mark.parametrize(
    ("option", "library", "extra"),
    [("--plot=a.png", "matplotlib", "plot"), ("--report=a.html", "matplotlib", "plot"),
     ("--uff=a.uff", "pyuff", "uff")],
)  # fmt: skip
def test_a_missing_extra_is_named_before_the_run(
    option: str, library: str, extra: str, tmp_path: Path
) -> None:
    run = [sys.executable, "-c", WITHOUT, "measure", "no-such-clip.mp4", option]
    done = subprocess.run(
        run, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    name = option[: option.index("=")]
    assert done.stderr == f"error: {name} needs {library}: pip install 'rtmag[{extra}]'\n"
    assert done.returncode == 2


@pytest.mark.parametrize("use", [["--find"], ["--band", "auto"]])
def test_the_model_is_the_one_that_is_given(
    use: list[str], clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = ["--model", "absent.onnx", "--progress", "none"]
    assert "absent.onnx" in failed(capsys, str(clip), *use, *absent)


def test_regions_are_measured_without_a_model(clip: Path) -> None:
    assert execute(["measure", str(clip), "--model", "absent.onnx", "--progress", "none"]) == 0


def test_settings_of_regions_are_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown() -> Any:
        assert execute(["config", "show", "--json", "measure"]) == 0
        found = json.loads(capsys.readouterr().out)["measure"]["roi"]
        return found["value"], found["from"]

    monkeypatch.chdir(tmp_path)
    assert shown() == (None, "default")
    (tmp_path / "rtmag.toml").write_text('[measure]\nroi = ["a=1,2,3,4", "5,6,7,8"]\n')
    assert shown() == ("a=1,2,3,4 5,6,7,8", "rtmag.toml")
    monkeypatch.setenv("RTMAG_ROI", "b=1,2,3,4 5,6,7,8")
    assert shown() == ("b=1,2,3,4 5,6,7,8", "RTMAG_ROI")
    monkeypatch.delenv("RTMAG_ROI")
    (tmp_path / "rtmag.toml").write_text('csv = "a.csv"\n')
    assert "'csv' is refused in the current folder" in failed(capsys, "test")


def test_find_lists_what_moves_and_writes_it(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found.json"
    args = ["measure", str(clip), "--find", "--json", str(out), "--progress", "none"]
    assert execute(args) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == str(out)
    found = json.loads(out.read_text())
    assert list(found) == ["lines"]
    first = found["lines"][0]
    assert list(first) == ["hz", "px", "share", "at", "real", "note"]
    assert first["hz"] == pytest.approx(HZ, abs=0.05)
    assert first["px"] == pytest.approx(PX, rel=0.2)
    assert first["note"].startswith("shake of the camera")  # all of the picture moves
    assert printed[:2] == ["nothing stands above the noise", "not motion of the scene:"]


@pytest.mark.parametrize("option", ["--roi=0,0,9,9", "--grid=2x2", "--band=2-4Hz", "--csv=a.csv"])
def test_find_refuses_what_belongs_to_regions(
    clip: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "leave out" in failed(capsys, str(clip), "--find", option)


def test_a_band_in_bpm_gives_a_rate(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["measure", str(clip), "--band", "200-400bpm", "--progress", "none"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("picture: 300 per minute, confidence ")


def test_maps_are_written_as_pictures(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "map.png", tmp_path / "phase.png"]
    given = ["--map", str(files[0]), "--phase", str(files[1]), "--hz", str(HZ)]
    assert execute(["measure", str(clip), *given, "--progress", "none"]) == 0
    printed = capsys.readouterr().out
    for file in files:
        assert str(file) in printed
        drawn = cv2.imread(str(file))
        assert drawn is not None and drawn.shape[1::-1] == SIZE
        colours = np.ptp(drawn.astype(int), axis=2) > 40
        assert colours[: SIZE[1] // 2].mean() > 0.5  # the whole picture moves


def test_a_frequency_needs_a_map(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--hz is the frequency of --map" in failed(capsys, str(clip), "--hz", "5")
