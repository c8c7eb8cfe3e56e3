"""/studio/api: marks, tools, badges, estimates, the desk. Each endpoint is a few lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from worldreel.errors import message
from worldreel.server.errors import ApiError, invalid, missing
from worldreel.server.forms import read
from worldreel.server.gate import COOKIE
from worldreel.server.intake import check_key, validated
from worldreel.server.jobs import Job
from worldreel.server.state import Server
from worldreel.server.studio import schema
from worldreel.server.studio.about import about, is_operator, usual_steps
from worldreel.server.studio.desk import Desk, Kind
from worldreel.server.studio.estimate import estimate
from worldreel.server.studio.intake import StudioIntake
from worldreel.server.studio.library import Library, jobs_like
from worldreel.server.studio.looking import looked_at, remembered
from worldreel.server.studio.wording import worded

__all__ = ["router"]

router = APIRouter(prefix="/studio/api", include_in_schema=False)
_T = TypeVar("_T")
_B = TypeVar("_B", bound=BaseModel)
_MONTH = 30 * 86_400


def _server(request: Request) -> Server:
    return cast("Server", request.app.state.server)


def _owner(request: Request) -> str:
    return cast("str", request.state.owner)


async def _done(function: Callable[..., _T], *given: Any, **named: Any) -> _T:
    return await run_in_threadpool(partial(function, *given, **named))


async def _job(request: Request, name: str) -> Job:
    job = await _done(_server(request).jobs.get, name, _owner(request))
    if job is None:
        raise missing("video", name, param="video_id")
    return job


async def _values(request: Request, kind: type[_B]) -> _B:
    async with read(request, body=2**18, upload=2**18) as body:
        return validated(kind, body.values, strict=body.strict)


async def _check_operator(request: Request) -> Server:
    server = _server(request)
    if not await _done(is_operator, server, _owner(request)):
        told = message(
            "this page is the operator's", "make a key with `worldreel keys add operator`"
        )
        raise ApiError(403, told, code="operator_only")
    return server


@router.post("/session")
async def begin_session(request: Request) -> Response:
    """Keeps a key in a cookie that no script can read and no other site can use."""
    server, fields = _server(request), await _values(request, schema.KeyBody)
    if server.settings.keys and await _done(server.keys.owner, fields.key.strip()) is None:
        told = message("this server does not know the key", "look for a typing mistake")
        raise ApiError(401, told, code="invalid_api_key")
    answer = JSONResponse({"ok": True})
    secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, fields.key.strip(), httponly=True, samesite="strict", secure=secure, max_age=_MONTH
    )
    return answer


@router.delete("/session")
async def end_session() -> Response:
    """Forgets the key."""
    answer = JSONResponse({"ok": True})
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


@router.get("/about")
async def get_about(request: Request) -> Response:
    """Models, examples, and who is asking."""
    return JSONResponse(await _done(about, _server(request), _owner(request)))


@router.get("/queue")
async def get_queue(request: Request) -> Response:
    """What is being made and what waits."""
    return JSONResponse(await _done(Library(_server(request).jobs).queue, _owner(request)))


@router.get("/estimate")
async def get_estimate(
    request: Request,
    seconds: float = Query(4.0, gt=0, le=600),
    steps: int | None = Query(None, ge=1, le=200),
    model: str = Query("", max_length=200),
) -> Response:
    """How long a video would take, by those that were made here."""
    server = _server(request)

    def look() -> dict[str, Any]:
        engine = server.settings.engine(model)
        usual = usual_steps(server.settings, engine)
        jobs = jobs_like(server.jobs.database, engine)
        return estimate(jobs, seconds=seconds, steps=steps, usual=usual)

    return JSONResponse(await _done(look))


@router.get("/library")
async def get_library(
    request: Request,
    words: str = Query("", max_length=200),
    folder: str | None = Query(None, max_length=80),
    favourite: bool = False,
    after: str | None = Query(None, max_length=80),
    limit: int = Query(48, ge=1, le=100),
) -> Response:
    """Finished videos."""
    library = Library(_server(request).jobs)
    given = {"words": words, "folder": folder, "favourite": favourite}
    page = await _done(library.page, _owner(request), **given, after=after, limit=limit)
    return JSONResponse(page)


@router.get("/videos/{video_id}")
async def get_video(request: Request, video_id: str) -> Response:
    """A video with its marks and its family."""
    job = await _job(request, video_id)
    return JSONResponse(await _done(Library(_server(request).jobs).family, job))


@router.post("/videos/{video_id}/marks")
async def set_marks(request: Request, video_id: str) -> Response:
    """Favourite or not; in which folder."""
    fields, job = await _values(request, schema.MarksBody), await _job(request, video_id)
    library, given = Library(_server(request).jobs), fields.model_dump()
    return JSONResponse(await _done(library.mark, job, **given))


@router.post("/videos/{video_id}/next")
async def run_next(request: Request, video_id: str) -> Response:
    """A waiting job before all others."""
    server, job = _server(request), await _job(request, video_id)
    if server.settings.keys and not await _done(is_operator, server, _owner(request)):
        told = message("several people share this queue", "only its operator can change the order")
        raise ApiError(403, told, code="operator_only")
    library = Library(server.jobs)
    await _done(library.first, job)
    return JSONResponse(await _done(library.queue, _owner(request)))


@router.get("/videos/{video_id}/badge")
async def get_badge(request: Request, video_id: str) -> Response:
    """What `worldreel inspect` says of a finished video."""
    server, job = _server(request), await _job(request, video_id)
    if job.result is None:
        raise missing("video", video_id, param="video_id")
    file = await _done(server.storage.file, job.result, "video")
    return JSONResponse(await _done(looked_at, file, key=job.result))


@router.post("/look")
async def look_at_file(request: Request) -> Response:
    """What a dropped file is, and the recipe in it."""
    server = _server(request)
    async with read(request, body=2**16, upload=server.settings.upload) as body:
        file = body.files.get("file")
        if file is None:
            raise invalid(message("no file came", "send it as `file`"), param="file")
        return JSONResponse(await _done(_looked, server, file.file))


def _looked(server: Server, file: Any) -> dict[str, Any]:
    server.storage.check_space()
    name, _ = server.storage.keep(file, kind="look", limit=server.settings.upload)
    try:
        from worldreel.server.measuring import measure

        path = server.storage.upload(name)
        source = measure(path, param="file")
        told = {"width": source.width, "height": source.height, "seconds": source.seconds}
        return told | {"moves": source.moves, "recipe": remembered(path)}
    finally:
        server.storage.forget(upload=name)


@router.post("/orders")
async def take_order(request: Request) -> Response:
    """What a tool asks for, as jobs."""
    server = _server(request)
    key, limits = check_key(request.headers.get("idempotency-key")), server.settings
    intake = StudioIntake(server.intake)
    async with read(request, body=limits.body, upload=limits.upload) as body:
        jobs = await _done(intake.take, _owner(request), body, key)
    return JSONResponse({"data": await _done(Library(server.jobs).told, jobs)})


@router.post("/prompt")
async def word_prompt(request: Request) -> Response:
    """A prompt with more detail, for the box."""
    fields = await _values(request, schema.PromptBody)
    text, added = worded(fields.prompt, fields.again)
    return JSONResponse({"prompt": text, "added": list(added)})


@router.post("/reports")
async def report_video(request: Request) -> Response:
    """Somebody finds a video wrong."""
    fields = await _values(request, schema.ReportBody)
    job = await _job(request, fields.video)
    desk = Desk(_server(request).jobs)
    name = await _done(desk.report, job, reason=fields.reason, note=fields.note)
    return JSONResponse({"id": name})


@router.get("/desk")
async def get_desk(request: Request) -> Response:
    """Reports and refusals, for the operator."""
    server = await _check_operator(request)
    return JSONResponse(await _done(Desk(server.jobs).told))


@router.get("/desk/lines")
async def get_lines(request: Request) -> Response:
    """What was judged, as JSON lines."""
    server = await _check_operator(request)
    headers = {"Content-Disposition": 'attachment; filename="worldreel-desk.jsonl"'}
    return PlainTextResponse(await _done(Desk(server.jobs).lines), headers=headers)


@router.get("/desk/videos/{video_id}")
async def watch_reported(request: Request, video_id: str) -> Response:
    """A reported video, whoever owns it."""
    server = await _check_operator(request)
    rows = await _done(Desk(server.jobs).rows, "reports")
    jobs = await _done(server.jobs.among, [video_id])
    job = jobs.get(video_id)
    if job is None or job.result is None or all(row["video"] != video_id for row in rows):
        raise missing("video", video_id, param="video_id")
    file = await _done(server.storage.file, job.result, "video")
    return FileResponse(file, media_type="video/mp4")


@router.post("/desk/{kind}/{name}")
async def judge_row(request: Request, kind: Kind, name: str) -> Response:
    """The operator's verdict."""
    server, fields = await _check_operator(request), await _values(request, schema.VerdictBody)
    if not await _done(Desk(server.jobs).judge, kind, name, fields.verdict):
        raise missing("row", name)
    return JSONResponse({"ok": True})


@router.delete("/desk/{kind}/{name}")
async def remove_row(request: Request, kind: Kind, name: str) -> Response:
    """Takes a row off the desk."""
    server = await _check_operator(request)
    if not await _done(Desk(server.jobs).remove, kind, name):
        raise missing("row", name)
    return JSONResponse({"ok": True})
