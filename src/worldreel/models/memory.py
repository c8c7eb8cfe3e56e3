"""How much memory there is, asked before gigabytes are read into it.

A process that runs out of main memory is killed without a word; here it is told in time. What is
free is the system's estimate (`MemAvailable`), or what the limit of the control group leaves in
a container, whichever is less. Where a system tells neither, nothing is refused.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

from worldreel.errors import WeightsError, message
from worldreel.models.catalogue import told

__all__ = ["free", "require"]

_TABLE = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")
_SPARE = 2**28
"""Bytes beside the weights: a layer while it is put together, Python itself."""


def free(device: str | torch.device = "cpu") -> int | None:
    """Bytes that can be had on a device, or None if nobody knows."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) if torch.cuda.is_available() else None
    if device.type != "cpu":
        return None
    known = [value for value in (_available(), _left()) if value is not None]
    return min(known, default=None)


def require(needed: int, device: str | torch.device = "cpu", *, what: str) -> None:
    """Raises `WeightsError` if `what`, of `needed` bytes, does not fit into a device's memory."""
    there = free(device)
    if there is None or needed + _SPARE <= there:
        return
    where = "this machine" if torch.device(device).type == "cpu" else "the GPU"
    came = f"{what} takes {told(needed)} of memory and {where} has {told(there)} left"
    raise WeightsError(message(came, "close other programs or take a smaller model"))


def _available() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in _TABLE.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _left() -> int | None:
    """What a container's limit leaves: pages of files do not count, the system drops them."""
    with suppress(OSError, ValueError):
        most = int((_GROUP / "memory.max").read_text())
        used = int((_GROUP / "memory.current").read_text())
        for line in (_GROUP / "memory.stat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name in ("inactive_file", "active_file"):
                used -= int(count)
        return max(0, most - used)
    return None
