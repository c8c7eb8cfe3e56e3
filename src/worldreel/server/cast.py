"""Characters: short clips or stills of cast members, kept for later prompts to name.

A video that names one sees it at a moment before its own beginning, which is never shown
(`worldreel.cast`). `description`, a field of ours, says in words what it is.
"""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import insert
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from worldreel.errors import message
from worldreel.server import documents, publish, schema
from worldreel.server.characters import find
from worldreel.server.database import characters
from worldreel.server.errors import invalid, missing, not_whole
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
    publish.review_prompt(" ".join(filter(None, (fields.name, fields.description))))
    server.storage.check_space()
    name = _kept(server, owner, fields, body)
    try:
        source = measure(server.storage.upload(name), param="video")
        if source.seconds > _LONGEST:
            came = f"the clip lasts {source.seconds:g} seconds"
            raise invalid(message(came, f"it may last {_LONGEST:g}"), param="video")
        row = {"id": fresh_id("char"), "name": fields.name, "created": time.time()}
        row["about"] = fields.description
        with server.jobs.database.write() as at:
            at.execute(insert(characters).values(**row, owner=owner, file=name))
    except BaseException:
        server.storage.forget(upload=name)
        raise
    return _shown(row)


def _kept(server: Server, owner: str, fields: schema.CharacterBody, body: Body) -> str:
    """The file that shows it, kept: an upload, or one of the owner's own videos."""
    file, named = body.files.get("video"), fields.video
    if (file is None) == (named is None):
        came = "no file is given" if file is None else "two videos are given"
        told = message(came, "send a clip of 2 to 4 seconds, or a still, as `video`")
        raise invalid(told, param="video", code="missing_required_parameter")
    if file is not None:
        return server.storage.keep(file.file, kind="character", limit=_MOST)[0]
    assert named is not None
    job = server.jobs.get(named.id, owner)
    if job is None:
        raise missing("video", named.id, param="video")
    if job.status != "completed" or job.result is None:
        raise not_whole(named.id, job.status, param="video")
    try:
        return server.storage.borrow(job.result)
    except FileNotFoundError:
        raise missing("video", named.id, param="video") from None


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "object": "character",
        "created_at": int(row["created"]),
        "name": row["name"],
        "description": row["about"],
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
    row = await run_in_threadpool(find, server.jobs.database, character_id, request.state.owner)
    if row is None:
        raise missing("character", character_id, param="character_id")
    return JSONResponse(_shown(row))
