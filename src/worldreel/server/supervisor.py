"""Keeps workers running, gives back what dead ones held, and tidies up.

A worker that dies is seen at once by the process that started it, and its job is free again; the
lease is for machines that die whole. Of a worker that was killed because memory ran out (the
kernel counts those) the job fails: it would kill the next one too.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from worldreel.errors import message
from worldreel.server.bucket import open_storage
from worldreel.server.jobs import Jobs
from worldreel.server.settings import Settings
from worldreel.server.webhooks import Deliverer

__all__ = ["Supervisor", "memory_kills"]

_COUNTERS = ("/sys/fs/cgroup/memory.events", "/proc/vmstat")
_BROKEN = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE}
_TICK, _TIDY = 0.2, 60.0
log = logging.getLogger("worldreel.server")


def memory_kills(counters: tuple[str, ...] = _COUNTERS) -> int:
    """Processes that the kernel has killed for memory, here or anywhere on the machine."""
    found = 0
    for counter in counters:
        with suppress(OSError, ValueError):
            for line in Path(counter).read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill":
                    found += int(value)
    return found


class Supervisor:
    """The workers of one machine."""

    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        self.settings, self.jobs = settings, jobs
        self.storage = open_storage(settings)
        self.deliverer = Deliverer(jobs.database, private=settings.loopback)
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()
        self._kills = memory_kills()
        self._threads = [
            threading.Thread(target=self._watch, name="supervisor", daemon=True),
            threading.Thread(target=self._post, name="webhooks", daemon=True),
        ]

    def start(self) -> None:
        """Starts the workers, and the threads that look after them and send events."""
        for _ in range(self.settings.workers):
            self._start_one()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Lets the workers finish what they are at, within the time for that."""
        self._stopping.set()
        for process in self._workers.values():
            process.terminate()
        end = time.monotonic() + self.settings.drain + 10
        for name, process in self._workers.items():
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with suppress(DBAPIError):
                self.jobs.release(name)
        for thread in self._threads:
            thread.join(5)

    def _start_one(self) -> None:
        name = f"{socket.gethostname()[:30]}-{os.getpid()}-{secrets.token_hex(4)}"
        command = [sys.executable, "-P", "-m", "worldreel.server.worker"]
        self._workers[name] = subprocess.Popen(
            [*command, self.settings.to_json(), name, f"{os.getpid()}"], stdin=subprocess.DEVNULL
        )

    def _watch(self) -> None:
        tidied = 0.0
        while not self._stopping.wait(_TICK):
            try:
                self._replace()
                if time.monotonic() - tidied > _TIDY:
                    tidied = time.monotonic()
                    self.tidy()
            except (DBAPIError, OSError) as error:
                log.warning("the workers cannot be looked after: %s", error)
                self._stopping.wait(1)

    def _replace(self) -> None:
        for name, process in list(self._workers.items()):
            code = process.poll()
            if code is None:
                continue
            self._bury(name, code)
            del self._workers[name]
            if not self._stopping.is_set():
                if code != 0:
                    log.warning("worker %s ended with %s; another begins", name, code)
                self._start_one()

    def _bury(self, name: str, code: int) -> None:
        """What a dead worker held is free again, unless it is what killed it."""
        kills, self._kills = self._kills, memory_kills()
        job = self.jobs.held(name)
        if job is not None and code == -signal.SIGKILL and self._kills > kills:
            came = "the server's memory is too small for this video"
            told = message(came, "ask for fewer seconds or a smaller size")
            self.jobs.fail(job, code="out_of_memory", told=told)
        elif job is not None and code in _BROKEN:
            self.jobs.crashed(job)
        self.jobs.release(name)

    def tidy(self) -> int:
        """Removes what crashes left and what is kept no longer; how many things went."""
        for job in self.jobs.expired():
            self.storage.forget(result=job.result, upload=job.asked.get("file"))
        before = time.time()
        return self.storage.reconcile(*self.jobs.references(), before=before)

    def _post(self) -> None:
        while not self._stopping.wait(1.0):
            with suppress(DBAPIError):
                while self.deliverer.deliver() and not self._stopping.is_set():
                    pass
