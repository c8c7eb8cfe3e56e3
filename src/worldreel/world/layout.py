"""The layout of a batch: what is drawn where in every frame, as arrays, before any pixel is.

Scenes become one table of cameras and one of actors, back to front, with the windows of pixels
that each can touch. It needs numpy alone, so it knows without waiting for a device which work
can be left out, and it can be made in other processes than the one that draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worldreel.world import atlas, dust, film
from worldreel.world.places import place
from worldreel.world.scene import Scene
from worldreel.world.timeline import Timeline

Floats = NDArray[np.floating[Any]]

STATE = ("x", "y", "height", "flip", "angle", "wide", "tall", "opacity", "ground", "shadow",
         "content_wide", "content_high")  # fmt: skip
"""Columns of an actor's state. x, y: bottom-centre of the content; height: of the content, all in
world units; shadow: its strength; content_*: its share of the sprite's canvas."""
FOOT = 1 - 4 / 128
"""Where content stands on its canvas, from the top (see atlas)."""
SHADE_WIDE, SHADE_HIGH = 0.42, 0.22
"""Half width of a contact shadow in widths of its actor, and its height over its width."""
SHADE_REACH = 2.0
"""Shadows are nothing (exp(-8)) beyond so many of their half axes."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """B scenes at T moments with at most R actors each."""

    scenes: tuple[Scene, ...]
    times: NDArray[np.float32]
    """[T]: seconds."""
    width: int
    height: int
    camera: NDArray[np.float32]
    """[B, T, 3]: centre x, y and zoom."""
    state: NDArray[np.float32]
    """[B, R, T, STATE], back to front; opacity and shadow are 0 where there is no actor."""
    cells: NDArray[np.int64]
    """[B, R, T]: the picture of the sprite's loop."""
    casts: tuple[tuple[tuple[str, str | None] | None, ...], ...]
    """[B][R]: kind and colour."""
    windows: NDArray[np.int64]
    """[B, R, T, 4]: left, top, right, bottom pixels of the sprite; empty where right <= left."""
    shades: NDArray[np.int64]
    """[B, R, T, 4]: the same for contact shadows."""
    slope: NDArray[np.float32]
    """[B]: how much the ground falls for each unit to the right of the view's centre."""
    puffs: NDArray[np.float32] | None = None
    """[B, T, P, 4]: dust, or None where no scene raises any; see `dust`."""


def lay_out(
    scenes: Sequence[Scene], *, width: int, height: int, times: NDArray[np.float32]
) -> Layout:
    """Lays scenes out at `times` [T] seconds for frames of width × height pixels."""
    aspect = width / height
    lines = [s.timeline(film.held(s.style, times), aspect=aspect) for s in scenes]
    ranks = max((len(s.actors) for s in scenes), default=0)
    camera = np.stack([line.camera for line in lines])
    state = np.ones((len(scenes), ranks, len(times), len(STATE)), np.float32)
    state[..., [STATE.index("opacity"), STATE.index("shadow")]] = 0
    cells = np.zeros(state.shape[:3], np.int64)
    slope = np.asarray([line.slope for line in lines], np.float32)
    casts: list[tuple[tuple[str, str | None] | None, ...]] = []
    for row, (scene, line) in enumerate(zip(scenes, lines, strict=True)):
        order = np.argsort(line.order.mean(0), kind="stable")
        for rank, index in enumerate(order):
            state[row, rank], cells[row, rank] = _actor(scene, line, int(index))
        names = [(scene.actors[i].kind, scene.actors[i].colour) for i in order]
        casts.append((*names, *[None] * (ranks - len(names))))
    return Layout(
        scenes=tuple(scenes),
        times=times,
        width=width,
        height=height,
        camera=camera,
        state=state,
        cells=cells,
        casts=tuple(casts),
        windows=_sprite_windows(state, camera, width, height),
        shades=_shade_windows(state, camera, width, height, slope),
        slope=slope,
        puffs=dust.puffs(scenes, times, aspect=aspect),
    )


def _actor(
    scene: Scene, line: Timeline, index: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """One actor's state [T, STATE] and cells [T]."""
    kind = atlas.kind(scene.actors[index].kind)
    ground = line.ground[:, index]
    shadow = place(scene.place).shadow * np.isfinite(ground)
    columns = [
        line.position[:, index, 0],
        line.position[:, index, 1],
        line.height[:, index],
        line.flip[:, index],
        line.angle[:, index],
        np.maximum(line.squash[:, index, 0], 1e-3),
        np.maximum(line.squash[:, index, 1], 1e-3),
        line.opacity[:, index],
        np.nan_to_num(ground),
        shadow,
        np.full(line.frames, kind.width),
        np.full(line.frames, max(kind.height, 1e-3)),
    ]
    cell = np.floor(np.mod(line.phase[:, index], 1.0) * atlas.FRAMES)
    return (
        np.stack(columns, -1).astype(np.float32),
        np.clip(cell, 0, atlas.FRAMES - 1).astype(np.int64),
    )


def _columns(state: Floats) -> dict[str, Floats]:
    return {name: state[..., i] for i, name in enumerate(STATE)}


def _sprite_windows(state: Floats, camera: Floats, width: int, height: int) -> NDArray[np.int64]:
    s = _columns(state)
    canvas = s["height"] / np.maximum(s["content_high"], 1e-3)
    spare = 4 / 128 * canvas  # filtering spreads the content by a texel or two
    wide = (canvas * s["content_wide"] / 2 + spare) * s["wide"]
    high = (s["height"] / 2 + spare) * s["tall"]
    cos, sin = np.abs(np.cos(s["angle"])), np.abs(np.sin(s["angle"]))
    middle = s["y"] - s["height"] * s["tall"] / 2
    half_wide, half_high = cos * wide + sin * high, sin * wide + cos * high
    boxes = _pixels(s["x"], middle, half_wide, half_high, camera, width, height)
    return boxes * (s["opacity"] > 0)[..., None]


def _shade_windows(
    state: Floats, camera: Floats, width: int, height: int, slope: Floats
) -> NDArray[np.int64]:
    s = _columns(state)
    half = SHADE_WIDE * s["height"] * s["content_wide"] * s["wide"]
    half = SHADE_REACH * half / np.maximum(s["content_high"], 1e-3)
    high = half * (SHADE_HIGH + np.abs(slope)[:, None, None])
    boxes = _pixels(s["x"], s["ground"], half, high, camera, width, height)
    return boxes * (s["shadow"] * s["opacity"] > 1e-3)[..., None]


def _pixels(
    x: Floats, y: Floats, half_wide: Floats, half_high: Floats, camera: Floats, wide: int, high: int
) -> NDArray[np.int64]:
    """World boxes [B, R, T] → pixel windows [B, R, T, 4], one pixel larger, within the frame."""
    x0, y0, zoom = (camera[:, None, :, i] for i in range(3))
    column, row = (x - x0) * zoom * high + wide / 2, (y - y0) * zoom * high + high / 2
    across, down = half_wide * zoom * high + 1, half_high * zoom * high + 1
    box = np.stack([column - across, row - down, column + across, row + down], -1)
    box[..., :2], box[..., 2:] = np.floor(box[..., :2]), np.ceil(box[..., 2:])
    limit = np.asarray([wide, high, wide, high])
    return np.asarray(np.clip(np.nan_to_num(box), 0, limit), np.int64)


def union(windows: NDArray[np.int64]) -> tuple[slice, slice] | None:
    """Rows and columns that hold all windows [..., 4]; None when all are empty."""
    flat = windows.reshape(-1, 4)
    flat = flat[(flat[:, 2] > flat[:, 0]) & (flat[:, 3] > flat[:, 1])]
    if not len(flat):
        return None
    left, top = flat[:, :2].min(0)
    right, bottom = flat[:, 2:].max(0)
    return slice(int(top), int(bottom)), slice(int(left), int(right))
