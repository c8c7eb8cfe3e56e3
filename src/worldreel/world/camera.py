"""The camera's path: centre and zoom as functions of time.

Names carry the camera's sign: `pan right` moves the camera right, so the world slides left.
A panorama covers y from -0.25 to 1.25, so the centre is kept where the view stays inside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from worldreel.world.cast import CameraMove

Floats = NDArray[np.float64]

_PAN = {"pan left": -1.0, "pan right": 1.0}
_TILT = {"tilt up": -1.0, "tilt down": 1.0}


def camera_path(
    move: CameraMove, times: Floats, *, duration: float, aspect: float, followed: Floats | None
) -> NDArray[np.float32]:
    """Returns [T, 3]: x, y (world units) and zoom (visible height = 1 / zoom) at `times` seconds.

    `followed` [T] is the x of the actor that a `follow` camera keeps in view.
    """
    progress = np.clip(times / duration, 0.0, 1.0)
    swing = 2.0 * progress - 1.0
    x, y, zoom = np.zeros_like(times), np.full_like(times, 0.5), np.ones_like(times)
    if move.name in _PAN:
        x = _PAN[move.name] * swing * move.amount * aspect / 2
    elif move.name in _TILT:
        y = 0.5 + _TILT[move.name] * swing * move.amount
    elif move.name in ("zoom in", "zoom out"):
        closeness = progress if move.name == "zoom in" else 1.0 - progress
        zoom = np.exp(move.amount * closeness)
        # The fixed point of a zoom is its target: the centre nears it as the view narrows.
        share = 1.0 - 1.0 / zoom
        x = move.target[0] * aspect / 2 * share
        y = 0.5 + (move.target[1] - 0.5) * share
    elif move.name == "follow":
        assert followed is not None, "a follow camera needs someone to follow"
        x = followed
    elif move.name == "handheld":
        x, y, zoom = _tremor(times, move)
    y = np.clip(y, 0.5 / zoom - 0.25, 1.25 - 0.5 / zoom)
    return np.stack([x, y, zoom], axis=-1).astype(np.float32)


def _tremor(times: Floats, move: CameraMove) -> tuple[Floats, Floats, Floats]:
    """A hand's sway: a few slow incommensurate waves, slightly zoomed in to hide the edges."""
    waves = [(0.6, 1.0), (1.1, 0.7), (1.9, 0.45), (3.1, 0.2)]
    sway = [
        sum(
            strength
            * np.sin(2 * np.pi * (rate * times * (1 + 0.13 * axis)) + move.phase + 7 * axis + k)
            for k, (rate, strength) in enumerate(waves)
        )
        for axis in (0, 1)
    ]
    size = move.amount
    return size * np.asarray(sway[0]), 0.5 + size * np.asarray(sway[1]), np.full_like(times, 1.06)
