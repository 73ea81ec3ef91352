"""Who may speak to the server: every route and every WebSocket passes here first.

A page of another site must not steer the magnifier of whoever visits it, nor see the picture:

    Host      names this machine, whatever a name server of theirs makes of their own name
    Origin    where one is sent, is this page's own; scripts that send none need the token
    token     is demanded of all beyond loopback: once in the address, then as a cookie
"""

import hmac
import ipaddress
import re
import socket
from http.cookies import CookieError, SimpleCookie
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
    "Connection": "close",  # a connection that idles is one that somebody else may want
}

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)

_TOKEN = re.compile(r"[\w.~-]{16,}", re.ASCII)
"""Long enough not to be guessed, and the same in an address and in a cookie."""

_YEAR = 365 * 24 * 3600  # seconds


def checked_token(token: str) -> str:
    """The same token; raises OptionError where it could be guessed or does not fit an address."""
    if not _TOKEN.fullmatch(token):
        raise OptionError(
            "a token needs 16 or more characters, all of them letters, digits or one of - . _ ~; "
            f"got {len(token)} characters"
        )
    return token


class AccessControl:
    """An ASGI application that lets through what is allowed to the one behind it.

    Args:
        app: what is guarded.
        address: the IP address that the server listens on.
        name: what the person called it, where that is a name.
        port: tells apart the cookies of several servers on one machine.
        token: the secret.
        lasting: whether the token will be the same tomorrow; then browsers keep it.
    """

    def __init__(
        self, app: ASGIApp, *, address: str, name: str, port: int, token: str, lasting: bool = False
    ) -> None:
        self._app = app
        self._token = token
        self._cookie = f"rtmag-{port}"
        self._kept = f"; Max-Age={_YEAR}" if lasting else ""
        self.local = ipaddress.ip_address(address).is_loopback
        """Whether only this machine can reach the server; then the page needs no token."""
        self._names = {"localhost"}
        if not self.local:
            own = socket.gethostname().lower()
            self._names |= {name.lower(), own, f"{own}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refusal, or pass on with this module's headers on the way back."""
        headers = Headers(scope=scope)
        shown, kept = self._tokens(scope, headers)
        trusted = self._is_token(shown) or self._is_token(kept)
        refusal = self._refusal(scope, headers, trusted=trusted)
        if refusal is not None:
            status, words = refusal
            await JSONResponse({"error": words}, status, headers=HEADERS)(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                given.update(HEADERS)
                if self._is_token(shown):
                    cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
                    cookie += self._kept
                    given.append("Set-Cookie", cookie)
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers, *, trusted: bool) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 400, "this server goes by another name"
        origin = headers.get("origin")
        steers = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, "not from another site"
        if steers and origin is None and not trusted:
            return 403, "without an origin this needs the token"
        if not self.local and not trusted:
            return 401, "open the address that rtmag printed: it ends in a token"
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this machine: numbers cannot be rebound, names can."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return address.is_loopback or not self.local

    def _tokens(self, scope: Scope, headers: Headers) -> tuple[str, str]:
        """The token in the address or the Authorization header, and the one in the cookie."""
        query = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            cookie = None
        return query or bearer, cookie.value if cookie else ""

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())
