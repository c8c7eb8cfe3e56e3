"""Webhooks by the Standard Webhooks rules: events are written in the transaction that causes them.

    webhook-signature: v1,base64(HMAC-SHA256(secret, "{id}.{timestamp}.{body}"))

So an event is neither lost nor made up by a crash; it may be sent twice, with the same id. Failed
deliveries are tried again, ever more slowly, for 72 hours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update

from worldreel.server.database import Database, deliveries, endpoints
from worldreel.server.remote import RefusedError, post

__all__ = ["Deliverer", "announce", "event", "fresh_secret", "sign", "signed"]

LONGEST = 72 * 3600.0
_BATCH = 20
_WAIT = 60.0


def fresh_secret() -> str:
    """A signing secret as the SDKs take it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def sign(secret: str, name: str, timestamp: int, body: str) -> str:
    """The value of `webhook-signature`."""
    key = secret.removeprefix("whsec_")
    raw = base64.b64decode(key) if secret.startswith("whsec_") else secret.encode()
    mac = hmac.new(raw, f"{name}.{timestamp}.{body}".encode(), hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def signed(secrets_: Sequence[str], name: str, body: str) -> dict[str, str]:
    """The headers of a delivery; a signature for each secret that is valid now."""
    now = int(time.time())
    return {
        "Content-Type": "application/json",
        "User-Agent": "worldreel",
        "webhook-id": name,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(sign(secret, name, now, body) for secret in secrets_),
    }


def event(kind: str, video: str) -> tuple[str, str]:
    """An event's id, and its body."""
    name = f"evt_{secrets.token_hex(12)}"
    told: dict[str, Any] = {"id": name, "object": "event", "created_at": int(time.time())}
    return name, json.dumps(told | {"type": kind, "data": {"id": video}})


def announce(at: Connection, video: str, owner: str, kind: str) -> None:
    """Notes an event for every endpoint of the owner that asked for it, in the transaction."""
    now = time.time()
    asked = select(endpoints.c.id, endpoints.c.events).where(endpoints.c.owner == owner)
    for endpoint, events in at.execute(asked).all():
        if kind not in json.loads(events):
            continue
        name, body = event(kind, video)
        row = {"id": name, "endpoint": endpoint, "body": body, "created": now, "due": now}
        at.execute(insert(deliveries).values(**row, tries=0))


@dataclass(frozen=True, kw_only=True)
class _Letter:
    id: str
    url: str
    secret: str
    body: str
    created: float
    tries: int
    old_secret: str | None
    old_until: float | None


class Deliverer:
    """Sends what is due; several processes may do so at once."""

    def __init__(self, database: Database, *, private: bool) -> None:
        """`private`: whether events may go to addresses of the local network."""
        self.database, self.private = database, private

    def deliver(self) -> int:
        """Sends all that is due once; how many arrived."""
        return sum(self._send(letter) for letter in self._due())

    def _due(self) -> list[_Letter]:
        """What is due, put off for a minute so that nobody else sends it meanwhile."""
        now = time.time()
        joined = deliveries.join(endpoints, endpoints.c.id == deliveries.c.endpoint)
        wanted = (
            select(
                deliveries.c.id,
                endpoints.c.url,
                endpoints.c.secret,
                deliveries.c.body,
                deliveries.c.created,
                deliveries.c.tries,
                endpoints.c.old_secret,
                endpoints.c.old_until,
            )
            .select_from(joined)
            .where(deliveries.c.due <= now)
            .order_by(deliveries.c.due)
            .limit(_BATCH)
        )
        with self.database.read() as at:
            if at.execute(wanted).first() is None:
                return []
        with self.database.write() as at:
            rows = at.execute(wanted.with_for_update(skip_locked=True, of=deliveries))
            found = [_Letter(**row) for row in rows.mappings()]
            names = [letter.id for letter in found]
            later = {"due": now + _WAIT, "tries": deliveries.c.tries + 1}
            at.execute(update(deliveries).where(deliveries.c.id.in_(names)).values(later))
        return found

    def _send(self, letter: _Letter) -> bool:
        secrets_ = [letter.secret]
        if letter.old_secret and (letter.old_until or 0) > time.time():
            secrets_.append(letter.old_secret)
        headers = signed(secrets_, letter.id, letter.body)
        try:
            status = post(letter.url, letter.body.encode(), headers, private=self.private)
        except (RefusedError, OSError):
            status = 0
        arrived = 200 <= status < 300
        over = time.time() - letter.created > LONGEST
        this = and_(deliveries.c.id == letter.id)
        with self.database.write() as at:
            if arrived or over or status == 410:
                at.execute(delete(deliveries).where(this))
            else:
                wait = min(5.0 * 2**letter.tries, 6 * 3600.0) * (
                    0.8 + 0.4 * secrets.randbelow(100) / 100
                )
                at.execute(update(deliveries).where(this).values(due=time.time() + wait))
        return arrived
