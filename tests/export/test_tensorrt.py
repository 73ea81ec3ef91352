"""TensorRT export: calls to torch-tensorrt, and the machine that an engine is for.

No test runs TensorRT; a stand-in replaces the library.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rtmag.export import parity
from rtmag.export import torch_export as tensorrt_target
from rtmag.export.cli import main
from rtmag.realtime.engines import torch_program as sidecar
from rtmag.realtime.engines.loading import load_engine
from rtmag.realtime.engines.torch_engine import TorchEngine
from rtmag.realtime.errors import MissingExtra, ModelIncompatible, OptionError, ParityError
from rtmag.realtime.filters import Static
from tests.support import small

CALLS: list[dict[str, Any]] = []


class Library:
    """Stand-in for torch_tensorrt: records the options and returns the module unchanged."""

    __version__ = "2.14.0"

    @staticmethod
    def compile(module: torch.nn.Module, **options: Any) -> torch.nn.Module:
        CALLS.append(options)
        return module

    @staticmethod
    def save(
        module: torch.nn.Module, path: str, *, output_format: str, arg_inputs: Any, extra_files: Any
    ) -> None:
        assert output_format == "exported_program"
        program = torch.export.export(module, tuple(arg_inputs))
        torch.export.save(program, path, extra_files=extra_files)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.trained(small.MAGNET, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the machine has TensorRT and a GPU; the CPU does the work."""
    monkeypatch.setattr(parity, "ALPHAS", (20.0,))
    monkeypatch.setattr(parity, "FILTERS", (Static(),))
    monkeypatch.setattr(parity.clip, "__defaults__", (3,))
    monkeypatch.setitem(sys.modules, "torch_tensorrt", Library)
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="11.1.0.106"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU of some kind")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda self: self)
    monkeypatch.setattr(
        tensorrt_target, "TorchEngine", lambda path, provider: TorchEngine(path, provider="cpu")
    )
    CALLS.clear()


BUILT: dict[tuple[str, ...], tuple[bytes, bytes]] = {}
"""Engine and metadata by the options of their build."""


def build(run: Path, out: Path, *more: str) -> None:
    main([str(run), "--target", "tensorrt", "--size", "90x64", "--out", str(out), *more])
    BUILT[more] = out.read_bytes(), sidecar.sidecar(out).read_bytes()


def built(run: Path, out: Path, *more: str) -> None:
    """Copy an engine that was built with the same options; building takes seconds."""
    if more not in BUILT:
        build(run, out, *more)
    engine, metadata = BUILT[more]
    out.write_bytes(engine)
    sidecar.sidecar(out).write_bytes(metadata)
    CALLS.clear()


def test_an_engine_is_built_in_half_precision_with_a_sidecar(
    machine: None, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.trt.pt2"
    build(run, out, "--workspace", "1.5")
    (options,) = CALLS
    assert options["ir"] == "dynamo"
    assert options["workspace_size"] == int(1.5 * 2**30)
    assert tuple(options["arg_inputs"][0].shape) == (64, 96, 3)
    assert options["timing_cache_path"] == str(tmp_path / ".trt-cache" / "timing.bin")
    assert not {"cache_built_engines", "reuse_cached_engines"} & options.keys(), "they do nothing"
    assert options["disable_tf32"]
    noted = json.loads(sidecar.sidecar(out).read_text())
    assert noted["rtmag.precision"] == "fp16"
    assert noted["rtmag.size"] == "96x64"
    assert (noted["gpu"], noted["compute_capability"]) == ("GPU of some kind", "9.0")
    assert noted["tensorrt"] == "11.1.0.106"
    assert {p.name for p in tmp_path.iterdir()} == {".trt-cache", out.name, out.name + ".json"}
    engine = TorchEngine(out, provider="cpu")
    assert (engine.name, engine.size) == ("tiny", (96, 64))


def test_an_engine_is_built_for_a_number_of_streams(
    machine: None, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny.trt.pt2"
    with pytest.raises(OptionError, match="needs --streams N: an engine is built for one number"):
        build(run, out, "--streams", "any")
    build(run, out, "--streams", "3")
    (options,) = CALLS
    shapes = [tuple(each.shape) for each in options["arg_inputs"]]
    assert shapes == [(3, 64, 96, 3), (3,), (3, 2, 5), (3,), (3, 40, 16, 24)]
    assert json.loads(sidecar.sidecar(out).read_text())["rtmag.streams"] == "3"
    assert TorchEngine(out, provider="cpu").streams_per_run == 3


def test_an_engine_is_rebuilt_only_with_force(
    machine: None, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tiny.trt.pt2"
    built(run, out)
    capsys.readouterr()
    build(run, out)
    assert len(CALLS) == 0
    assert (
        "already built from these weights on this machine; --force builds it again"
        in capsys.readouterr().out
    )
    build(run, out, "--force")
    assert len(CALLS) == 1
    with pytest.raises(OptionError, match="it exists; use --overwrite"):
        build(run, out, "--precision", "fp32")


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # PyTorch's own
@pytest.mark.parametrize("streams", [None, "3"])
def test_only_casts_take_bytes_in_a_built_graph(
    machine: None,
    run: Path,
    tmp_path: Path,
    streams: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "tiny.trt.pt2"
    built(run, out, *(["--streams", streams] if streams else []))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    program = torch.export.load(out).run_decompositions()
    touching = {
        str(node.target)
        for node in program.graph.nodes
        if node.op == "call_function"
        for each in (node, *node.all_input_nodes)
        if getattr(each.meta.get("val"), "dtype", None) is torch.uint8
    }
    assert touching - {"aten._assert_tensor_metadata.default"} == {"aten._to_copy.default"}


def swapped(out: Path, key: str, value: str) -> None:
    """Change a value in the sidecar of an engine."""
    beside = sidecar.sidecar(out)
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [("rtmag.sha256", "ab"), ("rtmag.precision", "fp32"), ("rtmag.size", "64x96")],
)
def test_an_engine_is_rebuilt_for_other_weights_precision_or_size(
    machine: None, run: Path, tmp_path: Path, key: str, value: str
) -> None:
    out = tmp_path / "tiny.trt.pt2"
    built(run, out)
    swapped(out, key, value)
    with pytest.raises(
        ModelIncompatible, match=r"differ from tiny\.trt\.pt2\.json; build it again"
    ):
        TorchEngine(out, provider="cpu")


def test_an_engine_with_the_sidecar_of_another_is_refused(
    machine: None, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the two writes leaves a new engine with an old sidecar."""
    out = tmp_path / "tiny.trt.pt2"
    built(run, out)
    move = Path.replace

    def crashes(path: Path, target: Path) -> Path:
        if target == sidecar.sidecar(out):
            raise OSError("the power failed")
        return move(path, target)

    monkeypatch.setattr(Path, "replace", crashes)
    with pytest.raises(OSError, match="the power failed"):
        build(run, out, "--precision", "fp32", "--overwrite")
    monkeypatch.setattr(Path, "replace", move)
    with pytest.raises(ModelIncompatible, match=r"not the file that .*json describes; .*--force"):
        TorchEngine(out, provider="cpu")
    with pytest.raises(OptionError, match="it exists"):
        build(run, out)
    sidecar.sidecar(out).unlink()
    with pytest.raises(ModelIncompatible, match=r"tiny\.trt\.pt2\.json, which names .* is missing"):
        TorchEngine(out, provider="cpu")
    build(run, out, "--force")
    assert TorchEngine(out, provider="cpu").name == "tiny"


@pytest.mark.parametrize(
    ("noted", "message"),
    [(b"{", "not JSON"), (b"\xff\xfe", "not JSON"), (b"[]", "an object of strings")],
)
def test_an_unreadable_sidecar_is_refused(
    machine: None, run: Path, tmp_path: Path, noted: bytes, message: str
) -> None:
    out = tmp_path / "tiny.trt.pt2"
    out.write_bytes(b"an engine")
    sidecar.sidecar(out).write_bytes(noted)
    with pytest.raises(ModelIncompatible, match=message):
        TorchEngine(out, provider="cpu")


@pytest.mark.parametrize("key", ["gpu", "compute_capability", "tensorrt", "torch_tensorrt"])
def test_an_engine_of_another_machine_is_refused(
    machine: None, run: Path, tmp_path: Path, key: str
) -> None:
    out = tmp_path / "tiny.trt.pt2"
    built(run, out)
    swapped(out, key, "another")
    with pytest.raises(
        ModelIncompatible, match=f"built for {key} another, this machine has .*--force"
    ):
        load_engine(out, unsafe=True)


def test_an_engine_without_parity_is_deleted(
    machine: None, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "tiny.trt.pt2"
    built(run, out)
    before = out.read_bytes()

    def differs(*_: object, **__: object) -> None:
        raise ParityError("the engine computes something else")

    monkeypatch.setattr(tensorrt_target, "check_parity", differs)
    with pytest.raises(ParityError):
        build(run, out, "--force")
    assert out.read_bytes() == before
    assert not list(tmp_path.glob("*.part*"))


def test_missing_libraries_are_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = [str(run), "--target", "tensorrt"]
    with pytest.raises(OptionError, match="needs --size WxH"):
        main(args)
    args += ["--size", "640x480"]
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(MissingExtra, match=r"needs torch-tensorrt: .*rtmag\[trt\]"):
        main(args)
    monkeypatch.setitem(sys.modules, "torch_tensorrt", Library)
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="11"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingExtra, match="needs a CUDA GPU"):
        main(args)


def test_a_wrong_suffix_is_refused(run: Path) -> None:
    with pytest.raises(OptionError, match=r"--out must end in \.trt\.pt2 for tensorrt"):
        main([str(run), "--target", "tensorrt", "--size", "64x64", "--out", "engine.onnx"])
