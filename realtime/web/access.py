"""Access control of the web server, for every HTTP request and every WebSocket.

A page of another site must neither control the magnifier nor see its picture. Three rules:

    Host      must name this machine (blocks DNS rebinding)
    Origin    must be this server if the header is present; a request that changes something
              needs this header or the token (blocks cross-site requests)
    token     is required unless the server listens on loopback; the first request has it in its
              address, later ones in a cookie

Strangers send these headers too, so they are short, and the work grows no faster than their length.
"""

import hmac
import ipaddress
import re
import socket
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtmag.realtime.errors import OptionError

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Connection": "close",  # kept-alive connections would take up the limited number of them
}
"""Headers of every HTTP response."""

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)

_TOKEN = re.compile(r"[\w.~-]{16,}", re.ASCII)
"""Tokens: too long to guess, without characters that need quoting in an address or a cookie."""

MAX_HEADER = 8192
"""Largest size of a request's address and headers in bytes."""

_YEAR = 365 * 24 * 3600  # seconds


def checked_token(token: str) -> str:
    """Return the token unchanged.

    Raises:
        OptionError: the token is too short, or has a character that needs quoting in an address.
    """
    if not _TOKEN.fullmatch(token):
        raise OptionError(
            "a token needs 16 or more characters, all of them letters, digits or one of - . _ ~; "
            f"got {len(token)} characters"
        )
    return token


class AccessControl:
    """ASGI application that passes permitted requests on to another one and refuses the rest.

    Refusals are JSON, `{"error": reason}`: 400 for a foreign Host, 403 for a foreign or missing
    Origin, 401 for a missing or wrong token, 431 for headers that are too long.

    Args:
        app: the protected application.
        address: IP address that the server listens on.
        name: the `--host` option, which may be a host name.
        port: part of the cookie's name, as cookies are shared between the ports of a machine.
        token: the secret.
        lasting: True if the token is the same after a restart. Browsers then keep the cookie for
            a year, else until they are closed.
    """

    def __init__(
        self, app: ASGIApp, *, address: str, name: str, port: int, token: str, lasting: bool = False
    ) -> None:
        self._app = app
        self._token = token
        self._cookie = f"rtmag-{port}"
        self._cookie_age = f"; Max-Age={_YEAR}" if lasting else ""
        self.local = ipaddress.ip_address(address).is_loopback
        """True if only this machine can reach the server; the page then needs no token."""
        self._names = {"localhost"}
        if not self.local:
            hostname = socket.gethostname().lower()
            self._names |= {name.lower(), hostname, f"{hostname}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on and add `HEADERS` and the cookie to the response."""
        if _header_size(scope) > MAX_HEADER:
            reason = f"the headers exceed {MAX_HEADER} bytes: delete this server's cookies"
            await _refuse(431, reason)(scope, receive, send)
            return
        headers = Headers(scope=scope)
        presented = _presented_token(scope, headers)
        stored = _cookies(headers.get("cookie", ""), self._cookie)
        trusted = self._is_token(presented) or any(map(self._is_token, stored))
        refusal = self._refusal(scope, headers, trusted=trusted)
        if refusal is not None:
            await _refuse(*refusal)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                response = MutableHeaders(scope=message)
                response.update(HEADERS)
                if self._is_token(presented):
                    cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
                    response.append("Set-Cookie", cookie + self._cookie_age)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers, *, trusted: bool) -> tuple[int, str] | None:
        """Status and reason if the request is refused, else None."""
        host = headers.get("host", "")
        if not self._names_this_machine(host):
            return 400, "unknown host name: open the address that rtmag printed"
        origin = headers.get("origin")
        writes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, "requests of other sites are refused"
        if writes and origin is None and not trusted:
            return 403, "a request without an Origin header needs the token"
        if not self.local and not trusted:
            return 401, "the token is missing or wrong: open the address that rtmag printed"
        return None

    def _names_this_machine(self, host: str) -> bool:
        """True if a Host header names this machine.

        DNS rebinding needs a host name, so any IP address is accepted if the server listens beyond
        loopback.
        """
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return address.is_loopback or not self.local

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())


def _refuse(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": reason}, status, headers=HEADERS)


def _header_size(scope: Scope) -> int:
    """Size of the address and the headers of a request in bytes."""
    fields = sum(len(name) + len(value) for name, value in scope["headers"])
    return fields + len(scope["raw_path"]) + len(scope["query_string"])


def _presented_token(scope: Scope, headers: Headers) -> str:
    """The token of the address, else that of `Authorization: Bearer TOKEN`; empty if none."""
    query = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return query or (bearer if scheme.lower() == "bearer" else "")


def _cookies(header: str, name: str) -> list[str]:
    """The values of all cookies of this name.

    `http.cookies` is not used: before Python 3.11.10 and 3.12.6, its time grows with the square of
    the length (CVE-2024-7592), and a malformed cookie of another program hides the rest.
    """
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return [value for key, _, value in pairs if key == name]
