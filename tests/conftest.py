"""Fixtures for several test files."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmag.realtime.frame import Frame
from tests.support.alone import turn
from tests.support.clips import Clip

# A plain install has no torch: it neither trains nor exports.
collect_ignore = [] if find_spec("torch") else ["train", "export"]


# A shell that starts us in the background has Ctrl-C ignored, in every process begun here too.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Whoever runs the tests may have settings of their own; the tests have none.
os.environ["XDG_CONFIG_HOME"] = tempfile.gettempdir() + "/rtmag-tests-without-settings"
for _name in [name for name in os.environ if name.startswith("RTMAG_")]:
    del os.environ[_name]


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside the time limit of the test
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test next to others, or by itself if it is marked `alone`."""
    with turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Nets in tests are so small that threads only get in each other's way."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """A maker of video files: call it with a name and the fields of Clip."""
    return lambda name="clip.mp4", **options: Clip(**options).write(tmp_path / name)


@pytest.fixture
def frames() -> Callable[..., list[Frame]]:
    """A maker of flat frames that differ: call it with how many, their size and fps."""

    def make(
        count: int, size: tuple[int, int] = (64, 48), fps: float = 30.0, **_: Any
    ) -> list[Frame]:
        return [
            Frame(np.full((size[1], size[0], 3), 20 + 17 * (i % 12), np.uint8), i / fps, i)
            for i in range(count)
        ]

    return make


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real one; what needs it skips where there is none."""
    from tests.support.tabs import open_browser

    with open_browser(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


@pytest.fixture
def served() -> Iterator[Any]:
    """The built-in scene, magnified and served."""
    from tests.support.pages import serve

    with serve(None) as running:
        yield running


@pytest.fixture
def page(browser: Any, served: Any) -> Any:
    """The page of what is served, when it shows pictures."""
    from tests.support.tabs import pictures_drawn, wait_until

    browser.get(served.url)
    wait_until(lambda: pictures_drawn(browser) > 1)
    return browser
