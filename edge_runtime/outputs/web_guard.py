"""Who may see the page: this machine only, or whoever holds the token."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import secrets
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import OptionError

TOKEN_MIN_LENGTH = 12
OPEN_PATHS = frozenset({"/healthz", "/style.css"})  # nothing of what the camera sees
COOKIE_MAX_AGE_S = 30 * 24 * 3600
REFUSAL_DELAY_S = 0.5
FORM_WITHIN_S = 10.0

REFUSAL = b'<p class="bad" role="alert">That is not the token.</p>'

HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address.

    >>> [is_loopback(h) for h in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "192.168.1.7")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_token(host: str, token: str | None) -> str | None:
    """The token as it is compared, without spaces and line breaks around it: forms and headers lose them too.

    Raises OptionError when the address needs a token and has none, or the token could be guessed.
    """
    token = token and token.strip()
    if token is None:
        if not is_loopback(host):
            raise OptionError(
                f"--web {host} can be reached from the network, so it needs a token: add --web-token "
                f"{secrets.token_urlsafe(12)} (made for you just now), or set EDGE_EMOTION_WEB_TOKEN"
            )
    elif len(token) < TOKEN_MIN_LENGTH:
        raise OptionError(
            f"--web-token has {len(token)} characters, at least {TOKEN_MIN_LENGTH} are needed: "
            f"{secrets.token_urlsafe(12)} would do"
        )
    elif not (token.isascii() and token.isprintable()):
        raise OptionError(
            "--web-token may hold only printable ASCII characters, others are lost in `Authorization: Bearer`: "
            f"{secrets.token_urlsafe(12)} would do"
        )
    return token


class Guard:
    """ASGI middleware in front of everything.

    Without a token it answers only under a loopback name, so that a foreign page cannot reach it by pointing its own
    name at 127.0.0.1. With one, a request needs the token (`?token=`, the form, or `Authorization: Bearer`) or the
    cookie that the first visit got. The cookie holds a digest of the token and lives through a restart. All are
    compared in constant time, and a wrong one is answered late.
    """

    def __init__(self, app: ASGIApp, token: str | None, login_page: bytes, cookie: str) -> None:
        self._app = app
        self._token = token
        self._login_page = login_page
        self._cookie = cookie
        self._session = hmac.new((token or "").encode(), b"edge-emotion page", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: on to the page, or refused."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                extra = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in present]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        answer = await self._refusal(Request(scope, receive), scope["path"])
        await (answer or self._app)(scope, receive, send_with_headers)

    async def _refusal(self, request: Request, path: str) -> Response | None:
        # Routes go by `path`; `request.url` may name another: Starlette before 1.0.1 builds it from the Host header.
        if path in OPEN_PATHS:
            return None
        if self._token is None:
            if is_loopback(_host_name(request.headers.get("host", ""))):
                return None
            return PlainTextResponse("open this page as http://localhost, it is not shared with the network\n", 421)
        session = request.cookies.get(self._cookie)
        if session is not None and self._matches(session, self._session):
            return None
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        bearer = credentials.strip() if scheme.lower() == "bearer" else None
        if bearer is not None and self._matches(bearer, self._token):
            return None
        offered = request.query_params.get("token")
        if request.method == "POST" and path == "/login":
            form = b""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FORM_WITHIN_S):
                    form = await _short_body(request)
            offered = parse_qs(form.decode("utf-8", "replace")).get("token", [""])[0]
        if offered is not None and self._matches(offered.strip(), self._token):
            return self._welcome(request, path)
        if (session, bearer, offered) != (None, None, None):
            await asyncio.sleep(REFUSAL_DELAY_S)
        if path in ("/", "/login"):
            refusal = b"" if offered is None else REFUSAL
            return HTMLResponse(self._login_page.replace(b"{refusal}", refusal), 401)
        return PlainTextResponse("a token is needed\n", 401, headers={"www-authenticate": "Bearer"})

    @staticmethod
    def _matches(offered: str, wanted: str) -> bool:
        return hmac.compare_digest(offered.encode(), wanted.encode())

    def _welcome(self, request: Request, path: str) -> Response:
        target = "/" if path == "/login" else "/" + path.lstrip("/")  # never another host
        response = RedirectResponse(target, 303)  # leaves the token out of the address bar and the history
        secure = request.headers.get("x-forwarded-proto", request.scope["scheme"]) == "https"
        # Lax: a link from elsewhere opens the page. It may, because no GET changes anything.
        response.set_cookie(
            self._cookie, self._session, max_age=COOKIE_MAX_AGE_S, httponly=True, samesite="lax", secure=secure
        )
        return response


def _host_name(header: str) -> str:
    """`localhost:8080` as `localhost`, `[::1]:8080` as `::1`."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


async def _short_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > 4096:
            return b""
    return body
