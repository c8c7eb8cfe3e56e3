"""How long and how much memory a video will take: what the last ones took here, and no guess.

A video's work is (seconds to be made) × (steps), at the model's own size; the time of a new one is
the median time for a unit of work among the finished ones, beside a constant for what does not
grow. Before anything was made nobody knows, and that is what is said.
"""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from worldreel.server.jobs import Job

__all__ = ["estimate", "memory_of_workers"]

_CONSTANT = 1.5
"""Seconds of every job that do not grow with it: review, signature, thumbnail."""


def estimate(
    jobs: Sequence[Job], *, seconds: float, steps: int | None, usual: int | None
) -> dict[str, Any]:
    """{"seconds": how long or None, "from": how many videos say so, "memory": bytes or None}.

    `usual` are the steps of a job that names none.
    """
    paces = []
    for job in jobs:
        if job.started is None or job.completed is None:
            continue
        work = _work(job.asked["seconds"], job.asked["steps"], usual)
        paces.append(max(0.05, job.completed - job.started - _CONSTANT) / work)
    took = None
    if paces:
        took = _CONSTANT + statistics.median(paces[:20]) * _work(seconds, steps, usual)
    return {
        "seconds": None if took is None else round(took, 1),
        "from": len(paces),
        "memory": memory_of_workers(),
    }


def _work(seconds: float, steps: int | None, usual: int | None) -> float:
    return max(0.25, float(seconds)) * (steps or usual or 20)


def memory_of_workers() -> int | None:
    """The most bytes that a worker of this machine has held so far; None where nobody can tell."""
    most = 0
    with suppress(OSError, ValueError):
        for place in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
            for child in place.read_text().split():
                most = max(most, _peak(child))
    return most or None


def _peak(process: str) -> int:
    with suppress(OSError):
        if b"server.worker" not in Path(f"/proc/{process}/cmdline").read_bytes():
            return 0
        status = Path(f"/proc/{process}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0
    return 0
