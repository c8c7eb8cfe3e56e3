"""The studio: pages for people at `/`, and under /studio/api what the public API has no word for.

    pages.py    the page and its files, all of them in static/ (ES modules; nothing is built)
    routes.py   the library's marks, orders of every tool, badges, estimates
    desk.py     what an operator looks at: reports and refusals

Whatever the public API can do, the pages do through it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from worldreel.server.studio import tables  # noqa: F401  # known before the database is opened
from worldreel.server.studio.desk import Desk

if TYPE_CHECKING:
    from fastapi import APIRouter
    from starlette.requests import Request

    from worldreel.server.publish import RefusedPromptError
    from worldreel.server.state import Server

__all__ = ["note_refusal", "routers"]


def routers() -> list[APIRouter]:
    """The studio's endpoints."""
    from worldreel.server.studio import pages, routes

    return [routes.router, pages.router]


def note_refusal(request: Request, error: RefusedPromptError) -> None:
    """Puts a refused prompt onto the operator's desk; that this fails is nobody's concern."""
    server: Server = request.app.state.server
    with suppress(DBAPIError):
        Desk(server.jobs).refused(request.state.owner, error.prompt, error.category, error.words)
