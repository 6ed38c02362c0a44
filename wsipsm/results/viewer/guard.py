"""Who may ask: only a browser that was given the link, under a name of this machine, from the page itself."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import socket
from contextlib import suppress

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_NO_TOKEN = (
    "This page needs the link that `wsipsm view` printed: open that one.\n"
    "To come back to a place, add the part of this address that begins with # to it.\n"
)


class Guard:
    """ASGI middleware: checks Host, token and origin, and adds the headers of a page that loads nothing from elsewhere.

    The token comes once in the link; the answer is a redirection without it, and a cookie.

    Parameters
    ----------
    app : ASGI application
    token : str
        Secret of this server.
    host : str
        Address that the server listens on. Other than on the loopback, any address in numbers is accepted as Host too:
        a page elsewhere can point a name of its own at this machine, but no number.
    """

    def __init__(self, app: ASGIApp, *, token: str, host: str = "127.0.0.1") -> None:
        self._app, self._token = app, token
        self._cookie = f"wsipsm-{hashlib.sha256(token.encode()).hexdigest()[:8]}"
        self._names = {*LOOPBACK, host.lower()}
        self._any_number = host not in LOOPBACK
        if self._any_number:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"expected a request by HTTP, got {scope['type']}")
        answer = self._refusal(Request(scope)) or self._app
        await answer(scope, receive, _with_headers(send))

    def _refusal(self, request: Request) -> Response | None:
        if not self._is_ours(request.headers.get("host", "")):
            return PlainTextResponse("Another host than this server's was asked for.\n", 421)
        if self._is_token(request.query_params.get("token", "")):
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="lax")
            return answer
        if not self._is_token(request.cookies.get(self._cookie, "")):
            return PlainTextResponse(_NO_TOKEN, 403)
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return PlainTextResponse("Only the page itself may ask this.\n", 403)
        return None

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self._token.encode())

    def _is_ours(self, host: str) -> bool:
        name = _name_of(host)
        if name in self._names:
            return True
        with suppress(ValueError):
            return self._any_number and bool(ipaddress.ip_address(name))
        return False


def _name_of(host: str) -> str:
    """Name in a Host header, without the port.

    Examples
    --------
    >>> _name_of("LOCALHOST:8000"), _name_of("[::1]:80"), _name_of("127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return sent
