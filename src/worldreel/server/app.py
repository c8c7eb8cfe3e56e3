"""The application: routes, the gate before them, and one shape for everything that goes wrong."""

from __future__ import annotations

import errno
import logging
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from worldreel import __version__
from worldreel.errors import WorldreelError, message, shown
from worldreel.server import cast, hooks, manual, routes, studio
from worldreel.server.errors import ApiError, envelope, invalid, unready
from worldreel.server.gate import Gate
from worldreel.server.publish import RefusedPromptError
from worldreel.server.settings import Settings
from worldreel.server.state import Server

__all__ = ["make_app"]

log = logging.getLogger("worldreel.server")


def make_app(settings: Settings) -> FastAPI:
    """The server's application by its settings."""
    app = FastAPI(
        title="worldreel",
        version=__version__,
        description="Video generation, compatible with the OpenAI Videos API.",
        redirect_slashes=False,
        docs_url=None,  # FastAPI's own pages fetch their scripts from elsewhere
        redoc_url=None,
    )
    server = Server(settings)
    app.state.server = server
    for part in (cast.router, hooks.router, routes.router, *studio.routers()):
        app.include_router(part)
    _add_signs(app, server)
    _add_errors(app)
    app.add_middleware(Gate, settings=settings, keys=server.keys, metrics=server.metrics)
    return app


def _add_signs(app: FastAPI, server: Server) -> None:
    """What operators and their machines look at."""

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        return JSONResponse({"status": "ok"})  # touches nothing that could be slow

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        missing = await run_in_threadpool(server.ready)
        if missing is not None:
            return JSONResponse({"status": "unready", "reason": missing}, status_code=503)
        return JSONResponse({"status": "ready"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(manual.page(app.openapi()))

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        text = await run_in_threadpool(server.metrics.text)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


def _add_errors(app: FastAPI) -> None:
    async def known(_: Request, error: Any) -> Response:
        return JSONResponse(error.body(), status_code=error.status, headers=error.headers)

    async def wrong(_: Request, error: Any) -> Response:
        first = error.errors()[0]
        param = str(first["loc"][-1])
        came = f"{shown(param)[1:-1]} cannot be used"
        told = message(came, shown(str(first["msg"]), limit=200)[1:-1])
        return await known(_, invalid(told, param=param))

    async def plain(request: Request, error: Any) -> Response:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(app, request.url.path))
        told = envelope(error.status_code, f"{error.detail}.", code="not_found")
        if error.status_code != 404:
            told["error"]["code"] = "method_not_allowed" if error.status_code == 405 else None
        return JSONResponse(told, status_code=error.status_code, headers=headers)

    async def asked(_: Request, error: Any) -> Response:
        return await known(_, invalid(str(error)))

    async def silent(_: Request, error: Any) -> Response:
        log.warning("the database does not answer: %s", error)
        told = message("the server's database does not answer", "try again later")
        return await known(_, unready(told, code="database_unavailable"))

    async def disk(_: Request, error: Any) -> Response:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return await broken(_, error)
        told = message("the server's disk is full", "try again later")
        return await known(_, unready(told, code="disk_full", wait=60))

    async def broken(_: Request, error: Any) -> Response:
        log.error("a request broke down", exc_info=error)
        told = message("something went wrong on the server", "try again, or tell its operator")
        return JSONResponse(envelope(500, told, code="internal_error"), status_code=500)

    async def refused(request: Request, error: Any) -> Response:
        await run_in_threadpool(studio.note_refusal, request, error)
        return await known(request, error)

    app.add_exception_handler(ApiError, known)
    app.add_exception_handler(RefusedPromptError, refused)
    app.add_exception_handler(RequestValidationError, wrong)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(WorldreelError, asked)
    app.add_exception_handler(DBAPIError, silent)
    app.add_exception_handler(PoolTimeout, silent)
    app.add_exception_handler(OSError, disk)
    app.add_exception_handler(Exception, broken)


def _methods(app: FastAPI, path: str) -> list[str]:
    """What can be done at a path: several routes may share it, one for each method."""
    found: set[str] = set()
    places = app.openapi()["paths"]
    for place, ways in {path: places[path]}.items() if path in places else places.items():
        pattern = re.sub(r"\\\{[^}]*\}", "[^/]+", re.escape(place))
        if re.fullmatch(pattern, path):
            found |= {way.upper() for way in ways}
    return sorted(found) or ["GET"]
