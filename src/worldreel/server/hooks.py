"""Where events are sent to: the endpoints of an owner, as the SDK manages them."""

from __future__ import annotations

import json
import time
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import and_, delete, func, insert, select, update
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from worldreel.errors import message
from worldreel.server import documents, schema
from worldreel.server.database import deliveries, endpoints
from worldreel.server.errors import ApiError, missing
from worldreel.server.forms import read
from worldreel.server.intake import validated
from worldreel.server.jobs import fresh_id
from worldreel.server.remote import RefusedError, post
from worldreel.server.state import Server
from worldreel.server.webhooks import event, fresh_secret, signed

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=documents.ERRORS)
_MOST = 20
_DAY = 86_400.0


def _shown(row: Any, *, secret: bool = False) -> dict[str, Any]:
    return {
        "id": row["id"],
        "object": "webhook_endpoint",
        "name": row["name"] or "",
        "url": row["url"],
        "event_types": json.loads(row["events"]),
        "created_at": int(row["created"]),
        "updated_at": int(row["updated"] or row["created"]),
        "signing_secret_hint": row["secret"][-4:],
        "signing_secret": row["secret"] if secret else None,
    }


@router.post(
    "/webhook_endpoints", response_model=schema.WebhookEndpoint, openapi_extra=documents.WEBHOOK
)
async def create_endpoint(request: Request) -> Response:
    """Send events to an address; the answer tells the secret, once."""
    server: Server = request.app.state.server
    async with read(request, body=2**16, upload=2**16) as body:
        fields = validated(schema.WebhookBody, body.values, strict=body.strict)
    row = {"id": fresh_id("we"), "owner": request.state.owner, "name": fields.name}
    row |= {"url": fields.url, "events": json.dumps(sorted(set(fields.event_types)))}
    full: dict[str, Any] = row | {"secret": fresh_secret(), "created": time.time(), "updated": None}

    def add() -> None:
        mine = select(func.count()).where(endpoints.c.owner == full["owner"])
        with server.jobs.database.write() as at:
            if (at.scalar(mine) or 0) >= _MOST:
                told = message(f"there are {_MOST} endpoints", "delete one first")
                raise ApiError(403, told, code="too_many_endpoints")
            at.execute(insert(endpoints).values(**full))

    await run_in_threadpool(add)
    return JSONResponse(_shown(full, secret=True))


@router.get("/webhook_endpoints", response_model=schema.WebhookPage)
async def list_endpoints(
    request: Request,
    after: str | None = Query(None, max_length=80, description="the last id seen"),
    limit: int = Query(20, ge=0, le=100),
) -> Response:
    """Where your events go, the newest first."""
    server: Server = request.app.state.server

    def find() -> list[dict[str, Any]]:
        mine = select(endpoints).where(endpoints.c.owner == request.state.owner)
        if after:
            mine = mine.where(endpoints.c.id < after)
        newest = mine.order_by(endpoints.c.id.desc()).limit(limit + 1)
        with server.jobs.database.read() as at:
            return [_shown(row) for row in at.execute(newest).mappings()]

    found = await run_in_threadpool(find)
    page, more = found[:limit], len(found) > limit
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
    told = {"object": "list", "data": page, "first_id": None, "last_id": None}
    return JSONResponse(told | ends | {"has_more": more and bool(page)})


def _mine(request: Request, endpoint_id: str) -> Any:
    return and_(endpoints.c.id == endpoint_id, endpoints.c.owner == request.state.owner)


async def _found(request: Request, endpoint_id: str) -> Any:
    server: Server = request.app.state.server

    def find() -> Any:
        with server.jobs.database.read() as at:
            return (
                at.execute(select(endpoints).where(_mine(request, endpoint_id))).mappings().first()
            )

    row = await run_in_threadpool(find)
    if row is None:
        raise missing("webhook_endpoint", endpoint_id, param="endpoint_id")
    return row


async def _changed(request: Request, endpoint_id: str, values: dict[str, Any]) -> Any:
    """The endpoint with other values; its date is that of its last change."""
    server: Server = request.app.state.server
    before = await _found(request, endpoint_id)
    if any(before[name] != value for name, value in values.items()):

        def put() -> None:
            now = values | {"updated": time.time()}
            with server.jobs.database.write() as at:
                at.execute(update(endpoints).where(_mine(request, endpoint_id)).values(**now))

        await run_in_threadpool(put)
    return await _found(request, endpoint_id)


@router.get("/webhook_endpoints/{endpoint_id}", response_model=schema.WebhookEndpoint)
async def get_endpoint(request: Request, endpoint_id: str) -> Response:
    """One endpoint."""
    return JSONResponse(_shown(await _found(request, endpoint_id)))


@router.post(
    "/webhook_endpoints/{endpoint_id}",
    response_model=schema.WebhookEndpoint,
    openapi_extra=documents.WEBHOOK_CHANGE,
)
async def update_endpoint(request: Request, endpoint_id: str) -> Response:
    """Change its name, address or events; what is not sent stays."""
    async with read(request, body=2**16, upload=2**16) as body:
        fields = validated(schema.WebhookChange, body.values, strict=body.strict)
    values: dict[str, Any] = {
        name: getattr(fields, name) for name in ("name", "url") if getattr(fields, name) is not None
    }
    if fields.event_types is not None:
        values["events"] = json.dumps(sorted(set(fields.event_types)))
    return JSONResponse(_shown(await _changed(request, endpoint_id, values)))


@router.post(
    "/webhook_endpoints/{endpoint_id}/rotate_secret",
    response_model=schema.WebhookEndpoint,
    openapi_extra=documents.WEBHOOK_ROTATE,
)
async def rotate_secret(request: Request, endpoint_id: str) -> Response:
    """A new secret, told once; for a day both sign, if the old one is to be kept so long."""
    async with read(request, body=2**16, upload=2**16) as body:
        fields = validated(schema.WebhookRotation, body.values, strict=body.strict)
    before = await _found(request, endpoint_id)
    kept = fields.keep_old_secret_active_for_24_hours
    old = {"old_secret": before["secret"], "old_until": time.time() + _DAY}
    values = {"secret": fresh_secret()} | (old if kept else dict.fromkeys(old))
    return JSONResponse(_shown(await _changed(request, endpoint_id, values), secret=True))


@router.post(
    "/webhook_endpoints/{endpoint_id}/test",
    response_model=schema.WebhookTested,
    openapi_extra=documents.WEBHOOK_TEST,
)
async def test_endpoint(request: Request, endpoint_id: str) -> Response:
    """Send a sample event now; the answer says what the endpoint answered."""
    server: Server = request.app.state.server
    async with read(request, body=2**16, upload=2**16) as body:
        fields = validated(schema.WebhookTest, body.values, strict=body.strict)
    row = await _found(request, endpoint_id)
    name, told = event(fields.event_type, fresh_id("video"))
    headers = signed([row["secret"]], name, told)
    try:
        private = server.settings.loopback
        status = await run_in_threadpool(
            lambda: post(row["url"], told.encode(), headers, private=private)
        )
    except (RefusedError, OSError) as error:
        said = message("the endpoint does not answer", "see to its address")
        raise ApiError(
            409, said, code="webhook_failed", headers={"x-should-retry": "false"}
        ) from error
    answer = {"object": "webhook_endpoint.test", "webhook_endpoint_id": endpoint_id}
    more = {"event_type": fields.event_type, "status_code": status, "success": True}
    return JSONResponse(answer | more)


@router.get("/webhook_event_types", response_model=schema.WebhookEventTypes)
async def list_event_types(request: Request) -> Response:
    """What can be sent."""
    return JSONResponse({"object": "list", "data": list(schema.EVENT_TYPES)})


@router.delete("/webhook_endpoints/{endpoint_id}", response_model=schema.Deleted)
async def delete_endpoint(request: Request, endpoint_id: str) -> Response:
    """Send no more events there."""
    server: Server = request.app.state.server
    mine = _mine(request, endpoint_id)

    def remove() -> int:
        with server.jobs.database.write() as at:
            gone = at.execute(delete(endpoints).where(mine)).rowcount
            if gone:
                at.execute(delete(deliveries).where(deliveries.c.endpoint == endpoint_id))
            return int(gone)

    if not await run_in_threadpool(remove):
        raise missing("webhook_endpoint", endpoint_id, param="endpoint_id")
    told = {"id": endpoint_id, "object": "webhook_endpoint.deleted", "deleted": True}
    return JSONResponse(told)
