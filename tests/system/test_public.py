"""The public names, and the cost of importing them."""

import importlib
import pkgutil
from pathlib import Path

import pytest

import rtmag
import rtmag.realtime
from rtmag.realtime import errors
from tests.support.fakes import run_python


def test_all_is_sorted_and_every_name_resolves() -> None:
    names = rtmag.realtime.__all__
    assert names == sorted(set(names), key=lambda name: (not name.isupper(), name))
    for name in names:
        value = getattr(rtmag.realtime, name)
        assert name in dir(rtmag.realtime)
        assert getattr(value, "__name__", name) == name
        assert getattr(rtmag.realtime, name) is value


def test_all_is_complete() -> None:
    promised = {
        "Frame", "Magnifier", "Static", "Dynamic", "Temporal", "load_engine", "open_source",
        "stream", "Engine", "Filter", "FrameSource", "OnnxEngine", "PRESETS", "VideoSink",
        "parse_band", "MotionField", "motion", "Measurement", "Meter", "measure",
    }  # fmt: skip
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.RtmagError)
    }
    assert set(rtmag.realtime.__all__) == promised | raised


def test_each_public_name_is_the_object_of_its_module() -> None:
    home = importlib.import_module("rtmag.realtime.magnifier")
    assert rtmag.realtime.Magnifier is home.Magnifier
    scope: dict[str, object] = {}
    exec("from rtmag.realtime import *", scope)
    assert set(rtmag.realtime.__all__) <= set(scope)


def test_an_unknown_name_raises_the_usual_errors() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = rtmag.realtime.nonsense  # type: ignore[attr-defined]
    with pytest.raises(ImportError):
        from rtmag.realtime import nonsense  # type: ignore[attr-defined]  # noqa: F401


def test_no_module_of_realtime_imports_torch() -> None:
    modules = [
        module.name for module in pkgutil.walk_packages(rtmag.realtime.__path__, "rtmag.realtime.")
    ]
    code = f"""if True:
        import importlib, sys
        for name in {modules}:
            importlib.import_module(name)
        print([m for m in ("torch", "onnx", "rtmag.train", "rtmag.export") if m in sys.modules])
    """
    assert run_python(code).strip() == "[]"


def test_a_whole_magnification_never_imports_torch(tmp_path: Path) -> None:
    code = f"""if True:
        import sys
        import itertools
        from pathlib import Path
        from tests.support.fakes import identity_model
        from rtmag.realtime import Temporal
        from rtmag.realtime import stream
        model = identity_model(Path({str(tmp_path)!r}) / "identity.onnx")
        frames = stream("test", model=model, size=(64, 48), filter=Temporal(1, 3))
        shown = list(itertools.islice(frames, 12))
        print(len(shown), shown[0].size, "torch" in sys.modules)
    """
    assert run_python(code).strip() == "12 (64, 48) False"


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = """if True:
        import sys
        import rtmag.realtime
        dir(rtmag.realtime)
        heavy = ("torch", "onnxruntime", "av", "scipy", "cv2", "numpy", "typer")
        print([m for m in heavy if m in sys.modules])
    """
    assert run_python(code).strip() == "[]"


def test_the_root_package_has_the_same_names() -> None:
    code = """if True:
        import sys
        import rtmag, rtmag.realtime
        dir(rtmag)
        heavy = ("torch", "onnxruntime", "av", "scipy", "cv2", "numpy", "typer", "rich")
        print([m for m in heavy if m in sys.modules])
        assert set(rtmag.__all__) == {"__version__", *rtmag.realtime.__all__}
        assert all(getattr(rtmag, name) is not None for name in rtmag.__all__)
        assert rtmag.Magnifier is rtmag.realtime.Magnifier
        print([m for m in ("torch", "typer", "rich") if m in sys.modules])
        try:
            rtmag.nonsense
        except AttributeError as error:
            print(error)
    """
    assert run_python(code).splitlines() == [
        "[]",
        "[]",
        "module 'rtmag' has no attribute 'nonsense'",
    ]


def test_type_checkers_see_the_names_of_the_root() -> None:
    """Mypy checks this function: an unknown name must be an error, a known one must not."""
    magnifier: type[rtmag.realtime.magnifier.Magnifier] = rtmag.Magnifier
    assert magnifier is rtmag.realtime.Magnifier
    with pytest.raises(AttributeError):
        _ = rtmag.nonsense  # type: ignore[attr-defined]
