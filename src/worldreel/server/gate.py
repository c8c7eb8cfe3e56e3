"""The gate that every request passes: who is it, may it come from there, how long did it take.

Without keys only this machine may talk to us, and web pages may not: a page that somebody opens
can send requests to 127.0.0.1, and only the Origin and Host headers tell them from the user's own.
"""

from __future__ import annotations

import json
import secrets
import time
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worldreel.errors import message, shown
from worldreel.server.errors import ApiError
from worldreel.server.keys import LOCAL, Keys
from worldreel.server.metrics import Metrics
from worldreel.server.settings import Settings

__all__ = ["COOKIE", "Gate"]

_LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")
_OPEN = ("/healthz", "/readyz", "/studio/api/session")
_PAGES = ("/", "/library", "/storyboard", "/desk", "/compare", "/favicon.ico")
_PAGES_BELOW = ("/video/", "/studio/static/")
COOKIE = "worldreel_key"
"""Where the studio's pages keep a key: a browser sends it with what no script can send a header."""


class Gate:
    """ASGI middleware; puts the owner into the request's state."""

    def __init__(self, app: ASGIApp, *, settings: Settings, keys: Keys, metrics: Metrics) -> None:
        self.app, self.settings, self.keys, self.metrics = app, settings, keys, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, name, status = time.monotonic(), f"req_{secrets.token_hex(12)}", 500

        async def answer(part: Message) -> None:
            nonlocal status
            if part["type"] == "http.response.start":
                status = part["status"]
                part["headers"] = [
                    *part.get("headers", []),
                    (b"x-request-id", name.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(part)

        try:
            headers = Headers(scope=scope)
            try:
                self._check_place(scope, headers)
                scope.setdefault("state", {})["owner"] = await self._owner(scope["path"], headers)
            except ApiError as error:
                await _refuse(error, answer)
                return
            await self.app(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.note(scope["method"], route, status, time.monotonic() - started)

    def _check_place(self, scope: Scope, headers: Headers) -> None:
        if self.settings.keys:
            return
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name.lower() not in _LOCAL:
            came = f"the request is for the host {shown(host)}"
            told = message(came, "without keys this server answers to its own machine alone")
            raise ApiError(403, told, code="host_not_allowed")
        origin = headers.get("origin")
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            told = message("the request comes from another web page", "use this server's own")
            raise ApiError(403, told, code="origin_not_allowed")

    async def _owner(self, path: str, headers: Headers) -> str | None:
        if not self.settings.keys:
            return LOCAL
        if path in (*_OPEN, *_PAGES) or path.startswith(_PAGES_BELOW):
            return None
        given = headers.get("authorization") or _from_cookie(headers)
        kind, _, key = given.partition(" ")
        owner = None
        if kind.lower() == "bearer" and key:
            owner = await run_in_threadpool(self.keys.owner, key.strip())
        if owner is None:
            told = message("the API key is missing or wrong", "send Authorization: Bearer KEY")
            headers_out = {"WWW-Authenticate": "Bearer"}
            raise ApiError(401, told, code="invalid_api_key", headers=headers_out)
        return owner


def _from_cookie(headers: Headers) -> str:
    """The header that a page's request stands for. The cookie never comes with requests from other
    sites (SameSite=Strict); that it is one of ours is checked all the same."""
    origin = headers.get("origin")
    if origin and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        return ""
    key = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    return f"Bearer {key}" if key else ""


async def _refuse(error: ApiError, send: Send) -> None:
    body = json.dumps(error.body()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    headers += [(k.lower().encode(), v.encode()) for k, v in error.headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
