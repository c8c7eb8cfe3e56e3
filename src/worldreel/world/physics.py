"""Things that fall, bounce and roll, simulated with pymunk.

A body is simulated once at a fixed step from time 0 and its path is then read off at any times,
so the result does not depend on the frame rate. Units: world units, seconds, y DOWN.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pymunk
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STEP = 1.0 / 60.0


@lru_cache(maxsize=256)
def simulate(
    *,
    duration: float,
    radius: float,
    x: float,
    y: float,
    velocity: float,
    floor: float,
    gravity: float,
    elasticity: float,
    walls: float | None = None,
) -> tuple[Floats, Floats, Floats, Floats]:
    """A ball of `radius` thrown sideways from (x, y) at `velocity` above a floor.

    Returns arrays [N] at multiples of `STEP`: seconds, x, y of the centre, and angle (radians).
    `walls`: half the width of the box that the ball bounces about in, or None for no walls.
    """
    space = pymunk.Space()
    space.gravity = (0.0, gravity)
    body = pymunk.Body(1.0, pymunk.moment_for_circle(1.0, 0.0, radius))
    body.position, body.velocity = (x, y), (velocity, 0.0)
    ball = pymunk.Circle(body, radius)
    ball.elasticity, ball.friction = elasticity, 0.9
    bounds = [((-50.0, floor + 0.5), (50.0, floor + 0.5))]
    if walls is not None:
        bounds += [((side * (walls + 0.5), -9.0), (side * (walls + 0.5), 9.0)) for side in (-1, 1)]
    edges = [pymunk.Segment(space.static_body, a, b, 0.5) for a, b in bounds]
    for edge in edges:
        edge.elasticity, edge.friction = 1.0, 0.9
    space.add(body, ball, *edges)
    steps = int(np.ceil(duration / STEP)) + 1
    path: Floats = np.empty((steps, 3), np.float64)
    for index in range(steps):
        path[index] = (*body.position, body.angle)
        space.step(STEP)
    seconds = np.arange(steps, dtype=np.float64) * STEP
    return seconds, path[:, 0], path[:, 1], path[:, 2]
