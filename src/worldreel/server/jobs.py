"""Jobs: rows that change only by statements which cannot be half-done.

    queued → in_progress (claimed: a worker's name, an attempt, a lease) → completed | failed

A worker that stops renewing its lease loses the job to the next; whatever it does afterwards is
refused, because every statement of a worker names the attempt it was given. So a killed process
loses nothing, and one that was only asleep doubles nothing.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    case,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from worldreel.errors import message
from worldreel.server import previews
from worldreel.server.database import Database, characters, videos, workers
from worldreel.server.errors import ApiError, busy, invalid
from worldreel.server.webhooks import announce

__all__ = ["CancelledError", "Job", "Jobs", "LostError", "fresh_id"]

PATIENCE = 60.0
"""Seconds after which a job no longer waits for a worker that has its model loaded."""


class LostError(Exception):
    """The job is no longer this worker's."""


class CancelledError(LostError):
    """The user wants it no more."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A row of `videos`; times are Unix seconds, `order` and `notes` JSON."""

    id: str
    owner: str
    created: float
    model: str
    engine: str
    task: str
    prompt: str
    order: str
    seconds: str
    size: str
    digest: str
    remixed_from: str | None = None
    status: str = "queued"
    progress: int = 0
    step: int | None = None
    steps: int | None = None
    eta: float | None = None
    started: float | None = None
    completed: float | None = None
    expires: float | None = None
    error_code: str | None = None
    error_message: str | None = None
    result: str | None = None
    notes: str = "[]"
    priority: int = 0
    worker: str | None = None
    lease: float | None = None
    attempt: int = 0
    crashes: int = 0
    cancelled: bool = False
    idempotency: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ("completed", "failed")

    @property
    def asked(self) -> dict[str, Any]:
        """The order as values."""
        values: dict[str, Any] = json.loads(self.order)
        return values


def fresh_id(kind: str) -> str:
    """An id that nobody can guess; those made later sort later."""
    return f"{kind}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def _open(now: float) -> Any:
    """The jobs that a worker may take: queued, or of a worker that went silent."""
    silent = and_(videos.c.status == "in_progress", videos.c.lease < now)
    return or_(videos.c.status == "queued", silent)


class Jobs:
    """All that is ever done to jobs."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # What users do.

    def add(self, job: Job, *, limit: int) -> Job:
        """Puts a job into the queue; the same idempotency key gives the same job again.

        Raises `ApiError`: the queue holds `limit` jobs, or the key was used for another request.
        """
        if job.idempotency is None and self.waiting() >= limit:  # no lock is taken to say no
            with self.database.read() as at:
                raise _full(limit, self._wait(at))
        try:
            with self.database.write() as at:
                known = self._same(at, job)
                if known is not None:
                    return known
                if (at.scalar(_WAITING) or 0) >= limit:
                    raise _full(limit, self._wait(at))
                at.execute(insert(videos).values(**vars(job)))
                return job
        except IntegrityError:  # on PostgreSQL two may come at once; the first has won
            known = self.same(job)
            assert known is not None
            return known

    def same(self, job: Job) -> Job | None:
        """The job that has this one's idempotency key; raises if it was another request."""
        with self.database.read() as at:
            return self._same(at, job)

    def _same(self, at: Connection, job: Job) -> Job | None:
        if job.idempotency is None:
            return None
        mine = and_(videos.c.owner == job.owner, videos.c.idempotency == job.idempotency)
        row = at.execute(select(videos).where(mine)).mappings().first()
        if row is None:
            return None
        if row["digest"] != job.digest:
            came = "this Idempotency-Key belongs to another request"
            raise invalid(message(came, "use a new one"), code="idempotency_key_reused")
        return Job(**row)

    def get(self, name: str, owner: str) -> Job | None:
        """The owner's job of this id."""
        with self.database.read() as at:
            mine = and_(videos.c.id == name, videos.c.owner == owner)
            row = at.execute(select(videos).where(mine)).mappings().first()
        return None if row is None else Job(**row)

    def page(
        self, owner: str, *, after: str | None, limit: int, ascending: bool
    ) -> tuple[list[Job], bool]:
        """`limit` jobs after the one with the id `after`, and whether there are more."""
        wanted = select(videos).where(videos.c.owner == owner)
        if after:
            wanted = wanted.where(videos.c.id > after if ascending else videos.c.id < after)
        order = videos.c.id.asc() if ascending else videos.c.id.desc()
        with self.database.read() as at:
            rows = at.execute(wanted.order_by(order).limit(limit + 1)).mappings().all()
        return [Job(**row) for row in rows[:limit]], len(rows) > limit

    def among(self, names: Sequence[str]) -> dict[str, Job]:
        """The jobs of these ids, whoever owns them."""
        with self.database.read() as at:
            rows = at.execute(select(videos).where(videos.c.id.in_(names))).mappings().all()
        return {row["id"]: Job(**row) for row in rows}

    def cancel(self, name: str, owner: str) -> Job | None:
        """Ends a waiting job at once and a running one at its next step."""
        mine = and_(videos.c.id == name, videos.c.owner == owner)
        waiting = and_(mine, videos.c.status == "queued")
        with self.database.write() as at:
            told = {"error_code": "cancelled", "error_message": "The video was cancelled."}
            ended = at.execute(
                update(videos)
                .where(waiting)
                .values(status="failed", cancelled=True, completed=time.time(), **told)
            )
            if ended.rowcount:
                announce(at, name, owner, "video.failed")
            running = and_(mine, videos.c.status == "in_progress")
            at.execute(update(videos).where(running).values(cancelled=True))
            row = at.execute(select(videos).where(mine)).mappings().first()
        return None if row is None else Job(**row)

    def remove(self, name: str, owner: str) -> Job | None:
        """Takes the row away; a worker at it notices at its next step. Returns what it was."""
        mine = and_(videos.c.id == name, videos.c.owner == owner)
        with self.database.write() as at:
            row = at.execute(select(videos).where(mine)).mappings().first()
            at.execute(delete(videos).where(mine))
            if row is not None:
                previews.drop(at, name)
        return None if row is None else Job(**row)

    def position(self, job: Job) -> int:
        """How many will be begun before a waiting job, and itself."""
        before = or_(
            videos.c.priority > job.priority,
            and_(videos.c.priority == job.priority, videos.c.id <= job.id),
        )
        with self.database.read() as at:
            count = select(func.count()).where(videos.c.status == "queued", before)
            return int(at.scalar(count) or 0)

    # What workers do.

    def claim(
        self, worker: str, engines: Sequence[str], loaded: str | None, *, lease: float
    ) -> Job | None:
        """The next job for a worker, now its own for `lease` seconds."""
        now = time.time()
        first = (
            select(videos.c.id)
            .where(videos.c.engine.in_(engines), _open(now))
            .order_by(
                case((videos.c.status == "in_progress", 0), else_=1),
                videos.c.priority.desc(),
                case((videos.c.created < now - PATIENCE, 0), else_=1),
                case((videos.c.engine == (loaded or ""), 0), else_=1),
                videos.c.id,
            )
            .limit(1)
        )
        with self.database.read() as at:  # mostly there is nothing, and no lock to be taken for it
            if at.scalar(first) is None:
                return None
        with self.database.write() as at:
            name = at.scalar(first.with_for_update(skip_locked=True))
            if name is None:
                return None
            values = {"status": "in_progress", "worker": worker, "lease": now + lease}
            begun = func.coalesce(videos.c.started, now)
            at.execute(
                update(videos)
                .where(videos.c.id == name)
                .values(**values, attempt=videos.c.attempt + 1, started=begun)
            )
            row = at.execute(select(videos).where(videos.c.id == name)).mappings().one()
        return Job(**row)

    def check(self, job: Job) -> None:
        """Raises `CancelledError` or `LostError` if the worker should let go of its job."""
        with self.database.read() as at:
            wanted = select(videos.c.cancelled).where(_held(job))
            row = at.execute(wanted).first()
        if row is None:
            raise LostError(job.id)
        if row[0]:
            raise CancelledError(job.id)

    def renew(self, job: Job, *, lease: float, **progress: Any) -> None:
        """Keeps the job for another `lease` seconds, and says how far it is; raises `LostError`."""
        with self.database.write() as at:
            values = {"lease": time.time() + lease, **progress}
            done = at.execute(update(videos).where(_held(job)).values(**values))
        if not done.rowcount:
            raise LostError(job.id)

    def complete(
        self, job: Job, *, result: str, seconds: str, size: str, notes: str, keep: float | None
    ) -> None:
        """The job is done and its files are on the disk; raises `LostError` or `CancelledError`."""
        now = time.time()
        values = {"status": "completed", "progress": 100, "completed": now, "result": result}
        values |= {"seconds": seconds, "size": size, "notes": notes, "eta": 0.0, "lease": None}
        values |= {"expires": None if keep is None else now + keep}
        with self.database.write() as at:
            held = and_(_held(job), videos.c.cancelled == false())
            done = at.execute(update(videos).where(held).values(**values))
            if done.rowcount:
                announce(at, job.id, job.owner, "video.completed")
                previews.drop(at, job.id)
        if not done.rowcount:
            self.check(job)
            raise LostError(job.id)

    def fail(self, job: Job, *, code: str, told: str) -> None:
        """The job has failed for good; nothing happens if it is no longer the worker's."""
        values = {"status": "failed", "completed": time.time(), "lease": None}
        values |= {"error_code": code, "error_message": told}
        with self.database.write() as at:
            done = at.execute(update(videos).where(_held(job)).values(**values))
            if done.rowcount:
                announce(at, job.id, job.owner, "video.failed")
                previews.drop(at, job.id)

    def release(self, worker: str) -> None:
        """Gives back what a worker holds: it stops, or is known to be dead."""
        mine = and_(videos.c.worker == worker, videos.c.status == "in_progress")
        with self.database.write() as at:
            at.execute(update(videos).where(mine).values(status="queued", worker=None, lease=None))
            at.execute(delete(workers).where(workers.c.id == worker))

    def held(self, worker: str) -> Job | None:
        """The job that a worker is at."""
        mine = and_(videos.c.worker == worker, videos.c.status == "in_progress")
        with self.database.read() as at:
            row = at.execute(select(videos).where(mine)).mappings().first()
        return None if row is None else Job(**row)

    def crashed(self, job: Job) -> None:
        """Counts that a worker broke down over the job."""
        with self.database.write() as at:
            at.execute(update(videos).where(_held(job)).values(crashes=videos.c.crashes + 1))

    def beat(self, worker: str, *, models: Sequence[str], loaded: str | None) -> None:
        """A sign of life."""
        values = {"beat": time.time(), "models": json.dumps(list(models)), "loaded": loaded}
        with self.database.write() as at:
            if not at.execute(
                update(workers).where(workers.c.id == worker).values(values)
            ).rowcount:
                at.execute(insert(workers).values(id=worker, **values))

    # What the operator sees.

    def counts(self) -> dict[str, int]:
        """Jobs by status."""
        counted = select(videos.c.status, func.count()).group_by(videos.c.status)
        with self.database.read() as at:
            found = {row[0]: int(row[1]) for row in at.execute(counted)}
        return {
            name: found.get(name, 0) for name in ("queued", "in_progress", "completed", "failed")
        }

    def alive(self, *, within: float) -> int:
        """Workers that gave a sign of life lately."""
        recent = select(func.count()).where(workers.c.beat > time.time() - within)
        with self.database.read() as at:
            return int(at.scalar(recent) or 0)

    def pace(self) -> float | None:
        """Seconds that the last jobs took, on average."""
        with self.database.read() as at:
            return self._pace(at)

    def _pace(self, at: Connection) -> float | None:
        done = and_(videos.c.status == "completed", videos.c.started.is_not(None))
        last = select(videos.c.completed - videos.c.started).where(done)
        took = at.scalars(last.order_by(videos.c.completed.desc()).limit(10)).all()
        return sum(took) / len(took) if took else None

    def waiting(self) -> int:
        """How many are in the queue."""
        with self.database.read() as at:
            return int(at.scalar(_WAITING) or 0)

    def _wait(self, at: Connection) -> float:
        recent = select(func.count()).where(workers.c.beat > time.time() - 30)
        each = (self._pace(at) or 5.0) / max(1, at.scalar(recent) or 1)
        return min(max(1.0, each), 120.0)

    def expired(self) -> list[Job]:
        """Takes away the jobs whose results are kept no longer."""
        old = and_(videos.c.expires.is_not(None), videos.c.expires < time.time())
        with self.database.write() as at:
            rows = at.execute(select(videos).where(old)).mappings().all()
            at.execute(delete(videos).where(old))
        return [Job(**row) for row in rows]

    def references(self) -> tuple[set[str], set[str], set[tuple[str, int]]]:
        """Results and uploads that rows name, and the (id, attempt) that are being made."""
        with self.database.read() as at:
            rows = at.execute(
                select(
                    videos.c.result, videos.c.order, videos.c.id, videos.c.attempt, videos.c.status
                ).where(true())
            ).all()
        results = {row[0] for row in rows if row[0]}
        asked = [json.loads(row[1]) for row in rows]
        uploads = {order["file"] for order in asked if order.get("file")}
        for part in ("given", "cast"):
            uploads |= {given["file"] for order in asked for given in order.get(part, ())}
        with self.database.read() as at:
            uploads |= set(at.scalars(select(characters.c.file)))
        making = {(row[2], row[3]) for row in rows if row[4] == "in_progress"}
        return results, uploads, making


_WAITING = select(func.count()).where(videos.c.status == "queued")


def _full(limit: int, wait: float) -> ApiError:
    return busy(message(f"{limit} videos are waiting already", "try again later"), wait=wait)


def _held(job: Job) -> Any:
    """The job is still what it was when the worker was given it."""
    return and_(
        videos.c.id == job.id,
        videos.c.attempt == job.attempt,
        videos.c.worker == job.worker,
        videos.c.status == "in_progress",
    )
