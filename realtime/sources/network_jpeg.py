"""Reading of JPEG pictures over HTTP: MJPEG streams, and addresses that give one picture a request.

Cameras disagree about the boundaries, the types and the lengths of the parts of an MJPEG stream.
They are ignored: each picture begins and ends with marks of its own (ITU-T T.81, annex B).
"""

import io
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from fractions import Fraction
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError

import av
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from rtmag.realtime.errors import SourceUnavailable
from rtmag.realtime.log import protect
from rtmag.realtime.media.image_size import image_size, too_large
from rtmag.realtime.sources.http_client import HttpClient
from rtmag.realtime.sources.network_container import Access
from rtmag.realtime.sources.network_errors import (
    ENDED,
    NO_VIDEO,
    UNDECODABLE,
    Failure,
    StreamFailed,
    classify,
)
from rtmag.realtime.sources.retry import Backoff, RetryPolicy

_REPEAT_SECONDS = 1.0
"""Seconds after which an unchanged still picture is passed on again: the camera still answers."""

_START = b"\xff\xd8\xff"
"""First bytes of a JPEG picture."""

_MARK = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)
"""A mark other than those within the data of a picture."""

_START_MARK, _END_MARK = 0xD8, 0xD9

_MAX_BYTES = 1 << 25
"""Size of a picture above which it is dropped."""

_CHUNK = 1 << 16
"""Bytes to read at a time."""


class JpegSplitter:
    """Finds the JPEG pictures in a stream of bytes; everything between them is dropped."""

    def __init__(self) -> None:
        self.dropped = 0
        """Number of pictures that were too long."""
        self._buffer = bytearray()
        self._position = 0
        """Position in the picture that was searched so far; 0 before its start."""

    def push(self, data: bytes) -> Iterator[bytes]:
        """Yield the pictures that are complete after more data."""
        self._buffer += data
        while (end := self._end()) is not None:
            picture = bytes(memoryview(self._buffer)[:end])
            del self._buffer[:end]
            self._position = 0
            yield picture
        if len(self._buffer) > _MAX_BYTES:
            self._buffer.clear()
            self._position = 0
            self.dropped += 1

    def _end(self) -> int | None:
        """Return the length of the picture at the start of the buffer; None if it is incomplete."""
        buffer = self._buffer
        if not self._position:
            start = buffer.find(_START)
            del buffer[: start if start >= 0 else max(len(buffer) - 2, 0)]
            if start < 0:
                return None
            self._position = 2
        while (mark := _MARK.search(buffer, self._position)) is not None:
            at = mark.start()
            if buffer[at + 1] == _END_MARK:
                return at + 2
            if buffer[at + 1] == _START_MARK:  # the end of the picture is missing
                return at
            if len(buffer) < at + 4:
                self._position = at
                return None
            self._position = at + 2 + int.from_bytes(buffer[at + 2 : at + 4])  # skip the segment
        self._position = max(self._position, len(buffer) - 1)
        return None


def is_jpeg(response: HTTPResponse, head: bytes) -> bool:
    """True if an answer consists of JPEG pictures, by its type or its first bytes."""
    kind = response.headers.get_content_type()
    parts = head.lstrip().lower()
    return (
        kind.startswith("multipart/")
        or kind in ("image/jpeg", "image/jpg", "image/pjpeg")
        or parts.startswith((_START, b"--", b"content-"))
    )


class JpegFeed:
    """Pictures of one MJPEG stream, or of an address that gives one picture for each request.

    Args:
        access: the address.
        client: requests the address again.
        response: first answer.
        head: bytes that were already read from it.
        stop: ends the waiting between two requests.
        note: called with a message if the address gives one picture for each request.
    """

    stamped = paced = finite = waits_for_key = interlaced = False
    played = 0.0
    tick = 0.0
    sample_aspect: Fraction | None = None

    def __init__(
        self,
        access: Access,
        client: HttpClient,
        response: HTTPResponse,
        head: bytes,
        stop: threading.Event,
        note: Callable[[str], None],
    ) -> None:
        self._access, self._client, self._response, self._head = access, client, response, head
        self._stop, self._note = stop, note
        self._multipart = response.headers.get_content_maintype() == "multipart"
        self._undecodable = 0
        self._splitter = JpegSplitter()
        self._decoder = CodecContext.create("mjpeg", "r")
        assert isinstance(self._decoder, VideoCodecContext)
        self._decoder.thread_count = 1  # several threads would delay the output

    @property
    def damaged(self) -> int:
        """Number of pictures that could not be decoded."""
        return self._undecodable + self._splitter.dropped

    def is_all(self, seconds: float) -> bool:
        """Return False: these streams are not playlists."""
        return False

    def no_picture(self) -> Failure:
        """Return the reason why no picture was decoded."""
        return UNDECODABLE if self.damaged else NO_VIDEO

    def pictures(self) -> Generator[VideoFrame | None, None, None]:
        """Yield pictures, and None for data without one; raises StreamFailed at the end."""
        count, last = 0, b""
        for picture in self._read(self._head):
            if picture is not None:
                count, last = count + 1, picture
            yield None if picture is None else self._decode(picture)
        if self._multipart or count != 1:
            raise StreamFailed(ENDED)
        rate = self._access.stills_per_second
        self._note(f"gives one picture for each request; it is requested {rate:g} times a second")
        yield from self._stills(last)

    def _stills(self, last: bytes) -> Iterator[VideoFrame | None]:
        """Request the address again and again and yield its picture, if it is a new one.

        Failed requests are repeated with growing delays; raises StreamFailed after the timeout.
        """
        interval, backoff = 1 / self._access.stills_per_second, Backoff(RetryPolicy())
        repeat_after = min(_REPEAT_SECONDS, self._access.timeout / 4)
        shown_at = answered_at = time.monotonic()
        due = shown_at + interval
        while not self._stop.wait(max(due - time.monotonic(), 0)):
            due = time.monotonic() + interval
            try:
                for picture in self._requested():
                    backoff.reset()
                    answered_at = time.monotonic()
                    if picture == last and answered_at - shown_at < repeat_after:
                        yield None
                        continue
                    last, shown_at = picture, answered_at
                    yield self._decode(picture)
                yield None
            except StreamFailed:
                if time.monotonic() - answered_at > self._access.timeout:
                    raise
                due = time.monotonic() + backoff.delay(0)
                yield None

    def _requested(self) -> Iterator[bytes]:
        """Request the address and yield the pictures of the answer."""
        try:
            self._response = self._client.get()
        except HTTPError as error:
            raise StreamFailed(_refused(error.code)) from None
        except (OSError, HTTPException, ValueError) as error:
            raise StreamFailed(classify(error, self._access.address)) from None
        yield from (picture for picture in self._read(b"") if picture is not None)

    def _read(self, head: bytes) -> Iterator[bytes | None]:
        """Yield the pictures of the present answer, and None for data without one."""
        data = head
        while not self._stop.is_set():
            pictures: list[bytes | None] = [*self._splitter.push(data)]
            yield from pictures or [None]
            try:
                data = self._response.read1(_CHUNK)
            except (OSError, HTTPException, ValueError) as error:
                raise StreamFailed(classify(error, self._access.address)) from None
            if not data:
                return

    def _decode(self, data: bytes) -> VideoFrame | None:
        size = image_size(io.BytesIO(data))
        refusal = None if size is None else too_large(*size, self._access.max_pixels)
        if refusal is not None:
            raise SourceUnavailable(f"cannot open {protect(self._access.address)!r}: {refusal}")
        assert isinstance(self._decoder, VideoCodecContext)
        with suppress(av.FFmpegError, OSError, ValueError):
            pictures = self._decoder.decode(Packet(data))
            if size is not None and pictures:
                return pictures[0]
        self._undecodable += 1
        return None

    def close(self) -> None:
        """Free the connection; only from the thread that reads."""
        self._client.close()


def _refused(status: int) -> Failure:
    """Return the failure of a request that was answered with an error."""
    return Failure("E-LOST", f"answered with status {status}", "check the server", temporary=True)
