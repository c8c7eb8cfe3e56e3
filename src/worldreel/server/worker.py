"""A worker: takes one job after another from the database and makes its video.

    python -m worldreel.server.worker SETTINGS NAME [PID OF WHO STARTS IT]

A thread renews the lease while the model computes; between two steps the job itself is asked
whether it is still wanted. It stops when told (SIGTERM: after this job, or giving it back when the
time for that is over), and when the process that started it is gone.
"""

from __future__ import annotations

import errno
import importlib
import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from types import FrameType

from sqlalchemy.exc import DBAPIError

from worldreel.errors import RefusedError, WorldreelError, message
from worldreel.server import pictures, previews
from worldreel.server.bucket import open_storage
from worldreel.server.database import Database
from worldreel.server.errors import ApiError
from worldreel.server.jobs import CancelledError, Job, Jobs, LostError
from worldreel.server.making import Maker
from worldreel.server.orders import Order
from worldreel.server.settings import Settings
from worldreel.server.storage import VARIANTS

__all__ = ["Worker", "main"]

POLL = 0.15
_OFTEN = 0.25
_SHOWN = 0.8
log = logging.getLogger("worldreel.worker")


class _StoppedError(Exception):
    """The time to finish a job is over."""


class Worker:
    """One process's share of the work."""

    def __init__(self, settings: Settings, name: str, jobs: Jobs, maker: Maker) -> None:
        self.settings, self.name, self.jobs, self.maker = settings, name, jobs, maker
        self.storage = open_storage(settings)
        self.parent = os.getppid()
        self.deadline: float | None = None
        self.job: Job | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Works until told to stop; ends the process's work cleanly."""
        heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        heart.start()
        try:
            while self.deadline is None and os.getppid() == self.parent:
                try:
                    if not self._next():
                        time.sleep(POLL)
                except DBAPIError as error:  # a full disk, a database that restarts: not the job's
                    log.warning("the database does not answer: %s", error.orig)
                    time.sleep(1)
        finally:
            self._ended.set()
            heart.join(5)
            with suppress(DBAPIError):
                self.jobs.release(self.name)

    def stop(self, *_: int | FrameType | None) -> None:
        """Take no further job; finish this one if it takes no longer than `drain` seconds."""
        self.deadline = time.monotonic() + self.settings.drain

    def _next(self) -> bool:
        lease = self.settings.lease
        job = self.jobs.claim(self.name, self.settings.models, self.maker.loaded, lease=lease)
        if job is None:
            return False
        if job.attempt > self.settings.attempts or job.crashes >= self.settings.crashes:
            told = message("the workers broke down over this video", "ask for another one")
            self.jobs.fail(job, code="worker_crashed", told=told)
            return True
        self.job = job
        try:
            self._work(job)
        finally:
            self.job = None
        return True

    def _work(self, job: Job) -> None:
        try:
            self._make(job)
        except LostError as lost:
            log.info("%s: %s", job.id, type(lost).__name__.lower())
            if isinstance(lost, CancelledError):
                self.jobs.fail(job, code="cancelled", told="The video was cancelled.")
        except _StoppedError:
            log.info("%s: given back", job.id)
        except DBAPIError:
            raise
        except Exception as error:
            code, told = _why(error)
            log.warning("%s: %s (%s)", job.id, code, error, exc_info=code == "internal_error")
            self.jobs.fail(job, code=code, told=told)
            if code == "out_of_memory":  # begin again with a clean process
                self.stop()

    def _make(self, job: Job) -> None:
        order = Order.from_json(job.order)
        self.storage.check_space()
        source = next(iter([self.storage.upload(name) for name in order.files]), None)
        notes = list(order.notes)
        with self.storage.making(job.id, job.attempt) as part:
            video = part / VARIANTS["video"][0]
            said, shows = 0.0, 0.0
            with closing(self.maker.make(order, source, video)) as steps:
                for step in steps:
                    self.jobs.check(job)
                    if self.deadline is not None and time.monotonic() > self.deadline:
                        raise _StoppedError
                    notes += step.notes
                    if self.settings.previews and step.preview and time.monotonic() > shows:
                        began = time.monotonic()
                        with suppress(DBAPIError):  # a video is worth more than a look at it
                            previews.put(self.jobs.database, job.id, step.step, step.preview())
                        # Never more than a fifth of the time, nor more often than eyes need it.
                        shows = time.monotonic() + max(_SHOWN, 4 * (time.monotonic() - began))
                    if time.monotonic() - said > _OFTEN:
                        said = time.monotonic()
                        done = min(99, round(99 * step.step / step.steps))
                        told = {"step": step.step, "steps": step.steps, "eta": step.remaining}
                        self.jobs.renew(job, lease=self.settings.lease, progress=done, **told)
            width, height, seconds = pictures.told(video)
            pictures.draw(video)
            self.jobs.check(job)
            result = self.storage.publish(part)
        try:
            self.jobs.complete(
                job,
                result=result,
                seconds=f"{round(seconds, 2):g}",
                size=f"{width}x{height}",
                notes=json.dumps(list(dict.fromkeys(notes))),
                keep=self.settings.keep,
            )
        except BaseException:
            # Whether it was committed may be unknown; only what no row names may go.
            now = self.jobs.get(job.id, job.owner)
            if now is None or now.result != result:
                self.storage.forget(result=result)
            raise

    def _beat(self) -> None:
        while not self._ended.wait(self.settings.lease / 5):
            with suppress(DBAPIError, LostError):
                self.jobs.beat(self.name, models=self.settings.models, loaded=self.maker.loaded)
                job = self.job
                if job is not None:
                    self.jobs.renew(job, lease=self.settings.lease)


def _why(error: Exception) -> tuple[str, str]:
    """What a user is told of what went wrong: never a trace, never a path."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        needed = "ask for fewer seconds or a smaller size"
        return "out_of_memory", message("the server's memory is too small for this video", needed)
    if isinstance(error, ApiError):
        return error.code, str(error)
    reason = error.__cause__ if isinstance(error, WorldreelError) else error
    if isinstance(reason, OSError) and reason.errno in (errno.ENOSPC, errno.EDQUOT):
        told = message("the server's disk is full", "try again later")
        return "disk_full", told
    if isinstance(error, RefusedError):
        return "moderation_blocked", str(error)
    if isinstance(error, WorldreelError):
        return "invalid_request", str(error)
    told = message("something went wrong on the server", "try again, or tell its operator")
    return "internal_error", told


def main() -> None:
    """Runs a worker by the settings in the arguments."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    settings, name = Settings.from_json(sys.argv[1]), sys.argv[2]
    with suppress(OSError):  # when memory runs out it should be a worker's, not the server's
        Path("/proc/self/oom_score_adj").write_text("500")
    module, _, factory = settings.maker.partition(":")
    maker: Maker = getattr(importlib.import_module(module), factory)(settings.loras)
    worker = Worker(settings, name, Jobs(Database(settings.url)), maker)
    # Told rather than asked for: who started us may have died while we were starting.
    worker.parent = int(sys.argv[3]) if len(sys.argv) > 3 else worker.parent
    signal.signal(signal.SIGTERM, worker.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the server, which tells us
    worker.jobs.beat(name, models=settings.models, loaded=None)
    worker.run()


if __name__ == "__main__":
    main()
