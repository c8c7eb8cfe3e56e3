"""Scenes whose next second is settled by the last two: steady motion, pans, zooms, bounces.

Steady means that the camera's path and the actor's are straight lines in time (to 2 % of the
frame's height), that something moves, and that the actor is in view throughout. A camera that
follows shows ground that nobody could know: such scenes are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from worldreel.evaluate.figures import FIRST_SEED
from worldreel.world.cast import TRAVELS
from worldreel.world.config import WorldConfig
from worldreel.world.facts import facts
from worldreel.world.scene import Scene, sample_scene

__all__ = ["SPEEDS", "best_speed", "held_out", "settled", "steady"]

Floats = NDArray[np.float64]

SPEEDS = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)
"""How fast a continuation may have gone on, against the truth: backward, not at all, forward."""
_STRAIGHT, _MOVES = 0.02, 0.05
_STILL = ("idle", "float")


def held_out(world: WorldConfig, start: int = FIRST_SEED) -> Iterator[Scene]:
    """Scenes that no training saw, of seen and unseen combinations in turn, without end."""
    seed = start
    while True:
        yield sample_scene(seed, config=world, split=("seen", "unseen")[seed % 2])
        seed += 1


def steady(scene: Scene, times: Floats, aspect: float) -> bool:
    """Whether what happens at `times` (seconds) follows from its beginning, and something does."""
    if len(scene.actors) != 1 or scene.camera.name in ("follow", "handheld"):
        return False
    cast = scene.actors[0]
    if not all(share > 0.75 for share in facts(scene, times, aspect)["actors"][0]["in_view"]):
        return False
    if cast.behaviour == "bounce":
        return scene.camera.name == "static"
    if cast.behaviour not in (*TRAVELS, *_STILL) or cast.direction in ("up", "down"):
        return False
    line = scene.timeline(times, aspect=aspect)
    camera = line.camera.astype(np.float64)
    paths = [camera[:, 0], camera[:, 1], np.log(camera[:, 2])]
    paths.append(line.position[:, 0, 0].astype(np.float64))
    bends = max(float(np.abs(path - _line(path)).max()) for path in paths)
    last = len(times) // 3  # the third that is to be made
    travel = max(abs(float(path[-1] - path[-last])) for path in paths)
    return bends <= _STRAIGHT and travel >= _MOVES


def settled(scene: Scene) -> bool:
    """Whether its motion has a direction in time; a bounce looks the same both ways."""
    return scene.actors[0].behaviour != "bounce"


def _line(path: Floats) -> Floats:
    """The straight line nearest to a path [T]."""
    at = np.arange(len(path), dtype=np.float64)
    slope, level = np.polyfit(at, path, 1)
    return np.asarray(slope * at + level)


def best_speed(made: Tensor, truth: Tensor, join: int, speeds: Sequence[float] = SPEEDS) -> float:
    """At which of `speeds` the truth would have to go on to look most like what was made.

    Args:
        made: uint8 `[n, H, W, 3]`, the frames from `join` on.
        truth: uint8 `[T, H, W, 3]`, with at least n frames before and from `join` on.
    """
    count = len(made)
    assert count < join and join + count <= len(truth), (count, join, len(truth))
    pooled = _pooled(truth)
    shown = _pooled(made)
    ahead = torch.arange(1, count + 1)
    errors = []
    for speed in speeds:
        indices = (join - 1 + speed * ahead).round().long()
        errors.append(float((shown - pooled[indices]).square().mean()))
    return speeds[int(np.argmin(errors))]


def _pooled(frames: Tensor) -> Tensor:
    """Frames at a quarter of their size: small misses of place shall not count."""
    return F.avg_pool2d(frames.permute(0, 3, 1, 2).float(), 4)
