"""Examples in docstrings."""

import doctest
import importlib
import pkgutil
from importlib.util import find_spec

import pytest

PACKAGES = ["rtmag.realtime", *(["rtmag.export", "rtmag.train"] if find_spec("torch") else [])]


def modules() -> list[str]:
    found = []
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        inside = pkgutil.walk_packages(path, prefix=f"{package}.")
        found += [package, *(module.name for module in inside)]
    return [name for name in found if not name.endswith(".__main__")]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_pass(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", modules())
def test_every_module_has_a_docstring(name: str) -> None:
    assert (importlib.import_module(name).__doc__ or "").strip()
