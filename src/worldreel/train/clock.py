"""A run's clock: progress by time spent, so that a plan means the same on any machine.

A run is planned in minutes of a given machine. It may be stopped and resumed at will: the
seconds spent so far are part of the checkpoint.
"""

from __future__ import annotations

import time


class Clock:
    """Counts the seconds a run has worked, over all its sittings."""

    def __init__(self, minutes: float, *, spent: float = 0.0) -> None:
        self.total = minutes * 60
        self._before, self._start = spent, time.monotonic()

    @property
    def spent(self) -> float:
        """Seconds of work so far."""
        return self._before + time.monotonic() - self._start

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 … 1."""
        return min(1.0, self.spent / self.total)
