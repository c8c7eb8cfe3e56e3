"""What the endpoints share: one value, made once."""

from __future__ import annotations

import time

from worldreel.server.bucket import open_storage
from worldreel.server.database import Database
from worldreel.server.events import Hub
from worldreel.server.intake import Intake
from worldreel.server.jobs import Jobs
from worldreel.server.keys import Keys
from worldreel.server.metrics import Metrics
from worldreel.server.settings import Settings

__all__ = ["Server"]

_ALIVE = 15.0


class Server:
    """The parts of a server, put together."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.storage = open_storage(settings)
        self.jobs = Jobs(Database(settings.url))
        self.keys = Keys(self.jobs.database)
        self.intake = Intake(settings, self.jobs, self.storage)
        self.hub = Hub(self.jobs)
        self.metrics = Metrics(self.jobs, self.hub)
        self._pace: tuple[float, float | None] = (0.0, None)

    def poll_after(self) -> int:
        """Milliseconds after which asking again is worth while: a quarter of what jobs take."""
        at, pace = self._pace
        if time.monotonic() - at > 2 or not at:
            self._pace = (time.monotonic(), pace := self.jobs.pace())
        return 1000 if pace is None else int(min(max(pace / 4 * 1000, 250), 10_000))

    def ready(self) -> str | None:
        """None if a job would be taken and worked at now; else what is missing."""
        if self.intake.draining:
            return "the server is about to stop"
        self.storage.check_space()
        if not self.jobs.alive(within=_ALIVE):
            return "no worker is alive"
        if self.jobs.waiting() >= self.settings.queue:
            return "the queue is full"
        return None
