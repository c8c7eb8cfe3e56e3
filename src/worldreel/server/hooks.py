"""Where events are sent to: the endpoints of an owner, as the SDK manages them."""

from __future__ import annotations

import json
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import and_, delete, func, insert, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from worldreel.errors import message
from worldreel.server import documents, schema
from worldreel.server.database import deliveries, endpoints
from worldreel.server.errors import invalid, missing
from worldreel.server.forms import read
from worldreel.server.intake import validated
from worldreel.server.jobs import fresh_id
from worldreel.server.state import Server
from worldreel.server.webhooks import fresh_secret

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=documents.ERRORS)
_MOST = 20


def _shown(row: Any, *, secret: bool = False) -> dict[str, Any]:
    return {
        "id": row["id"],
        "object": "webhook_endpoint",
        "name": row["name"],
        "url": row["url"],
        "event_types": json.loads(row["events"]),
        "created_at": int(row["created"]),
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
    full: dict[str, Any] = row | {"secret": fresh_secret(), "created": time.time()}

    def add() -> None:
        mine = select(func.count()).where(endpoints.c.owner == full["owner"])
        with server.jobs.database.write() as at:
            if (at.scalar(mine) or 0) >= _MOST:
                raise invalid(message(f"there are {_MOST} endpoints", "delete one first"))
            at.execute(insert(endpoints).values(**full))

    await run_in_threadpool(add)
    return JSONResponse(_shown(full, secret=True))


@router.get("/webhook_endpoints", response_model=schema.WebhookPage)
async def list_endpoints(request: Request) -> Response:
    """Where your events go."""
    server: Server = request.app.state.server

    def find() -> list[dict[str, Any]]:
        mine = select(endpoints).where(endpoints.c.owner == request.state.owner)
        with server.jobs.database.read() as at:
            return [_shown(row) for row in at.execute(mine.order_by(endpoints.c.id)).mappings()]

    found = await run_in_threadpool(find)
    ends = {"first_id": found[0]["id"], "last_id": found[-1]["id"]} if found else {}
    page = {"object": "list", "data": found, "first_id": None, "last_id": None, "has_more": False}
    return JSONResponse(page | ends)


@router.delete("/webhook_endpoints/{endpoint_id}", response_model=schema.Deleted)
async def delete_endpoint(request: Request, endpoint_id: str) -> Response:
    """Send no more events there."""
    server: Server = request.app.state.server
    mine = and_(endpoints.c.id == endpoint_id, endpoints.c.owner == request.state.owner)

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
