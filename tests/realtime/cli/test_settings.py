"""Options from files and variables: their priority, and invalid ones."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from rtmag.realtime.cli import options
from rtmag.realtime.cli.main import execute
from rtmag.realtime.cli.settings import ConfigurableCommand
from tests.support.fakes import ENVIRONMENT, identity_model

MAIN = "import sys; from rtmag.realtime.cli.main import main; main()"
Write = Callable[..., None]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration folder; the current folder is another one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder = tmp_path / "home" / "rtmag"
    folder.mkdir(parents=True)
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: folder)
    return folder


def shown(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    """Key -> [value, origin] of the command that the first argument names."""
    assert execute(["config", "show", "--json", *args]) == 0
    found = json.loads(capsys.readouterr().out)[args[0]]
    return {key: [each["value"], each["from"]] for key, each in found.items()}


def error_of(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert execute(list(args)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def test_all_values_are_defaults_without_settings(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "camera")
    assert {origin for _, origin in found.values()} == {"default"}
    assert [found[key][0] for key in ("alpha", "mode", "fl", "fh")] == [10, "temporal", 0.4, 3]
    assert found["view"][0] == "window"
    found = shown(capsys, "file")
    assert [found[key][0] for key in ("alpha", "mode")] == [20, "static"]


SECRET = "a-secret-of-27-letters-here"


def test_a_token_is_set_but_never_shown(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S05: ps shows the command line to every user."""
    (home / "rtmag.toml").write_text(f'[camera]\ntoken = "{SECRET}"\n')
    assert shown(capsys, "camera")["token"] == ["...", str(home / "rtmag.toml")]
    assert shown(capsys, "stream")["token"] == [None, "default"]
    monkeypatch.setenv("RTMAG_TOKEN", SECRET)
    assert shown(capsys, "stream")["token"] == ["...", "RTMAG_TOKEN"]
    assert execute(["config", "show"]) == 0
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err
    assert execute(["camera", "--help"]) == 0
    assert "--token" not in capsys.readouterr().out
    assert "set RTMAG_TOKEN" in error_of(capsys, "camera", "test", "--token", SECRET)


def test_messages_do_not_contain_an_invalid_token(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "rtmag.toml").write_text("token = 12345678901234567890\n")
    assert "token = ...: expected text" in error_of(capsys, "camera", "test")
    (home / "rtmag.toml").write_text('view = "web"\nport = 0\n')
    for short in ("fifteen-letters", "sixteen letters!", "sixteen;letters;"):
        monkeypatch.setenv("RTMAG_TOKEN", short)
        message = error_of(capsys, "camera", "test", "--model", "none")
        assert "16 or more characters" in message
        assert short not in message


def test_the_source_of_higher_priority_wins(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / "rtmag.toml"
    file.write_text('alpha = 2\nfps = 20\nsize = "64x48"\nlayout = "side"\n')
    Path("rtmag.toml").write_text('alpha = 3\nfps = 25\nsize = "32x24"\n')
    monkeypatch.setenv("RTMAG_ALPHA", "4")
    monkeypatch.setenv("RTMAG_FPS", "30")
    found = shown(capsys, "camera", "--alpha", "5")
    assert found["alpha"] == [5, "command line"]
    assert found["fps"] == [30, "RTMAG_FPS"]
    assert found["size"] == ["32x24", "rtmag.toml"]
    assert found["layout"] == ["side", str(file)]


def test_a_table_applies_to_one_command_and_has_priority_over_other_keys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("rtmag.toml").write_text(
        'alpha = 2\nmotion-scale = "1/2"\n[camera]\nalpha = 3\nmotion_scale = "auto"\n'
    )
    assert shown(capsys, "camera")["alpha"][0] == 3
    assert shown(capsys, "camera")["motion_scale"][0] == "auto"
    assert shown(capsys, "file")["alpha"][0] == 2
    assert shown(capsys, "file")["motion_scale"][0] == "1/2"


@pytest.mark.parametrize(
    ("file", "args", "expected"),
    [
        # An option of higher priority replaces everything that belongs to it.
        ("alpha = 3\nfl = 1\nfh = 2", ["--preset", "machine"], (20, "temporal", 5, 14)),
        ('preset = "machine"', ["--alpha", "3"], (3, "temporal", 5, 14)),
        ('preset = "machine"', ["--band", "1-2"], (20, "temporal", 1, 2)),
        ('band = "1-2Hz"', ["--fl", "3", "--fh", "4"], (20, "temporal", 3, 4)),
        ("fl = 1\nfh = 2", ["--band", "180-240bpm"], (20, "temporal", 3, 4)),
        ('mode = "static"', ["--band", "3-4"], (20, "temporal", 3, 4)),
        ('band = "1-2Hz"', ["--mode", "dynamic"], (20, "dynamic", None, None)),
        ('band = "1-2Hz"', ["--drift", "0.1"], (20, "static", None, None)),
        ('preset = "machine"', ["--mode", "static"], (20, "static", None, None)),
        ('band = "1-2Hz"', ["--mode", "temporal"], (20, "temporal", 1, 2)),
    ],
)
def test_settings_that_contradict_a_source_of_higher_priority_are_ignored(
    file: str, args: list[str], expected: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rtmag.toml").write_text(file)
    found = shown(capsys, "camera", *args)
    assert tuple(found[key][0] for key in ("alpha", "mode", "fl", "fh")) == expected


@pytest.mark.parametrize(
    ("file", "args", "expected"),
    [
        ('motion-scale = "1/2"', ["--size", "auto"], ("auto", "auto")),
        ('size = "auto"', ["--motion-scale", "1/2"], (None, "1/2")),
        ('size = "auto"', ["--motion-scale", "auto"], ("auto", "auto")),
        ('size = "64x48"', ["--motion-scale", "1/2"], ("64x48", "1/2")),
        ('motion-scale = "1/2"', ["--size", "64x48"], ("64x48", "1/2")),
        ('size = "auto"', ["--size", "64x48"], ("64x48", "auto")),
    ],
)
@pytest.mark.parametrize("command", ["camera", "stream"])
def test_size_auto_and_motion_scale_override_each_other(
    command: str, file: str, args: list[str], expected: tuple[object, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    Path("rtmag.toml").write_text(f"[{command}]\n{file}")
    found = shown(capsys, command, *args)
    assert (found["size"][0], found["motion_scale"][0]) == expected


def test_size_auto_with_a_fixed_motion_scale_is_refused(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    words = "--size auto needs --motion-scale auto, got 1: leave out one"
    assert words in error_of(capsys, "camera", "test", "--size", "auto", "--motion-scale", "1")
    (home / "rtmag.toml").write_text('[stream]\nsize = "auto"\nmotion-scale = "1"\n')
    assert words in error_of(capsys, "stream", "screen")
    (home / "rtmag.toml").write_text('[camera]\nsize = "automatic"\n')
    assert "a size is WIDTHxHEIGHT" in error_of(capsys, "camera", "test")


def test_values_of_a_preset_have_the_preset_as_origin(capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(capsys, "file", "--preset", "building", "--order", "2")
    assert found["alpha"] == [50, "preset building"]
    assert found["order"] == [2, "command line"]


def test_the_order_implied_by_a_band_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "file", "--band", "36-38Hz")["order"] == [2, "default"]
    assert shown(capsys, "file", "--band", "3-8Hz")["order"] == [1, "default"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alpah = 3", "rtmag.toml: unknown key 'alpah'; allowed: alpha, audio, band"),
        ("[file]\nhost = 3", "rtmag.toml, table [file]: unknown key 'host'; allowed: alpha"),
        ("[fiel]\nfps = 3", "rtmag.toml: no such table [fiel]; allowed: camera, file"),
        ('alpha = "much"', "rtmag.toml: alpha = 'much': "),
        ("alpha = true", "rtmag.toml: alpha = True: expected a number"),
        ("alpha = [1]", "rtmag.toml: alpha = [1]: "),
        ("strict = 3", "rtmag.toml: strict = 3: "),
        ("order = 3", "rtmag.toml: order = 3: "),
        ("[camera]\nfps = 0.01", "rtmag.toml, table [camera]: fps = 0.01: "),
        ('layout = "round"', "'split', 'difference', 'map', 'original'"),
        ('band = "quick"', "rtmag.toml: band: a band is LOWER-UPPER"),
        ('alpha = "3"', "rtmag.toml: alpha = '3': expected a number"),
        ('strict = "yes"', "rtmag.toml: strict = 'yes': expected true or false"),
        ("motion-scale = 1", "rtmag.toml: motion_scale = 1: expected text"),
        ("file = 3", "rtmag.toml: file = 3: expected a table"),
        ('preset = "moon"', "'pulse', 'breath', "),
        ("alpha = \n", "cannot read 'rtmag.toml': Invalid value (at line 1"),
        ("\udcff", "cannot read 'rtmag.toml'"),
        ("alpha = " + 9999 * "[", "cannot read 'rtmag.toml': its values are nested too deeply"),
        ("alpha = " + 300 * "[" + 300 * "]", "rtmag.toml: alpha = [[["),
        ("alpha = " + 4000 * "9", "rtmag.toml: alpha = 999"),
        ("alpha = " + 5000 * "9", "cannot read 'rtmag.toml': "),
        ("alpha = 0x" + 5000 * "f", "rtmag.toml: alpha = ...: "),
        (
            '[camera]\npixel-format = "a\\u0000b"',
            "pixel_format = 'a\\x00b': contains a null character",
        ),
        ("#" + (1 << 20) * "x", "cannot read 'rtmag.toml': it is larger than 1 MB"),
    ],
)
def test_an_invalid_file_is_one_line_of_error(
    text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("rtmag.toml").write_bytes(text.encode(errors="surrogateescape"))
    message = error_of(capsys, "file", "none.mp4")
    assert words in message
    assert len(message) < 600


LIVE = {
    "compile", "frames", "host", "max_viewers", "model", "out", "overwrite", "port", "record",
    "stats", "token", "unsafe", "virtual_camera",
}  # fmt: skip
REFUSED = {
    "camera": LIVE,
    "stream": LIVE | {"ca", "max_pixels"},
    "file": {"compile", "like", "max_pixels", "model", "output", "overwrite", "unsafe"},
}
"""Options that write or read a file, run code, admit others, or end the run."""


@pytest.mark.parametrize("name", REFUSED)
def test_the_current_folder_may_set_harmless_options_only(
    name: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    """S01: a folder may be someone else's, such as an unpacked archive."""
    found = shown(capsys, name)
    assert not REFUSED[name] - found.keys()
    for key in REFUSED[name]:
        Path("rtmag.toml").write_text(f'[{name}]\n{key.replace("_", "-")} = "x"\n')
        message = error_of(capsys, name, "x")
        assert f"{key!r} is refused in the current folder" in message
        assert str(home / "rtmag.toml") in message
    harmless = {k: v for k, (v, _) in found.items() if k not in REFUSED[name] and v is not None}
    harmless.pop("alpha")
    lines = [f"{key} = {json.dumps(value)}" for key, value in harmless.items()]
    Path("rtmag.toml").write_text("\n".join([f"[{name}]", *lines]))
    assert {shown(capsys, name)[key][1] for key in harmless} == {"rtmag.toml"}


def test_a_new_option_is_refused_in_the_current_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Group:
        panel: ClassVar = "Group"
        new: Annotated[int, typer.Option("--new")] = 1
        marked: Annotated[int, typer.Option("--marked"), options.HARMLESS] = 2

    @options.grouped
    def command(group: Group, alone: Annotated[int, typer.Option("--alone")] = 3) -> None:
        """Do nothing."""

    assert options.harmless_options(command) == {"marked"}
    other = typer.Typer()
    other.command(cls=ConfigurableCommand)(command)
    other.command(name="second")(lambda: None)
    Path("rtmag.toml").write_text("marked = 5\n")
    assert CliRunner().invoke(other, ["command"]).exit_code == 0
    for key in ("new", "alone"):
        Path("rtmag.toml").write_text(f"{key} = 5\n")
        refusal = CliRunner().invoke(other, ["command"]).exception
        assert f"'{key}' is refused in the current folder" in str(refusal)


def test_a_hostile_folder_runs_no_code_and_says_what_it_sets(
    clip: Callable[..., Path], capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    """S01."""
    clip("here/in.mp4", frames=4)
    Path("rtmag.toml").write_text('unsafe = true\nmodel = "evil.pt2"\n')
    assert "'unsafe' is refused" in error_of(capsys, "file", "in.mp4")
    Path("rtmag.toml").write_text('alpha = 3\nprogress = "none"\n')
    assert execute(["file", "in.mp4", "--model", "none"]) == 0
    assert capsys.readouterr().err == "settings from ./rtmag.toml: alpha, progress\n"
    Path("rtmag.toml").rename(home / "rtmag.toml")
    assert execute(["file", "in.mp4", "out.mp4", "--model", "none"]) == 0
    assert capsys.readouterr().err == ""


def test_the_own_file_is_trusted_also_in_its_folder(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "rtmag.toml").write_text("overwrite = true\n")
    monkeypatch.chdir(home)
    assert shown(capsys, "camera")["overwrite"] == [True, str(home / "rtmag.toml")]


def test_a_folder_that_may_not_be_entered(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.chmod(0)
    if not os.access(home, os.X_OK):
        message = error_of(capsys, "file", "none.mp4")
        assert "Permission denied; the folder must be one that you may enter" in message
    home.chmod(0o700)
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: home / (300 * "a"))
    assert "the folder must be one that you may enter" in error_of(capsys, "file", "none.mp4")


def test_a_null_character_is_refused(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    (home / "rtmag.toml").write_text('model = "a\\u0000b"\n')
    assert "model = 'a\\x00b': contains a null" in error_of(capsys, "camera", "test")


def test_an_invalid_environment_variable_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTMAG_SIZE", "big")
    assert "RTMAG_SIZE: size: a size is WIDTHxHEIGHT" in error_of(capsys, "camera", "test")


def test_help_and_presets_ignore_a_broken_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("rtmag.toml").write_text("nonsense")
    assert execute(["camera", "--help"]) == 0
    assert execute(["presets"]) == 0
    assert "pulse" in capsys.readouterr().out


def test_other_commands_have_no_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot show settings of 'doctor': it has none; allowed: camera, file" in error_of(
        capsys, "config", "show", "doctor"
    )


def test_credentials_are_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S05."""
    monkeypatch.setenv("RTMAG_RECORD", "http://user:canary@host/x.mp4")
    assert execute(["config", "show"]) == 0
    printed = capsys.readouterr().out
    assert "RTMAG_RECORD" in printed
    assert "canary" not in printed


def test_a_file_is_magnified_with_the_settings(
    clip: Callable[..., Path], capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    clip("here/in.mp4", frames=6)
    model = identity_model(Path("identity.onnx"))
    (home / "rtmag.toml").write_text(
        f'alpha = 7\nband = "48-120bpm"\nmodel = "{model.as_posix()}"\n[file]\nprogress = "none"\n'
    )
    assert execute(["file", "in.mp4"]) == 0
    assert capsys.readouterr().out == "in.mag7.mp4\n"
    assert execute(["file", "in.mp4", "--alpha", "9"]) == 0
    assert capsys.readouterr().out == "in.mag9.mp4\n"


def seconds(code: str, *args: str) -> float:
    """Seconds of the fastest of five runs: other processes can only add time."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", code, *args], env=ENVIRONMENT, check=True, capture_output=True
        )
        times.append(time.perf_counter() - began)
    return min(times)


def test_help_is_fast_with_settings() -> None:
    Path("rtmag.toml").write_text('preset = "pulse"\n')
    least = seconds("import typer")
    if least > 0.2:
        pytest.skip(f"this machine is busy: importing typer takes {least:.2f} s")
    # 0.3 s on a machine at rest, on which typer takes less than 0.1 s.
    assert seconds(MAIN, "--help") < max(0.3, 6 * least)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--alpha", "0,5"], "'--alpha' / '-a': expected a number such as 20 or 0.5"),
        (["--frames", "ten"], "'--frames': expected an integer such as 20"),
        (["--frames", "0"], "'--frames': must be greater than or equal to 1"),
        (["--preset", "motor"], "'--preset': 'motor' is not one of 'pulse'"),
        (["-o", "out.mp4"], "for a video file use --record"),
    ],
)
def test_invalid_values_are_refused_in_plain_words(
    args: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["camera", "test", *args]) == 2
    printed = capsys.readouterr().err.replace("│", " ")
    assert message in " ".join(printed.split())
