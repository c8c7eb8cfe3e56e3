"""The truth about a scene, read off its timeline: what an evaluation may ask and check.

Boxes are fractions of the frame, (left, top, right, bottom), of the actor's content over its whole
animation loop, so that pixels never lie outside; parts out of view make values below 0 or above 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from worldreel.world import atlas
from worldreel.world.cast import Cast
from worldreel.world.timeline import Timeline

if TYPE_CHECKING:
    from worldreel.world.scene import Scene

Floats = NDArray[np.float64]

HIDDEN = 0.5
"""An actor counts as occluded when nearer boxes cover this share of its own."""
_STILL = 0.06
"""Displacements below this part of the frame are no direction."""


def boxes(scene: Scene, line: Timeline, *, aspect: float) -> Floats:
    """Where actors are on the screen: [T, A, 4] left, top, right, bottom in fractions of it."""
    shape = (line.frames, line.actors)
    ratio = np.asarray([_ratio(cast) for cast in scene.actors], np.float64).reshape(1, -1)
    high = line.height.astype(np.float64) * line.squash[..., 1]
    wide = line.height * ratio * line.squash[..., 0]
    cos, sin = np.abs(np.cos(line.angle)), np.abs(np.sin(line.angle))
    half = np.stack([cos * wide + sin * high, sin * wide + cos * high], -1) / 2
    middle = line.position.astype(np.float64)
    middle[..., 1] -= high / 2
    zoom = line.camera[:, None, 2:]
    frame = np.asarray([aspect, 1.0])
    centre = (middle - line.camera[:, None, :2]) * zoom / frame + 0.5
    half = half * zoom / frame
    return np.concatenate([centre - half, centre + half], -1).reshape(*shape, 4)


def _ratio(cast: Cast) -> float:
    kind = atlas.kind(cast.kind)
    return kind.width / kind.height


def _overlap(box: Floats, others: Floats) -> Floats:
    """Share of `box` [T, 4] under the union (at most the sum) of `others` [T, N, 4]: [T]."""
    low = np.maximum(box[:, None, :2], others[..., :2])
    high = np.minimum(box[:, None, 2:], others[..., 2:])
    area = np.prod(np.clip(high - low, 0, None), -1).sum(-1)
    own = np.prod(np.clip(box[:, 2:] - box[:, :2], 1e-9, None), -1)
    return np.asarray(np.minimum(area / own, 1.0))


def _direction(path: Floats) -> str:
    """The main direction of a path [T, 2] with y down, by its signed displacement."""
    dx, dy = (float(d) for d in path[-1] - path[0])
    if max(abs(dx), abs(dy)) < _STILL:
        return "none"
    if abs(dx) >= abs(dy):
        return "right" if dx > 0 else "left"
    return "down" if dy > 0 else "up"


def facts(scene: Scene, times: ArrayLike, aspect: float) -> dict[str, Any]:
    """Who is where, when, moving how, hidden when, and what the camera does; JSON-ready.

    Args:
        times: T moments in seconds, rising.
        aspect: width over height of the frame.
    """
    moments = np.asarray(times, np.float64)
    line = scene.timeline(moments, aspect=aspect)
    where = boxes(scene, line, aspect=aspect)
    frame = np.asarray([[[0.0, 0.0, 1.0, 1.0]]]).repeat(line.frames, 0)
    actors = []
    for index, cast in enumerate(scene.actors):
        nearer = line.order[0] > line.order[0, index]
        hidden = _overlap(where[:, index], where[:, nearer])
        shown = _overlap(where[:, index], frame)
        actors.append(_actor(cast, moments, line, where[:, index], index, hidden, shown))
    return {
        "seed": scene.seed,
        "place": scene.place,
        "time": scene.time,
        "weather": scene.weather,
        "style": scene.style,
        "event": scene.event,
        "family": scene.family,
        "camera": {
            "move": scene.camera.name,
            "travel": [round(float(d), 4) for d in line.camera[-1, :2] - line.camera[0, :2]],
            "zoom": round(float(line.camera[-1, 2] / line.camera[0, 2]), 4),
        },
        "times": [round(float(t), 4) for t in moments],
        "actors": actors,
    }


def _actor(
    cast: Cast,
    times: Floats,
    line: Timeline,
    box: Floats,
    index: int,
    hidden: Floats,
    shown: Floats,
) -> dict[str, Any]:
    kind = atlas.kind(cast.kind)
    seen = times[shown > 0.05]
    centre = (box[:, :2] + box[:, 2:]) / 2
    middle = centre.mean(0)
    return {
        "kind": cast.kind,
        "noun": kind.noun,
        "group": kind.group,
        "colour": cast.colour,
        "feeling": cast.feeling,
        "behaviour": cast.behaviour,
        "medium": cast.medium,
        "direction": {
            "meant": cast.direction,
            "world": _direction(line.position[:, index].astype(np.float64)),
            "screen": _direction(centre),
        },
        "faces": "right" if line.flip[:, index].mean() > 0 else "left",
        "side": "left" if middle[0] < 0.4 else "right" if middle[0] > 0.6 else "middle",
        "boxes": np.round(box, 4).tolist(),
        "in_view": np.round(shown, 3).tolist(),
        "seen": [round(float(t), 3) for t in (seen[0], seen[-1])] if len(seen) else None,
        "occluded": np.round(hidden, 3).tolist(),
        "occluded_at": [round(float(t), 3) for t in times[hidden > HIDDEN]],
    }
