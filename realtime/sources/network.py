"""Network streams: RTSP, RTMP, HTTP(S) with MJPEG, MPEG-TS or HLS, TCP, UDP and SRT.

A `NetworkSource` is one connection. It raises SourceLost when the connection breaks;
`ReconnectingSource` opens it again. The connection is read by FFmpeg, except for JPEG pictures over
HTTP. An HTTP stream without an end, such as MPEG-TS from a camera, is requested once: its kind is
found from the same answer that is then read. Files and playlists are requested again by FFmpeg.
"""

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from http.client import HTTPException, HTTPResponse
from itertools import chain
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit

from av.video.frame import VideoFrame

from rtmag.realtime.errors import SourceAbsent, SourceLost, SourceUnavailable
from rtmag.realtime.frame import Frame
from rtmag.realtime.log import logger, protect
from rtmag.realtime.media.colour import Converter
from rtmag.realtime.media.image_size import MAX_PIXELS
from rtmag.realtime.media.timestamps import StreamClock
from rtmag.realtime.rate import RateMeter
from rtmag.realtime.sources.http_client import Body, HttpClient
from rtmag.realtime.sources.network_container import (
    STILLS_PER_SECOND,
    Access,
    ContainerFeed,
    Transport,
    check_certificates,
    is_http,
)
from rtmag.realtime.sources.network_errors import (
    AUTH,
    BAD_HOST,
    ENDLESS,
    REJECTED,
    SILENT,
    TIMEOUT,
    TRANSPORT,
    TRANSPORT_REFUSED,
    Failure,
    StreamFailed,
    has_possible_host,
)
from rtmag.realtime.sources.network_jpeg import JpegFeed, is_jpeg
from rtmag.realtime.sources.source import BaseSource, scheme_of

_HEAD = 1 << 16
"""Largest number of bytes from which the kind of an HTTP stream is found."""

_PLAYLIST = b"#EXTM3U"
"""First bytes of a playlist of HLS."""

_MAX_PLAYLIST = 1 << 20
"""Bytes of the longest playlist that is opened; six hours have 0.5 MB."""

_PAUSES = (0.1, 0.5)
"""Seconds before each attempt with the other transport: cameras need a moment to end a session."""

_KEY_SECONDS = 1.0
"""Seconds of waiting for a key picture after which the user is informed."""


class Feed(Protocol):
    """Pictures of one connection."""

    stamped: bool
    """True if the pictures have timestamps of their own."""
    tick: float
    """Seconds by which the timestamps are rounded."""
    sample_aspect: Fraction | None
    """Width over height of one pixel; None if it is square or unknown."""
    paced: bool
    """True if the pictures may arrive faster than they play."""
    finite: bool
    """True if the stream has a stated end."""
    played: float
    """Seconds of video that were read; 0 if that is not known."""

    @property
    def damaged(self) -> int:
        """Number of damaged packets and pictures."""
        ...

    @property
    def interlaced(self) -> bool:
        """True if pictures were interlaced; they are deinterlaced."""
        ...

    @property
    def waits_for_key(self) -> bool:
        """True if video arrives that cannot be decoded before the next key picture."""
        ...

    def pictures(self) -> Generator[VideoFrame | None, None, None]:
        """Yield pictures, and None for data without one; raises StreamFailed when they end."""
        ...

    def is_all(self, seconds: float) -> bool:
        """True if this number of seconds is all of a finished playlist."""
        ...

    def no_picture(self) -> Failure:
        """Return the reason why no picture was decoded."""
        ...

    def close(self) -> None:
        """Free the connection; only from the thread that reads."""
        ...


@dataclass(slots=True)
class Learned:
    """Results of earlier connections to a stream, so that later ones need not try again."""

    transport: Transport = "tcp"
    """Transport of RTSP that the camera accepts."""
    stills: bool = False
    """True if the user was informed that the address gives one picture for each request."""
    interlaced: bool = False
    """True if the user was informed that the pictures are interlaced."""
    played: float = 0.0
    """Seconds of a growing playlist that were read."""


class NetworkSource(BaseSource):
    """One connection to a live stream. Read it through LatestFrames.

    Packets that cannot be decoded are skipped and counted in `damaged`. The times of the frames are
    the stream's timestamps, shifted to the monotonic clock (rtmag.realtime.media.timestamps).

    Args:
        address: address of the stream, with user and password if required.
        timeout: seconds without data after which the connection is lost.
        max_pixels: larger frames are refused before they are decoded.
        ca: PEM file of certificates that verify the server's certificate. None: the certificate is
            not verified, because most cameras use self-signed ones.
        stills_per_second: largest rate of requests, if the address gives one picture for each.
        note: called with messages for the user; None: they are logged.
        learned: shared by all connections to the stream.

    Raises:
        SourceUnavailable: the connection fails or contains no video; the message has a hint.
        SourceAbsent: the same, if a later attempt may succeed.
        OptionError: `ca` is not a file, or the address is not encrypted.
    """

    live = True

    def __init__(
        self,
        address: str,
        *,
        timeout: float = 5.0,
        max_pixels: int = MAX_PIXELS,
        ca: Path | None = None,
        stills_per_second: float = STILLS_PER_SECOND,
        note: Callable[[str], None] | None = None,
        learned: Learned | None = None,
    ) -> None:
        self.name = protect(address)
        self._address, self._timeout = address, timeout
        self._note = note or logger().info
        self._learned = learned or Learned()
        self._stop = threading.Event()
        self._claim = threading.Lock()
        """Held by the reader of the connection, or by close() if there is none."""
        self._rate = RateMeter()
        access = Access(
            address=address,
            timeout=timeout,
            max_pixels=max_pixels,
            ca=ca,
            stills_per_second=stills_per_second,
        )
        try:
            self._first = self._open(access)
        except StreamFailed as failed:
            failure = failed.failure
        else:
            self.size = (self._first.width, self._first.height)
            self.sample_aspect = self._feed.sample_aspect
            if self._feed.interlaced and not self._learned.interlaced:
                self._learned.interlaced = True
                self._say("is interlaced: its frames are deinterlaced")
            return
        error_type = SourceAbsent if failure.temporary else SourceUnavailable
        raise error_type(failure.message(address))  # outside `except`: its context has the password

    @property
    def fps(self) -> float | None:
        """Measured frames per second; None while unknown."""
        return self._rate.fps

    @property
    def damaged(self) -> int:
        """Number of damaged packets and pictures that were skipped."""
        return self._feed.damaged

    @property
    def resumes(self) -> bool:
        """False if the stream is a file: opened again, it would begin at its start."""
        return not self._feed.finite

    # ---- opening ------------------------------------------------------------------------------

    def _open(self, access: Access) -> VideoFrame:
        """Connect and return the first picture."""
        if not has_possible_host(access.address):
            raise StreamFailed(BAD_HOST)
        if is_http(access.address):
            return self._start(self._request(access))
        try:
            return self._start(ContainerFeed(replace(access, transport=self._learned.transport)))
        except StreamFailed as failed:
            refused = failed.failure
            # RTSP over TLS is not tried over UDP, which would not be encrypted.
            if refused not in (TRANSPORT_REFUSED, REJECTED) or scheme_of(access.address) != "rtsp":
                raise
        return self._open_with_other_transport(access, refused)

    def _open_with_other_transport(self, access: Access, refused: Failure) -> VideoFrame:
        """Connect to an RTSP camera that refused TCP, or refuses UDP now."""
        learned = self._learned
        other: Transport = "udp" if learned.transport == "tcp" else "tcp"
        for pause in _PAUSES:
            self._stop.wait(pause)
            try:
                first = self._start(ContainerFeed(replace(access, transport=other)))
            except StreamFailed as failed:
                again = failed.failure
            else:
                learned.transport = other
                return first
            if again is not REJECTED:
                break
        raise StreamFailed(REJECTED if refused is again is REJECTED else TRANSPORT)

    def _request(self, access: Access) -> Feed:
        """Request an HTTP address and choose how its answer is read."""
        if access.ca is not None:
            check_certificates(access.ca, scheme_of(access.address) or "")
        try:
            client = HttpClient(access.address, timeout=access.timeout, ca=access.ca)
        except (OSError, ValueError):
            return ContainerFeed(access)
        try:
            return self._answered(access, client)
        except TimeoutError:
            client.close()
            raise StreamFailed(TIMEOUT) from None
        except (OSError, HTTPException, ValueError) as error:
            client.close()
            if isinstance(error, HTTPError) and error.code in (401, 403):
                raise StreamFailed(AUTH) from None  # another attempt might lock the user out
            return ContainerFeed(access)  # FFmpeg finds the reason, or can read it all the same
        except BaseException:
            client.close()
            raise

    def _answered(self, access: Access, client: HttpClient) -> Feed:
        """Request an HTTP address and choose how its answer is read; closes the client later."""
        response = client.get()
        head = response.read1(_HEAD)
        if is_jpeg(response, head):
            return JpegFeed(access, client, response, head, self._stop, self._say_stills)
        access = replace(access, indexed=head[4:8] == b"ftyp" and not _sends_parts(response))
        if head.startswith(_PLAYLIST):
            _read_playlist(response, time.monotonic() + access.timeout)
        elif response.length is None:
            body = Body(client, response, head, time.monotonic() + 2 * access.timeout)
            feed = ContainerFeed(replace(access, body=body))
            body.deadline = math.inf
            return feed
        client.close()
        return ContainerFeed(replace(access, address=_verified_address(access, response)))

    def _start(self, feed: Feed) -> VideoFrame:
        """Return the first picture; raises StreamFailed if none comes in twice the timeout.

        While video arrives, its next key picture is waited for without a limit.
        """
        self._feed, self._pictures = feed, feed.pictures()
        begun = time.monotonic()
        deadline, said = begun + 2 * self._timeout, False
        try:
            for picture in self._pictures:
                now = time.monotonic()
                if picture is not None:
                    return picture
                if feed.waits_for_key:
                    deadline = now + 2 * self._timeout
                    if not said and now - begun > _KEY_SECONDS:
                        said = True
                        self._say("sends video; waiting for a key picture")
                if self._stop.is_set() or now > deadline:
                    break
            raise StreamFailed(feed.no_picture())
        except BaseException:
            self._free()
            raise

    def _say_stills(self, message: str) -> None:
        if not self._learned.stills:
            self._say(message)
        self._learned.stills = True

    def _say(self, message: str) -> None:
        self._note(f"{self.name} {message}")

    # ---- reading ------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames as they arrive, once; raises SourceLost when the connection breaks."""
        if not self._claim.acquire(blocking=False):
            return
        try:
            yield from self._frames()
        except StreamFailed as failed:
            failure = failed.failure
            if self._feed.paced and not self._feed.finite:  # a growing playlist
                self._learned.played += self._feed.played
        else:
            return
        finally:
            # Closed here, because another thread must not close it while this one reads.
            self._free()
        raise SourceLost(failure.message(self._address))

    def _frames(self) -> Iterator[Frame]:
        feed, converter = self._feed, Converter()
        if self._learned.played and feed.is_all(self._learned.played):
            return  # the playlist was finished while it was read, so there is no more
        clock = StreamClock(stamped=feed.stamped)
        layout, changes, index = _layout(self._first), 0, 0
        arrival = time.monotonic()
        for picture in chain([self._first], self._pictures):
            if self._stop.is_set():
                return
            if picture is None:
                if time.monotonic() - arrival > self._timeout:  # only sound arrives, for example
                    raise StreamFailed(SILENT)
                continue
            stamp = picture.time
            if feed.paced:
                self._stop.wait(clock.early_by(stamp, time.monotonic()))
            arrival = time.monotonic()
            frame_time = clock.read(stamp, arrival)
            self._rate.add(frame_time, tick=feed.tick)
            if _layout(picture) != layout:  # for example grey pictures at night
                layout, changes = _layout(picture), changes + 1
            epoch = clock.epoch + changes
            yield Frame(converter.to_bgr(picture), frame_time, index, epoch, feed.tick)
            index += 1

    def _free(self) -> None:
        # The generator and this object refer to each other; this frees the decoder immediately.
        self._pictures.close()
        self._feed.close()

    def close(self) -> None:
        """End the iteration; the reading thread frees the connection within the timeout."""
        self._stop.set()
        if self._claim.acquire(blocking=False):
            self._free()


def _layout(picture: VideoFrame) -> tuple[int, int, str]:
    """Return size and pixel format; a new epoch begins when one of them changes."""
    return picture.width, picture.height, picture.format.name


def _sends_parts(response: HTTPResponse) -> bool:
    """True if a server can send parts of a file."""
    return response.headers.get("Accept-Ranges", "none").lower() != "none"


def _read_playlist(response: HTTPResponse, deadline: float) -> None:
    """Read a playlist to its end; raises StreamFailed if it has none and would fill the memory."""
    size = 0
    while data := response.read1(_HEAD):
        size += len(data)
        if size > _MAX_PLAYLIST or time.monotonic() > deadline:
            raise StreamFailed(ENDLESS)


def _verified_address(access: Access, response: HTTPResponse) -> str:
    """Return the address to which a verified server redirects; FFmpeg does not follow it then."""
    asked, answered = urlsplit(access.address), urlsplit(response.url)
    user, at, host = asked.netloc.rpartition("@")
    if access.ca is None:
        return access.address
    same = answered.netloc == host
    return urlunsplit(answered._replace(netloc=user + at + host) if same else answered)
