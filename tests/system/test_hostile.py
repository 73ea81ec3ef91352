"""Model files made to do harm: nothing in them is executed, nothing outside them is read."""

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.errors import ModelIncompatible, OptionError
from tests.support.fakes import identity_model, run_python

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
TensorProto = onnx.TensorProto


class Harm:
    """Object that makes a folder when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._canary),)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "executed"


def pickled(path: Path, canary: Path, *, zipped: bool) -> Path:
    content = pickle.dumps(Harm(canary))
    if not zipped:
        path.write_bytes(content)
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3")
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".onnx", ".pt", ".pth", ".safetensors", ".pt2"])
def test_a_pickle_under_any_name_is_refused_unopened(
    suffix: str, zipped: bool, tmp_path: Path, canary: Path
) -> None:
    """S01."""
    path = pickled(tmp_path / f"model{suffix}", canary, zipped=zipped)
    with pytest.raises((ModelIncompatible, OptionError), match=r"not an ONNX model|--unsafe"):
        load_engine(path)
    assert not canary.exists()


def _hostile_program(path: Path, canary: Path) -> Path:
    """Write a PyTorch program whose example inputs are replaced by a hostile pickle."""
    doubling = torch.nn.Threshold(0.0, 1.0)  # any program will do
    torch.export.save(torch.export.export(doubling, (torch.ones(2),)), path.with_suffix(".0.pt2"))
    with zipfile.ZipFile(path.with_suffix(".0.pt2")) as good, zipfile.ZipFile(path, "w") as bad:
        for name in good.namelist():
            harm = name.endswith("sample_inputs/model.pt")
            bad.writestr(name, pickle.dumps(Harm(canary)) if harm else good.read(name))
    return path


def test_a_program_of_pytorch_needs_to_be_trusted(tmp_path: Path, canary: Path) -> None:
    """S01: PyTorch executes code in such a file, so rtmag requires `--unsafe`."""
    path = _hostile_program(tmp_path / "model.pt2", canary)
    with pytest.raises(OptionError, match=r"which can run any code when it is opened; .* --unsafe"):
        load_engine(path)
    assert not canary.exists()
    code = f"""if True:
        import contextlib, sys, warnings
        warnings.simplefilter("ignore")
        from rtmag.realtime.engines.loading import load_engine
        with contextlib.suppress(Exception):
            load_engine({str(path)!r}, unsafe=True)
    """
    run_python(code)
    assert canary.exists(), "PyTorch has become safe: the question can go"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    from tests.support import small

    return small.trained(small.MAGNET, tmp_path / "run")


def _header(entries: dict[str, object], length: int | None = None) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(64)


FIRST = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "content",
    [
        _header({}, 2**60),
        _header({"a": FIRST, "b": FIRST | {"data_offsets": [8, 24]}}),
        _header({"a": FIRST | {"data_offsets": [0, 2**40]}}),
        _header({"a": FIRST | {"shape": [2**40]}}),
        _header({"a": FIRST | {"dtype": "F31"}}),
        b"",
    ],
    ids=["header of 2^60", "overlap", "beyond the end", "wrong shape", "wrong type", "empty"],
)
def test_weights_with_a_false_header_are_refused(content: bytes, run: Path) -> None:
    """S02: they are refused and need little memory."""
    (run / "model.safetensors").write_bytes(content)
    assert _refusal_megabytes(run) < 100


def _refusal_megabytes(run: Path) -> float:
    code = f"""if True:
        import resource
        from pathlib import Path
        from rtmag.realtime.errors import ModelIncompatible
        from rtmag.train.checkpoint import load
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            load(Path({str(run)!r}))
        except ModelIncompatible as error:
            assert "cannot load checkpoint" in str(error)
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    pytest.importorskip("resource")
    return float(run_python(code)) / 1024


def test_weights_that_are_nan_or_infinite_are_refused(run: Path) -> None:
    """S02."""
    from safetensors.torch import load_file, save_file

    from rtmag.train.checkpoint import load

    weights = load_file(run / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] = float("nan")
    save_file(weights, run / "model.safetensors")
    with pytest.raises(ModelIncompatible, match="cannot load checkpoint"):
        load(run)


def test_a_pickle_among_a_runs_files_is_not_executed(run: Path, canary: Path) -> None:
    """S01."""
    from rtmag.train.checkpoint import load

    pickled(run / "model.safetensors", canary, zipped=False)
    with pytest.raises(ModelIncompatible, match="cannot load checkpoint"):
        load(run)
    assert not canary.exists()


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link", "hard", "fifo"])
def test_external_weights_are_never_read(location: str, tmp_path: Path) -> None:
    """S03: traversal, absolute, symbolic and hard links; opening the fifo would block."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(64))
    (folder / "link").symlink_to(tmp_path / "secret")
    os.link(tmp_path / "secret", folder / "hard")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "fifo")
    path = identity_model(folder / "model.onnx")
    model = onnx.load(path)
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32), "outside")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelIncompatible, match="its weights are in another file"):
        load_engine(path)


def test_an_error_about_a_linked_model_shows_none_of_its_content(tmp_path: Path) -> None:
    """S03."""
    (tmp_path / "secret").write_text("precious words")
    (tmp_path / "model.onnx").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelIncompatible) as caught:
        load_engine(tmp_path / "model.onnx")
    assert "precious" not in str(caught.value)
