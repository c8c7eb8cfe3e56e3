"""Progress as it happens (server-sent events), for any number of listeners by one query at a time.

event: video.progress            data: the Video, as GET /videos/{id} shows it
event: video.preview             data: {"id", "step", "image"}: a data: URL of what it is becoming
event: video.completed | video.failed | video.deleted            … and the stream ends
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from worldreel.server.jobs import Job, Jobs
from worldreel.server.previews import newest, picture
from worldreel.server.views import shown

__all__ = ["Hub"]

_EVERY = 0.25
_COMMENT = 15.0
_BATCH = 500


class Hub:
    """Listeners by the video they listen to; each keeps only the newest state."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.closing = False
        self._listeners: dict[str, set[_Listener]] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(len(some) for some in self._listeners.values())

    async def follow(self, job: Job, *, previews: bool = False) -> AsyncIterator[bytes]:
        """The events of a job, from its present state to its end, with `previews` if asked."""
        yield _event(job)
        if job.ended:
            return
        listener = _Listener(job)
        self._listeners.setdefault(job.id, set()).add(listener)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        try:
            while not self.closing:
                try:
                    await asyncio.wait_for(listener.changed.wait(), _COMMENT)
                except TimeoutError:
                    yield b": still here\n\n"  # so that proxies keep the connection
                    continue
                listener.changed.clear()
                now = listener.job
                if previews and listener.fresh:
                    listener.fresh = False
                    if image := await run_in_threadpool(picture, self.jobs.database, job.id):
                        yield _preview(job.id, listener.preview, image)
                yield _deleted(job.id) if now is None else _event(now)
                if now is None or now.ended:
                    return
        finally:
            some = self._listeners.get(job.id, set())
            some.discard(listener)
            if not some:
                self._listeners.pop(job.id, None)

    async def _poll(self) -> None:
        while self._listeners and not self.closing:
            await asyncio.sleep(_EVERY)
            names = list(self._listeners)
            for first in range(0, len(names), _BATCH):
                part = names[first : first + _BATCH]
                with suppress(DBAPIError):
                    found = await run_in_threadpool(self.jobs.among, part)
                    looks = await run_in_threadpool(newest, self.jobs.database, part)
                    for name in part:
                        for listener in self._listeners.get(name, ()):
                            listener.tell(found.get(name), looks.get(name))

    def close(self) -> None:
        """Ends all streams: the server stops."""
        self.closing = True
        for some in self._listeners.values():
            for listener in some:
                listener.changed.set()


class _Listener:
    def __init__(self, job: Job) -> None:
        self.job: Job | None = job
        self.changed = asyncio.Event()
        self.preview: int | None = None
        self.fresh = False

    def tell(self, job: Job | None, preview: int | None) -> None:
        if preview is not None and preview != self.preview:
            self.preview, self.fresh = preview, True
            self.changed.set()
        if _state(job) != _state(self.job):
            self.job = job
            self.changed.set()


def _state(job: Job | None) -> Any:
    return None if job is None else (job.status, job.progress, job.step, job.completed)


def _event(job: Job) -> bytes:
    kind = f"video.{job.status}" if job.ended else "video.progress"
    return f"event: {kind}\ndata: {json.dumps(shown(job))}\n\n".encode()


def _preview(name: str, step: int | None, image: bytes) -> bytes:
    url = "data:image/webp;base64," + base64.b64encode(image).decode()
    told = {"id": name, "object": "video.preview", "step": step, "image": url}
    return f"event: video.preview\ndata: {json.dumps(told)}\n\n".encode()


def _deleted(name: str) -> bytes:
    told = {"id": name, "object": "video.deleted", "deleted": True}
    return f"event: video.deleted\ndata: {json.dumps(told)}\n\n".encode()
