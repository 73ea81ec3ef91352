"""Downloads from the web page: finished recordings and the measurement.

A browser asks for a number and never sends a path. Only a recording that this run finished has a
number, and only as long as its file is the one that was recorded. A measurement is made when it is
asked for.
"""

import asyncio
import io
import os
import stat
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from rtmag.realtime.errors import MissingExtra, requires_extra
from rtmag.realtime.report.contents import ReportContents
from rtmag.realtime.report.data import write_csv

ABORT = "rtmag.abort"
"""Key of a function that aborts a connection at once: in the ASGI scope's state for HTTP, and in
its extensions for a WebSocket."""

SEND_TIMEOUT = 10.0
"""Seconds in which a message must be sent; a slower reader is disconnected."""

_MOST = 100  # recordings that are listed; older ones stay on the disk


class Downloads:
    """The finished recordings of a run, by number. It may be used from any thread."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[Path, os.stat_result]] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()

    def add(self, path: Path) -> None:
        """Offer a finished recording. The oldest one is withdrawn if there are more than 100."""
        path = path.absolute()
        try:
            recorded = path.lstat()
        except OSError:  # it was moved already
            return
        with self._lock:
            self._files[str(next(self._numbers))] = path, recorded
            while len(self._files) > _MOST:
                del self._files[next(iter(self._files))]

    def listed(self) -> list[dict[str, Any]]:
        """The recordings as JSON values, oldest first: `number`, `name`, and `size` in bytes."""
        with self._lock:
            return [
                {"number": number, "name": _name(path), "size": recorded.st_size}
                for number, (path, recorded) in self._files.items()
            ]

    def response(self, number: str) -> Response | None:
        """The file as an attachment; None if it is unknown, moved or replaced."""
        with self._lock:
            path, recorded = self._files.get(number, (None, None))
        if path is None or recorded is None:
            return None
        try:
            found = path.lstat()
        except OSError:
            return None
        same = os.path.samestat(found, recorded) and found.st_size == recorded.st_size
        if not (same and stat.S_ISREG(found.st_mode)):
            return None
        return _Download(path, filename=_name(path), stat_result=found)


def _name(path: Path) -> str:
    """Name of a file; bytes that are not Unicode are replaced, as headers cannot contain them."""
    return path.name.encode("utf-8", "replace").decode()


class _Download(FileResponse):
    """A file, in parts if the browser asks for them; a reader that accepts none is disconnected."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            try:
                await asyncio.wait_for(send(message), SEND_TIMEOUT)
            except TimeoutError:
                scope["state"][ABORT]()

        await super().__call__(scope, receive, send_in_time)


class MeasurementFiles:
    """The present measurement as files, one at a time, since a report takes seconds.

    Args:
        contents: returns the measurement; None while there is none. Called on a server thread.
    """

    def __init__(self, contents: Callable[[], ReportContents | None]) -> None:
        self._contents = contents
        self._busy = threading.Lock()

    def response(self, kind: str) -> Response:
        """Return the measurement as an attachment, or the reason why there is none.

        Args:
            kind: csv or html.
        """
        if not self._busy.acquire(blocking=False):
            return _refusal(503, "another file is being made: try again in a moment")
        try:
            contents = self._contents()
            if contents is None:
                return _refusal(404, "nothing was measured yet: open the motion panel first")
            text = _as_csv(contents) if kind == "csv" else _as_page(contents)
        except MissingExtra as error:
            return _refusal(501, str(error))
        finally:
            self._busy.release()
        name = f"rtmag-measurement-{contents.made:%Y-%m-%dT%H%M%S}.{kind}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(text, media_type=f"text/{kind}", headers=headers)


def _refusal(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status)


def _as_csv(contents: ReportContents) -> str:
    file = io.StringIO()
    write_csv(contents, file)
    return file.getvalue()


def _as_page(contents: ReportContents) -> str:
    with requires_extra("a report", "plot"):
        from rtmag.realtime.report.page import as_html
    return as_html(contents)
