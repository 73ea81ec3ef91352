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
from tests.support.clips import Clip
from tests.support.workers import made_once, worker_lock

# Without torch, the tests of training and export are skipped.
collect_ignore = [] if find_spec("torch") else ["train", "export"]


# A shell that starts pytest in the background makes it, and all its child processes, ignore SIGINT;
# nohup makes them ignore SIGHUP.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# Hide the user's own settings from the tests.
os.environ["XDG_CONFIG_HOME"] = tempfile.gettempdir() + "/rtmag-tests-without-settings"
for _name in [name for name in os.environ if name.startswith("RTMAG_")]:
    del os.environ[_name]


def pytest_xdist_auto_num_workers() -> int:
    """Start one worker more than there are cores, since many tests wait for other processes."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside the time limit of the test
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test in parallel with others, or by itself if it is marked `alone`."""
    with worker_lock(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Limit torch to one thread, since the networks in tests are too small for more."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes a video file; its arguments are a name and the fields of `Clip`."""
    return lambda name="clip.mp4", **options: Clip(**options).write(tmp_path / name)


@pytest.fixture
def frames() -> Callable[..., list[Frame]]:
    """Function that makes flat frames of different grey levels, from count, size and fps."""

    def make(
        count: int, size: tuple[int, int] = (64, 48), fps: float = 30.0, **_: Any
    ) -> list[Frame]:
        return [
            Frame(np.full((size[1], size[0], 3), 20 + 17 * (i % 12), np.uint8), i / fps, i)
            for i in range(count)
        ]

    return make


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ONNX file of a tiny network for any size; tracing it takes many seconds."""
    from tests.support import small

    return made_once(
        tmp_path_factory,
        "tiny-model",
        lambda folder: small.exported(
            small.trained(small.MAGNET, folder / "run"), folder / "tiny.onnx"
        ),
    )


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real browser; the test is skipped if none is installed."""
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
    """The page of the served run in the browser, after its first pictures."""
    from tests.support.tabs import pictures_drawn, wait_until

    browser.get(served.url)
    wait_until(lambda: pictures_drawn(browser) > 1)
    return browser
