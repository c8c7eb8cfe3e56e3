"""The endpoints, each a few lines: read, do it in a thread, show.

Paths with fixed words come before those with an id, or "edits" would be a video.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from worldreel.server import documents, schema, views
from worldreel.server.errors import ApiError, missing, not_ready
from worldreel.server.forms import Body, read
from worldreel.server.intake import check_key
from worldreel.server.jobs import Job
from worldreel.server.state import Server
from worldreel.server.storage import VARIANTS

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=documents.ERRORS)


def _server(request: Request) -> Server:
    return cast("Server", request.app.state.server)


def _owner(request: Request) -> str:
    return cast("str", request.state.owner)


async def _taken(request: Request, take: Callable[[str, Body, str | None], Job]) -> JSONResponse:
    """Reads a body and answers with the job that it becomes."""
    server = _server(request)
    key = check_key(request.headers.get("idempotency-key"))
    limits = server.settings
    async with read(request, body=limits.body, upload=limits.upload) as body:
        job = await run_in_threadpool(take, _owner(request), body, key)
    return JSONResponse(views.shown(job))


async def _found(request: Request, name: str) -> Job:
    job = await run_in_threadpool(_server(request).jobs.get, name, _owner(request))
    if job is None:
        raise missing("video", name, param="video_id")
    return job


@router.post("/videos", response_model=schema.Video, openapi_extra=documents.CREATE)
async def create_video(request: Request) -> Response:
    """Ask for a video; the answer is its job."""
    return await _taken(request, _server(request).intake.create)


@router.post("/videos/edits", response_model=schema.Video, openapi_extra=documents.EDIT)
async def edit_video(request: Request) -> Response:
    """Make a video anew in other words."""
    return await _taken(request, _server(request).intake.edit)


@router.post("/videos/extensions", response_model=schema.Video, openapi_extra=documents.EXTEND)
async def extend_video(request: Request) -> Response:
    """Go on where a video ends."""
    return await _taken(request, _server(request).intake.extend)


@router.post(
    "/videos/sync",
    response_class=FileResponse,
    responses=documents.CONTENT | documents.SYNC,
    openapi_extra=documents.CREATE,
)
async def make_video(request: Request) -> Response:
    """Ask for a video and wait for it; the answer is the file. Who goes away cancels it."""
    server = _server(request)
    taken = await _taken(request, server.intake.create)
    name = json.loads(bytes(taken.body))["id"]
    job = await _found(request, name)
    try:
        async for _ in server.hub.follow(job):
            if await request.is_disconnected():
                break
    finally:
        job = await _found(request, name)
        if not job.ended:
            await run_in_threadpool(server.jobs.cancel, name, _owner(request))
    if job.status == "failed":
        code = job.error_code or "failed"
        raise ApiError(409, job.error_message or "", code=code, headers={"x-should-retry": "false"})
    return await video_content(request, name)


@router.post("/videos/{video_id}/remix", response_model=schema.Video, openapi_extra=documents.REMIX)
async def remix_video(request: Request, video_id: str) -> Response:
    """Make one of your videos anew in other words."""
    intake = _server(request).intake

    def take(owner: str, body: Body, key: str | None) -> Job:
        return intake.remix(owner, video_id, body, key)

    return await _taken(request, take)


@router.get("/videos", response_model=schema.VideoPage)
async def list_videos(
    request: Request,
    after: str | None = Query(None, max_length=80, description="the last id seen"),
    limit: int = Query(20, ge=0, le=100),
    order: schema.Order = "desc",
) -> Response:
    """Your videos, the newest first."""
    jobs = _server(request).jobs
    found, more = await run_in_threadpool(
        lambda: jobs.page(_owner(request), after=after, limit=limit, ascending=order == "asc")
    )
    page = {
        "object": "list",
        "data": [views.shown(job) for job in found],
        "first_id": found[0].id if found else None,
        "last_id": found[-1].id if found else None,
        "has_more": more and bool(found),
    }
    return JSONResponse(page)


@router.get("/videos/{video_id}", response_model=schema.Video)
async def retrieve_video(request: Request, video_id: str) -> Response:
    """A video's state."""
    server, job = _server(request), await _found(request, video_id)
    position = None
    if job.status == "queued":
        position = await run_in_threadpool(server.jobs.position, job)
    wait = await run_in_threadpool(server.poll_after)
    headers = {"openai-poll-after-ms": str(wait)}
    return JSONResponse(views.shown(job, position=position), headers=headers)


@router.delete("/videos/{video_id}", response_model=schema.Deleted)
async def delete_video(request: Request, video_id: str) -> Response:
    """Remove a video for good; one that is being made is cancelled."""
    server = _server(request)

    def remove() -> None:
        job = server.jobs.remove(video_id, _owner(request))
        if job is None:
            raise missing("video", video_id, param="video_id")
        server.storage.forget(result=job.result, upload=job.asked.get("file"))

    await run_in_threadpool(remove)
    return JSONResponse({"id": video_id, "object": "video.deleted", "deleted": True})


@router.post("/videos/{video_id}/cancel", response_model=schema.Video)
async def cancel_video(request: Request, video_id: str) -> Response:
    """End a video's job: at once if it waits, at its next step if it runs."""
    jobs = _server(request).jobs
    job = await run_in_threadpool(jobs.cancel, video_id, _owner(request))
    if job is None:
        raise missing("video", video_id, param="video_id")
    return JSONResponse(views.shown(job))


@router.get("/videos/{video_id}/content", response_class=FileResponse, responses=documents.CONTENT)
async def video_content(
    request: Request, video_id: str, variant: schema.Variant = "video"
) -> Response:
    """The video, its thumbnail or its sprite sheet; parts of it by Range."""
    job = await _found(request, video_id)
    if job.status != "completed" or job.result is None:
        raise not_ready(video_id, job.status, param="video_id")
    path = _server(request).storage.file(job.result, variant)
    if not await run_in_threadpool(path.is_file):
        raise missing("video", video_id, param="video_id")
    name, kind = VARIANTS[variant]
    suffix = name.rpartition(".")[2]
    return FileResponse(path, media_type=kind, filename=f"{job.id}.{suffix}")


@router.get(
    "/videos/{video_id}/events", response_class=StreamingResponse, responses=documents.EVENTS
)
async def video_events(request: Request, video_id: str) -> Response:
    """Progress as it happens (server-sent events), until the video is finished."""
    job = await _found(request, video_id)
    hub = _server(request).hub
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    stream = hub.follow(job, previews=_server(request).settings.previews)
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


@router.get("/models", response_model=schema.ModelPage)
async def list_models(request: Request) -> Response:
    """The models that requests may name."""
    return JSONResponse({"object": "list", "data": _models(_server(request))})


@router.get("/models/{model}", response_model=schema.Model)
async def retrieve_model(request: Request, model: str) -> Response:
    """One model."""
    for entry in _models(_server(request)):
        if entry["id"] == model:
            return JSONResponse(entry)
    raise missing("model", model, param="model")


def _models(server: Server) -> list[dict[str, Any]]:
    return [
        {"id": name, "object": "model", "created": 0, "owned_by": "worldreel"}
        for name in server.settings.names
    ]
