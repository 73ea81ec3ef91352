"""The page: no request, no script, nothing from outside that is not escaped."""

import re
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from rtmag.realtime.analysis.measurement import RegionMotion
from rtmag.realtime.opencv import cv2
from tests.support.measured import SIZE, report, swaying

pytest.importorskip("matplotlib")

from rtmag.realtime.report.page import as_html, write_page

HOSTILE = "<script>alert(1)</script>&\"'\x1b[2J"


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_has_the_picture_the_regions_the_tables_and_the_plots() -> None:
    contents = report([swaying("a", 0.3), swaying("b", 0.2, 90)], settings={"band": "1-5 Hz"})
    page = Page(as_html(contents))
    assert [box["x"] for box in page.named("rect")] == ["8"] * 4  # each with a dark edge
    assert page.named("svg")[0]["viewbox"] == "0 0 64 48"
    url = page.named("image")[0]["href"]
    assert url is not None
    coded = np.frombuffer(b64decode(url.removeprefix("data:image/jpeg;base64,")), np.uint8)
    assert np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)).shape == (SIZE[1], SIZE[0], 3)
    assert [each["class"] for each in page.named("img")] == ["waveform", "spectrum", "orbit"] * 2
    for words in (contents.summary, "1-5 Hz", *contents.caveats, contents.links[0].phase_text):
        assert words in page.text


def test_nothing_is_requested_and_nothing_runs() -> None:
    text = as_html(report())
    page = Page(text)
    policy = page.named("meta")[1]["content"] or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert page.named("script") == page.named("link") == page.named("iframe") == []
    for _, attributes in page.tags:
        assert "style" not in attributes  # the policy forbids it
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:image/").startswith("data:image/")
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_text_from_outside_is_escaped() -> None:
    region = swaying(HOSTILE)
    contents = report(
        [
            region,
            RegionMotion("b", region.box, region.times, region.displacement, region.deviation),
        ],
        source=HOSTILE,
        notes=[HOSTILE, "rtsp://admin:secret12@10.0.0.1/live failed"],
        settings={HOSTILE: HOSTILE},
    )
    text = as_html(contents)
    assert "<script" not in text
    assert "\x1b" not in text
    assert "secret12" not in text
    page = Page(text)
    assert page.named("script") == []
    assert page.text.count("<script>alert(1)</script>&\"'\\x1b[2J") >= 8


def test_a_large_picture_is_reduced_and_keeps_its_regions(tmp_path: Path) -> None:
    contents = report([swaying()])
    object.__setattr__(contents, "image", np.zeros((1000, 4000, 3), np.uint8))
    write_page(contents, tmp_path / "a.html")
    page = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    url = page.named("image")[0]["href"] or ""
    coded = np.frombuffer(b64decode(url.partition(",")[2]), np.uint8)
    assert np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)).shape == (400, 1600, 3)
