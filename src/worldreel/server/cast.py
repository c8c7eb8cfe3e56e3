"""Characters: short clips or stills of cast members, kept for later prompts to name.

They are taken, measured and kept; no model here can carry one into a video yet, and a request that
names one is told so.
"""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import and_, insert, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from worldreel.errors import message
from worldreel.server import documents, publish, schema
from worldreel.server.database import characters
from worldreel.server.errors import invalid, missing
from worldreel.server.forms import Body, read
from worldreel.server.intake import validated
from worldreel.server.jobs import fresh_id
from worldreel.server.measuring import measure
from worldreel.server.state import Server

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=documents.ERRORS)
_LONGEST, _MOST = 15.0, 64 * 2**20


def _create(server: Server, owner: str, body: Body) -> dict[str, Any]:
    fields = validated(schema.CharacterBody, body.values, strict=body.strict)
    publish.review_prompt(fields.name)
    file = body.files.get("video")
    if file is None:
        told = message("no file is given", "send a clip of 2 to 4 seconds, or a still, as `video`")
        raise invalid(told, param="video", code="missing_required_parameter")
    server.storage.check_space()
    name, _ = server.storage.keep(file.file, kind="character", limit=_MOST)
    try:
        source = measure(server.storage.upload(name), param="video")
        if source.seconds > _LONGEST:
            came = f"the clip lasts {source.seconds:g} seconds"
            raise invalid(message(came, f"it may last {_LONGEST:g}"), param="video")
        row = {"id": fresh_id("char"), "name": fields.name, "created": time.time()}
        with server.jobs.database.write() as at:
            at.execute(insert(characters).values(**row, owner=owner, file=name))
    except BaseException:
        server.storage.forget(upload=name)
        raise
    return _shown(row)


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "object": "character",
        "created_at": int(row["created"]),
        "name": row["name"],
    }


@router.post(
    "/videos/characters", response_model=schema.Character, openapi_extra=documents.CHARACTER
)
async def create_character(request: Request) -> Response:
    """Keep a cast member."""
    server: Server = request.app.state.server
    limits = server.settings
    async with read(request, body=limits.body, upload=min(limits.upload, _MOST)) as body:
        shown = await run_in_threadpool(_create, server, request.state.owner, body)
    return JSONResponse(shown)


@router.get("/videos/characters/{character_id}", response_model=schema.Character)
async def get_character(request: Request, character_id: str) -> Response:
    """One cast member."""
    server: Server = request.app.state.server
    owner = request.state.owner

    def find() -> Any:
        mine = and_(characters.c.id == character_id, characters.c.owner == owner)
        with server.jobs.database.read() as at:
            return at.execute(select(characters).where(mine)).mappings().first()

    row = await run_in_threadpool(find)
    if row is None:
        raise missing("character", character_id, param="character_id")
    return JSONResponse(_shown(row))
