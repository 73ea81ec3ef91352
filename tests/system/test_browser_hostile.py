"""The page in a real browser, against other sites, hostile names and DNS rebinding."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("selenium")
pytest.importorskip("uvicorn")

from selenium.webdriver.common.by import By

from tests.support.pages import ServedRun, serve
from tests.support.tabs import Browser, find, pictures_drawn, wait_until


def test_a_source_name_is_shown_as_text(browser: Browser, tmp_path: Path) -> None:
    """W12, in the page."""
    markup = "<img src=x onerror=document.title='owned'>"
    name = markup + "\x1b[2J\n\u202e\udcff"
    visible = markup + "\\u001b[2J\\u000a\\u202e\\udcff"
    recording = tmp_path / "<b>x<b>\u202e4pm.mp4"
    recording.write_bytes(b"video")
    with serve(tmp_path, name=name) as served:
        served.view.offer(recording)
        browser.get(served.url)
        wait_until(lambda: find(browser, "#source").text == visible)
        wait_until(lambda: find(browser, "#recordings a").text == "<b>x<b>\\u202e4pm.mp4")
        assert not browser.find_elements(By.CSS_SELECTOR, "#source img")
        assert "owned" not in browser.title.replace(visible, "")
        script = "fetch('http://192.0.2.1/').then(() => 'open', () => 'shut')"
        assert browser.execute_script(f"return {script}") == "shut"
        assert any("Content Security Policy" in e["message"] for e in browser.get_log("browser"))


def test_beyond_this_machine_the_token_opens_the_page(browser: Browser, tmp_path: Path) -> None:
    with serve(tmp_path, host="0.0.0.0") as served:
        browser.get(served.url)
        assert "token" in find(browser, "body").text
        browser.get(f"{served.url}/?token={served.view.server.token}")
        wait_until(lambda: pictures_drawn(browser) > 1)
        assert "token" not in browser.current_url
        browser.get(served.url)  # the cookie is enough now
        wait_until(lambda: pictures_drawn(browser) > 1)
    browser.get_log("browser")


HOSTILE = """<!doctype html><title>hostile</title><script>
const target = "TARGET", results = {};
const loads = (tag, key, path) => new Promise((done) => {
  const element = document.createElement(tag);
  element.onload = () => done("loaded");
  element.onerror = () => done("refused");
  element[key] = target + path;
  document.head.append(element);
});
const reads = async (path, options) => {
  try {
    return (await (await fetch(target + path, options)).text()) ? "read" : "empty";
  } catch { return "refused"; }
};
const socket = new Promise((done) => {
  const connection = new WebSocket(target.replace("http", "ws") + "ws");
  connection.onopen = () => { connection.send('{"set": {"alpha": 999}}'); done("opened"); };
  connection.onerror = () => done("refused");
});
const frame = new Promise((done) => {
  const element = document.createElement("iframe");
  element.onload = () => done(element.contentDocument ? "read" : "refused");
  element.src = target;
  document.documentElement.append(element);
});
(async () => {
  results.socket = await socket;
  results.read = await reads("metrics");
  results.credentials = await reads("healthz", { credentials: "include" });
  results.blind = await reads("", { mode: "no-cors", credentials: "include" });
  results.post = await reads("", { method: "POST", mode: "no-cors", body: "{}" });
  results.image = await loads("img", "src", "icon.svg");
  results.script = await loads("script", "src", "app.js");
  results.frame = await frame;
  document.body.textContent = JSON.stringify(results);
})();
</script><body></body>"""


@contextmanager
def hostile(target: str) -> Iterator[str]:
    """Serve a page of another site that tries all ways to reach the target."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(HOSTILE.replace("TARGET", target).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_page_of_another_site_is_refused(browser: Browser, tmp_path: Path, host: str) -> None:
    """W03, in a browser that has the cookie of our page."""
    with serve(tmp_path, host=host) as served, hostile(f"{served.url}/") as address:
        browser.get(f"{served.url}/?token={served.view.server.token}")
        wait_until(lambda: pictures_drawn(browser) > 1)
        browser.get(address)
        wait_until(lambda: find(browser, "body").text.startswith("{"))
        results = json.loads(find(browser, "body").text)
        assert set(results.values()) <= {"refused", "empty"}, results
        browser.switch_to.frame(find(browser, "iframe"))
        assert not browser.find_elements(By.CSS_SELECTOR, "#picture")
        browser.switch_to.default_content()
        assert served.controls.alpha == 20
    browser.get_log("browser")


def test_a_host_name_rebound_to_this_machine_is_refused(
    browser: Browser, served: ServedRun
) -> None:
    """W02, with a foreign host name that resolves to this machine."""
    browser.get(f"http://rebound.example:{served.port}/")
    assert "unknown host name" in find(browser, "body").text
    browser.get_log("browser")


def test_the_page_shows_why_it_is_refused(browser: Browser, tmp_path: Path) -> None:
    with serve(tmp_path, max_viewers=1) as served, served.connect():
        browser.get(served.url)
        wait_until(lambda: "The limit of viewers is reached" in find(browser, "#cover-text").text)
    with serve(tmp_path, host="0.0.0.0") as served:
        port = served.port
        browser.get(f"{served.url}/?token={served.view.server.token}")
        wait_until(lambda: pictures_drawn(browser) > 1)
    with serve(tmp_path, host="0.0.0.0", port=port):  # this run has another token
        wait_until(lambda: "the token is missing or wrong" in find(browser, "#cover-text").text)
    browser.get_log("browser")
