"""A scene laid out in time: what a renderer needs for every frame, and nothing else.

The timeline is the border between knowing what happens (scenes, motion, camera) and drawing it
(the renderer). It holds plain float32 arrays in world units, so it is free of resolution: the
visible frame is 1.0 high at zoom 1, x runs right, y runs DOWN, and the camera rests at (0, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """State of the camera and of A actors at T moments; every array is float32.

    A renderer must draw actors by rising `order`. Angles turn about the content's centre, the
    squash stretches from the feet.
    """

    camera: Array
    """[T, 3]: x and y of the view's centre, and zoom (the visible height is 1 / zoom)."""
    position: Array
    """[T, A, 2]: bottom-centre of the sprite's content (before turning), world units."""
    height: Array
    """[T, A]: height of the content, world units."""
    flip: Array
    """[T, A]: +1 faces right, as packed; -1 is mirrored."""
    angle: Array
    """[T, A]: radians, clockwise on the screen, about the content's centre."""
    squash: Array
    """[T, A, 2]: factors on width and height (1, 1 at rest)."""
    phase: Array
    """[T, A]: animation cycles since the start; the whole part is to be dropped."""
    opacity: Array
    """[T, A]: 0..1."""
    ground: Array
    """[T, A]: y of the ground below for a contact shadow; nan where there is none."""
    order: Array
    """[T, A]: larger is nearer to the camera."""
    slope: float = 0.0
    """How much the ground falls (y grows) for each unit to the right. It goes through the view's
    centre: the camera climbs along. Positions, grounds and angles have it in them."""

    def __post_init__(self) -> None:
        frames, actors = self.height.shape
        last = {"camera": 3, "position": 2, "squash": 2}
        for entry in fields(self):
            if entry.name == "slope":
                continue
            array = getattr(self, entry.name)
            shape: tuple[int, ...] = (frames,) if entry.name == "camera" else (frames, actors)
            if entry.name in last:
                shape = (*shape, last[entry.name])
            assert array.shape == shape, f"{entry.name} is {array.shape}, not {shape}"
            assert array.dtype == np.float32, f"{entry.name} is {array.dtype}, not float32"

    @property
    def frames(self) -> int:
        """Number of moments T."""
        return int(self.height.shape[0])

    @property
    def actors(self) -> int:
        """Number of actors A."""
        return int(self.height.shape[1])
