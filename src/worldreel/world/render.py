"""The renderer: scenes of the world → frames, composited in batches by torch on any device.

Every clip is three scrolling layers (sky, middle, ground), its actors, weather, and a film
style. All of them are one operation: for each output pixel, work out where it falls in a
texture and sample it bilinearly (`grid_sample`), then blend back to front with premultiplied
alpha ("over", Porter & Duff 1984).

The work is cut into pieces, some clips × some frames. The layout knows beforehand which pixels
a piece touches, so only those are computed: no sky behind hills, no sprite outside its box. On a
CPU a piece is a few frames of one clip, whose windows are tight and which stays in the cache; on
a GPU it is as many clips as fit. Nothing in between waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from worldreel.world import dust, film, weather
from worldreel.world.backdrops import LAYERS, PERIOD, TOP, Backdrops, Texture
from worldreel.world.layout import FOOT, SHADE_HIGH, SHADE_WIDE, STATE, Layout, lay_out, union
from worldreel.world.places import place
from worldreel.world.scene import Scene
from worldreel.world.sprites import Sprites

PARALLAX = {"sky": 0.15, "middle": 0.5, "ground": 1.0}
FRAMES_A_PIECE = 6
PIXELS_A_PIECE = 1 << 25
"""Frames of a piece on a CPU, pixels of a piece on a GPU (about 2 GB with all that is made)."""


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """Frames `[B, 3, T, H, W]` in [-1, 1] and the share of each pixel that actors cover
    `[B, T, H, W]` in [0, 1] (after occlusion by other actors it is still 1)."""

    frames: Tensor
    coverage: Tensor


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """Some clips × some frames of a layout, with views of their pixels."""

    layout: Layout
    clips: slice
    frames: slice
    picture: Tensor
    """[b, 3, t, H, W] in [0, 1]."""
    coverage: Tensor
    """[b, t, H, W]."""
    u: Tensor
    v: Tensor
    """World offsets of the pixel centres from the view's centre at zoom 1: [W] and [H]."""

    @property
    def camera(self) -> NDArray[np.float32]:
        """[b, t, 3]."""
        return self.layout.camera[self.clips, self.frames]

    def tensor(self, array: NDArray[np.floating[Any]]) -> Tensor:
        """A table as a float tensor beside the picture."""
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self.picture.device)


class Renderer:
    """Renders batches of scenes; keeps the textures it needed (backdrops, sprites).

    Args:
        unit: pixels of backdrop texture per world unit; about the frame's height is right.
        side: pixels a side of the sprite textures; about half the frame's height is right.
        variants: how many paintings of each place are used (scene.variant modulo this).
    """

    def __init__(
        self, *, unit: int = 96, side: int = 48, variants: int = 6, device: str = "cpu"
    ) -> None:
        self.unit, self.side, self.device = unit, side, torch.device(device)
        self.backdrops = Backdrops(unit=unit, variants=variants, device=self.device)
        self.sprites = Sprites(side=side, device=self.device)

    def render(
        self,
        scenes: Sequence[Scene],
        *,
        width: int,
        height: int,
        frames: int,
        fps: float,
        start: float = 0.0,
    ) -> Rendering:
        """Frames 0 … frames-1 at seconds start + i / fps of every scene, width × height pixels."""
        times = start + np.arange(frames, dtype=np.float32) / np.float32(fps)
        times = times.astype(np.float32)
        return self.draw(lay_out(scenes, width=width, height=height, times=times))

    @torch.no_grad()
    def draw(self, layout: Layout) -> Rendering:
        """Draws what was laid out."""
        shape = (len(layout.scenes), len(layout.times), layout.height, layout.width)
        coverage = torch.zeros(shape, device=self.device)
        picture = torch.empty(shape[0], 3, *shape[1:], device=self.device)
        u = (torch.arange(shape[3], device=self.device) + 0.5) / shape[3] - 0.5
        u = u * layout.width / layout.height
        v = (torch.arange(shape[2], device=self.device) + 0.5) / shape[2] - 0.5
        for clips in self._chunks(layout):
            painted = [self.backdrops.get(s.place, s.time, s.variant) for s in layout.scenes[clips]]
            layers = {name: _Layer.of([p[name] for p in painted]) for name in LAYERS}
            for span in self._spans(layout):
                piece = _Piece(
                    layout=layout,
                    clips=clips,
                    frames=span,
                    picture=picture[clips, :, span],
                    coverage=coverage[clips, span],
                    u=u,
                    v=v,
                )
                around = (layout.scenes[clips], piece.tensor(layout.times[span]), u, v)
                self._backdrop(piece, layers)
                weather.rise(piece.picture, *around)
                self._window(piece, 0)
                if layout.puffs is not None:
                    puffs = piece.tensor(layout.puffs[clips, span])
                    slope = piece.tensor(layout.slope[clips])
                    dust.raise_(piece.picture, puffs, slope, piece.tensor(piece.camera), u, v)
                for rank in range(layout.state.shape[1]):
                    _shade(piece, rank)
                    self._actor(piece, rank)
                self._window(piece, 1)
                piece.picture.clamp_(0, 1)
                weather.fall(piece.picture, *around)
        film.develop(picture, layout.scenes, layout.times)
        return Rendering(frames=picture.mul_(2).sub_(1), coverage=coverage)

    def _chunks(self, layout: Layout) -> Iterator[slice]:
        """Clips that are drawn together."""
        count, size = len(layout.scenes), 1
        if self.device.type != "cpu":
            pixels = len(layout.times) * layout.height * layout.width
            size = max(1, PIXELS_A_PIECE // pixels)
        return (slice(i, min(i + size, count)) for i in range(0, count, size))

    def _spans(self, layout: Layout) -> Iterator[slice]:
        """Frames that are drawn together."""
        count = len(layout.times)
        size = FRAMES_A_PIECE if self.device.type == "cpu" else count
        return (slice(i, min(i + size, count)) for i in range(0, count, size))

    def _backdrop(self, piece: _Piece, layers: dict[str, _Layer]) -> None:
        """Sky, middle and ground, each only in the rows where it can be seen."""
        height = len(piece.v)
        last = {"ground": height}
        last["middle"] = _row(piece, layers["ground"].solid, "ground", self.unit, up=True)
        hidden = _row(piece, layers["middle"].solid, "middle", self.unit, up=True)
        last["sky"] = min(last["middle"], hidden)
        piece.picture[..., last["sky"] :, :] = 0
        for name in LAYERS:
            first = _row(piece, layers[name].first - 1, name, self.unit, up=False)
            rows = slice(0 if name == "sky" else first, last[name])
            if rows.start >= rows.stop:
                continue
            rgba = _scrolled(piece, layers[name].pixels, rows, name, self.unit)
            target = piece.picture[..., rows, :]
            if name == "sky":
                target.copy_(rgba[:, :3])
            else:
                _over(target, rgba)

    def _window(self, piece: _Piece, depth: int) -> None:
        """The room (0) or the wall (1) of the clips whose actors look out of a window."""
        for index, scene in enumerate(piece.layout.scenes[piece.clips]):
            if not scene.window:
                continue
            clip = piece.clips.start + index
            own = replace(
                piece,
                clips=slice(clip, clip + 1),
                picture=piece.picture[index : index + 1],
                coverage=piece.coverage[index : index + 1],
            )
            texture = self.backdrops.window(scene.place, scene.time, scene.variant)[depth]
            pixels = texture.pixels[None].float() / 255
            rgba = _scrolled(own, pixels, slice(0, len(piece.v)), "ground", self.unit)
            _over(own.picture, rgba)
            own.coverage.mul_(1 - rgba[:, 3])

    def _actor(self, piece: _Piece, rank: int) -> None:
        """Draws the rank-th actor from the back of every clip."""
        layout, clips, span = piece.layout, piece.clips, piece.frames
        window = union(layout.windows[clips, rank, span])
        if window is None:
            return
        cells, state = layout.cells[clips, rank, span], layout.state[clips, rank, span]
        firsts = [self._first(cast[rank]) for cast in layout.casts[clips]]
        light = [(*place(s.place).lit[s.time], 1.0) for s in layout.scenes[clips]]
        strength = np.asarray(light, np.float32)[:, None] * state[..., STATE.index("opacity"), None]
        sprites = self.sprites.pick((cells + np.asarray(firsts)[:, None]).reshape(-1))
        lit = sprites * piece.tensor(strength.reshape(-1, 4) / 255)[..., None, None]
        rgba = _turned(piece, lit, piece.tensor(state), window)
        _over(piece.picture[..., window[0], window[1]], rgba)
        covered = piece.coverage[..., window[0], window[1]]
        torch.maximum(covered, rgba[:, 3], out=covered)

    def _first(self, cast: tuple[str, str | None] | None) -> int:
        return 0 if cast is None else self.sprites.number(*cast)


@dataclass(frozen=True, kw_only=True)
class _Layer:
    """One layer of some clips."""

    pixels: Tensor
    """Float [b, 4, h, w] in 0..1."""
    first: NDArray[np.int64]
    solid: NDArray[np.int64]
    """[b]: as in `Texture`."""

    @classmethod
    def of(cls, textures: Sequence[Texture]) -> _Layer:
        stacked = torch.stack([t.pixels for t in textures])
        return cls(
            pixels=stacked.float().mul_(1 / 255),
            first=np.asarray([t.first for t in textures]),
            solid=np.asarray([t.solid for t in textures]),
        )


def _view(camera: NDArray[np.float32], parallax: float) -> tuple[NDArray[np.float32], ...]:
    """x, y and zoom [b, t] of the camera as a layer sees it."""
    x, y, zoom = (camera[..., i] for i in range(3))
    # A far layer grows less under zoom, as it does for a camera that moves forward.
    return x * parallax, 0.5 + (y - 0.5) * (0.3 + 0.7 * parallax), zoom ** (0.5 + 0.5 * parallax)


def _slope(piece: _Piece, name: str) -> NDArray[np.float32] | None:
    """[b]: how much a layer falls for each unit to the right; None where all are level."""
    slope = piece.layout.slope[piece.clips]
    return slope if name == "ground" and slope.any() else None


def _row(piece: _Piece, texel: NDArray[np.int64], name: str, unit: int, *, up: bool) -> int:
    """The row of pixels where a layer's row of texels [b] is: the lowest of all frames if `up`,
    else the highest."""
    _, y, zoom = _view(piece.camera, PARALLAX[name])
    v = ((texel[:, None] + 0.5) / unit + TOP - y) * zoom
    slope = _slope(piece, name)
    if slope is not None:  # as far up or down as it goes at the frame's sides
        aside = np.abs(slope)[:, None] * piece.layout.width / piece.layout.height / 2
        v = v + aside if up else v - aside
    rows = (v + 0.5) * len(piece.v) - 0.5
    row = np.ceil(rows.max()) + 1 if up else np.floor(rows.min())
    return int(np.clip(row, 0, len(piece.v)))


def _scrolled(piece: _Piece, texture: Tensor, rows: slice, name: str, unit: int) -> Tensor:
    """texture [b, 4, h, w], padded by one column a side → [b, 4, t, rows, W] (t is 1 when
    nothing moves)."""
    camera, parallax, slope = piece.camera, PARALLAX[name], _slope(piece, name)
    if (camera == camera[:, :1]).all():
        camera = camera[:, :1]
    x0, y0, zoom = (piece.tensor(part)[..., None] for part in _view(camera, parallax))
    high, wide = texture.shape[-2], texture.shape[-1] - 2
    v = piece.v[rows]
    across = torch.remainder((x0 + piece.u / zoom) / PERIOD + 0.5, 1.0) * wide + 1  # b t W
    down = (y0 + v / zoom - TOP) * unit  # b t rows
    batch, frames, width = across.shape
    grid = across.new_empty(batch, frames, len(v), width, 2)
    grid[..., 0] = (across * 2 / (wide + 2) - 1)[:, :, None, :]
    grid[..., 1] = (down * 2 / high - 1)[:, :, :, None]
    if slope is not None:
        fall = piece.tensor(slope)[:, None, None] * piece.u / zoom  # b t W
        grid[..., 1] -= (fall * unit * 2 / high)[:, :, None, :]
    rgba = F.grid_sample(texture, grid.flatten(1, 2), padding_mode="border", align_corners=False)
    layer: Tensor = rgba.unflatten(2, (frames, len(v)))
    return layer


def _world(piece: _Piece, window: tuple[slice, slice]) -> tuple[Tensor, Tensor]:
    """World coordinates of a window's pixels: x [b, t, 1, W] and y [b, t, H, 1]."""
    x0, y0, zoom = (c[..., None] for c in piece.tensor(piece.camera).unbind(-1))
    x, y = x0 + piece.u[window[1]] / zoom, y0 + piece.v[window[0]] / zoom
    return x[:, :, None, :], y[:, :, :, None]


def _shade(piece: _Piece, rank: int) -> None:
    """Darkens the ground under an actor: a soft ellipse that fades as the actor rises."""
    layout, clips, span = piece.layout, piece.clips, piece.frames
    window = union(layout.shades[clips, rank, span])
    if window is None:
        return
    s = _named(piece.tensor(layout.state[clips, rank, span]))
    x, y = _world(piece, window)
    half = SHADE_WIDE * s["height"] * s["content_wide"] / s["content_high"] * s["wide"] + 1e-4
    lift = (s["ground"] - s["y"]).clamp_min(0) / s["height"].clamp_min(1e-3)
    strength = s["shadow"] * s["opacity"] * torch.exp(-1.6 * lift)
    across = ((x - s["x"]) / half) ** 2
    ground = s["ground"] + piece.tensor(layout.slope[clips])[:, None, None, None] * (x - s["x"])
    distance = across + ((y - ground) / (half * SHADE_HIGH + 1e-4)) ** 2
    light = torch.exp(-distance * distance.sqrt()).mul_(-strength).add_(1)
    piece.picture[..., window[0], window[1]] *= light[:, None]


def _turned(piece: _Piece, sprites: Tensor, state: Tensor, window: tuple[slice, slice]) -> Tensor:
    """sprites [b·t, 4, s, s] as they stand in a window: premultiplied [b, 4, t, h, w]."""
    x, y = _world(piece, window)
    s = _named(state)
    canvas = (s["height"] / s["content_high"]).clamp_min(1e-4)  # its side in world units
    dx, dy = x - s["x"], y - (s["y"] - s["height"] * s["tall"] / 2)
    cos, sin = torch.cos(s["angle"]), torch.sin(s["angle"])
    # Grid coordinates run from -1 to 1 across the canvas; what lies beyond is empty.
    right, down = 2 * s["flip"] / (s["wide"] * canvas), 2 / (s["tall"] * canvas)
    middle = 2 * FOOT - s["content_high"] - 1
    grid = x.new_empty(*x.shape[:2], y.shape[2], x.shape[3], 2)
    torch.add(cos * right * dx, sin * right * dy, out=grid[..., 0])
    torch.add(cos * down * dy + middle, -sin * down * dx, out=grid[..., 1])
    rgba: Tensor = F.grid_sample(sprites, grid.flatten(0, 1), align_corners=False)
    turned: Tensor = rgba.unflatten(0, x.shape[:2]).transpose(1, 2)
    return turned


def _named(state: Tensor) -> dict[str, Tensor]:
    """Columns of a state [b, t, STATE] by name, each [b, t, 1, 1]."""
    return {name: state[..., i, None, None] for i, name in enumerate(STATE)}


def _over(below: Tensor, rgba: Tensor) -> None:
    """Blends premultiplied rgba [b, 4, t, h, w] over a picture [b, 3, t, h, w], in place."""
    below.mul_(1 - rgba[:, 3:4]).add_(rgba[:, :3])
