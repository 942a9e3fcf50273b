"""Who may use the server: the token, the Host and Origin of requests, and headers of answers."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Paths that need no token: the page's own script and style, which hold nothing of anybody.
_PUBLIC = "/static/"
#: The path to which songs are uploaded, which limits them by itself.
UPLOADS = "/api/songs"
_LARGEST = 1_000_000  # bytes of another request
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'"
        " blob: data:; connect-src 'self'; media-src 'self' blob:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def new_token() -> str:
    """A random token for a server's URL."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Access:
    """The rules of one server: its token, and the address that it was bound to."""

    token: str
    host: str = "127.0.0.1"
    names: frozenset[str] = field(default_factory=lambda: frozenset({"localhost"}))
    """Host names besides addresses; a page of somebody else's name must not reach the server by
    having that name resolve to it (DNS rebinding)."""

    @classmethod
    def of(cls, token: str, host: str) -> Access:
        """The rules of a server that is bound to ``host``."""
        names = {"localhost", host}
        if not is_loopback(host):
            names |= {socket.gethostname(), socket.getfqdn()}
        return cls(token, host, frozenset(name.lower() for name in names))

    def knows_host(self, host: str) -> bool:
        """Whether a request's Host header names this server."""
        name = _host_name(host)
        if name is None:
            return False
        if name in self.names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # An address cannot be rebound; on a loopback server only those of this computer reach it.
        return address.is_loopback or not is_loopback(self.host)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason for which a request is refused; ``None`` where it is not."""
        headers = {name.decode("latin-1"): text.decode("latin-1") for name, text in _headers(scope)}
        host = headers.get("host", "")
        if not self.knows_host(host):
            return 421, "this server is not known by that name; use the address that it printed"
        origin = headers.get("origin")
        if origin is not None and _place(origin) != host.lower():
            return 403, "requests of other pages are refused"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            # A link from elsewhere may open the page, which then needs the token all the same.
            page = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
            if not page:
                return 403, "requests of other pages are refused"
        if scope["path"].startswith(_PUBLIC):
            return None
        if not hmac.compare_digest(_given(scope, headers).encode(), self.token.encode()):
            return 401, "the token is missing or wrong; use the address that the server printed"
        return None


class Guard:
    """ASGI middleware that refuses what `Access` refuses, and adds headers to all answers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # there are no web sockets

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = dict(message.get("headers", []))
                for name, text in _HEADERS.items():
                    own.setdefault(name.lower().encode(), text.encode())
                own.setdefault(b"cache-control", b"no-store")
                message = {**message, "headers": list(own.items())}
            await send(message)

        refusal = self._access.refusal(scope) or _too_large(scope)
        if refusal is None:
            await self._app(scope, receive, answer)
            return
        from starlette.responses import JSONResponse, PlainTextResponse, Response

        status, reason = refusal
        refused: Response = JSONResponse({"detail": reason}, status)
        if not scope["path"].startswith("/api/"):  # somebody reads it
            refused = PlainTextResponse(f"{reason}\n", status)
        await refused(scope, receive, answer)


def _too_large(scope: Scope) -> tuple[int, str] | None:
    """Refusal of a body that is larger than any request but an upload has, or of unknown length."""
    if scope["path"] == UPLOADS or scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return None
    headers = dict(_headers(scope))
    if b"transfer-encoding" in headers:
        return 411, "a request needs its Content-Length"
    length = headers.get(b"content-length", b"0")
    if not length.isdigit() or int(length) > _LARGEST:
        return 413, "the request is too large"
    return None


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this computer alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = scope["headers"]
    return found


def _host_name(host: str) -> str | None:
    """The name in a Host header, without its port; ``None`` for what is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _place(origin: str) -> str | None:
    """Host and port of an Origin header; ``None`` for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _given(scope: Scope, headers: dict[str, str]) -> str:
    """The token of a request: ``Authorization: Bearer TOKEN``, or ``?token=TOKEN``."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    query: dict[str, list[str]] = parse_qs(scope["query_string"].decode("latin-1"))
    return query.get("token", [""])[0]
