"""The renderer: scenes of the world → frames, composited in batches by torch on any device.

Every clip is three scrolling layers (sky, middle, ground), its actors, weather, and a film
style. All of them are one operation: for each output pixel, work out where it falls in a
texture and sample it bilinearly (`grid_sample`), then blend back to front with premultiplied
alpha ("over", Porter & Duff 1984). The frames of a clip share their textures, so they are
stacked along the sampling grid's height and cost one call a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from worldreel.world import atlas, film, weather
from worldreel.world.backdrops import PERIOD, TOP, Backdrops
from worldreel.world.paint import recolour
from worldreel.world.places import place
from worldreel.world.scene import Scene
from worldreel.world.timeline import Timeline

PARALLAX = {"sky": 0.15, "middle": 0.5, "ground": 1.0}
FRAMES_A_CYCLE = 24


@dataclass(frozen=True, kw_only=True)
class Rendering:
    """Frames `[B, 3, T, H, W]` in [-1, 1] and the share of each pixel that actors cover
    `[B, T, H, W]` in [0, 1] (after occlusion by other actors it is still 1)."""

    frames: Tensor
    coverage: Tensor


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
        self.backdrops = Backdrops(unit=unit, variants=variants)
        self.sprites: dict[tuple[str, str | None], Tensor] = {}

    def render(
        self, scenes: Sequence[Scene], *, width: int, height: int, frames: int, fps: float
    ) -> Rendering:
        """Frames 0 … frames-1 at times i / fps of every scene, at width × height pixels."""
        times = np.arange(frames, dtype=np.float32) / fps
        aspect = width / height
        lines = [s.timeline(film.held(s.style, times), aspect=aspect) for s in scenes]
        camera = self._tensor(np.stack([t.camera for t in lines]))  # B T 3
        u, v = self._screen(width, height)
        picture = torch.zeros(len(scenes), 3, frames * height, width, device=self.device)
        for name in PARALLAX:
            texture = torch.stack([self._layer(s, name) for s in scenes])
            rgba = self._sample_layer(texture, camera, u, v, PARALLAX[name])
            picture = _over(picture, rgba)
        coverage = torch.zeros(len(scenes), 1, frames * height, width, device=self.device)
        for rank in range(max((len(s.actors) for s in scenes), default=0)):
            picture, covered = self._actor(picture, scenes, lines, camera, u, v, rank)
            coverage = torch.maximum(coverage, covered)
        picture = picture.clamp(0, 1).unflatten(2, (frames, height))
        tensor_times = self._tensor(times)
        picture = torch.stack(
            [
                film.develop(weather.fall(p, s, tensor_times, u, v), s, tensor_times)
                for p, s in zip(picture, scenes, strict=True)
            ]
        )
        return Rendering(
            frames=picture.clamp(0, 1) * 2 - 1,
            coverage=coverage.unflatten(2, (frames, height))[:, 0],
        )

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(self.device)

    def _screen(self, width: int, height: int) -> tuple[Tensor, Tensor]:
        """World offsets of the pixel centres from the view's centre at zoom 1: W and H."""
        u = ((torch.arange(width, device=self.device) + 0.5) / width - 0.5) * width / height
        v = (torch.arange(height, device=self.device) + 0.5) / height - 0.5
        return u, v

    def _layer(self, scene: Scene, name: str) -> Tensor:
        layers = self.backdrops.get(scene.place, scene.time, scene.variant)
        return layers[name].to(self.device).float() / 255

    def _sample_layer(
        self, texture: Tensor, camera: Tensor, u: Tensor, v: Tensor, parallax: float
    ) -> Tensor:
        """texture [B,4,h,w] padded by one column a side → [B,4,T·H,W]."""
        x0, y0, zoom = camera.unbind(-1)  # B T
        # A far layer grows less under zoom, as it does for a camera that moves forward.
        zoom = zoom ** (0.5 + 0.5 * parallax)
        x = x0[..., None] * parallax + u / zoom[..., None]  # B T W
        y = 0.5 + (y0[..., None] - 0.5) * (0.3 + 0.7 * parallax) + v / zoom[..., None]
        rows, columns = texture.shape[-2], texture.shape[-1] - 2
        across = torch.remainder(x + PERIOD / 2, PERIOD) / PERIOD * columns + 1
        down = (y - TOP) * self.unit
        batch, frames, height, width = *x.shape[:2], len(v), len(u)
        grid = torch.stack(
            [
                (across * 2 / (columns + 2) - 1)[:, :, None, :].expand(-1, -1, height, -1),
                (down * 2 / rows - 1)[:, :, :, None].expand(-1, -1, -1, width),
            ],
            -1,
        ).reshape(batch, frames * height, width, 2)
        return F.grid_sample(texture, grid, padding_mode="border", align_corners=False)

    def _sprite(self, kind: str, colour: str | None) -> Tensor:
        """A kind's painted animation as one tall strip: uint8 [4, 24·side, side]."""
        key = (kind, colour)
        if key not in self.sprites:
            entry = atlas.kind(kind)
            plain = atlas.load_sprites([kind], side=self.side)[0]  # F 5 s s
            strip = plain.permute(1, 0, 2, 3).flatten(1, 2)
            if colour is not None and entry.recolourable:
                strip = recolour(strip, colour, level=entry.level)
            self.sprites[key] = strip[:4].contiguous().to(self.device)
        return self.sprites[key]

    def _actor(
        self,
        picture: Tensor,
        scenes: Sequence[Scene],
        lines: Sequence[Timeline],
        camera: Tensor,
        u: Tensor,
        v: Tensor,
        rank: int,
    ) -> tuple[Tensor, Tensor]:
        """Draws the rank-th actor from the back of every scene, with its contact shadow."""
        chosen = [_nth_from_back(t, rank) for t in lines]
        blank = torch.zeros(4, FRAMES_A_CYCLE * self.side, self.side, device=self.device)
        strips, columns = [], []
        for scene, line, index in zip(scenes, lines, chosen, strict=True):
            if index is None:
                strips.append(blank)
                columns.append(np.full((line.camera.shape[0], 14), np.nan, np.float32))
                continue
            cast = scene.actors[index]
            light = self._tensor(np.array([*place(scene.place).lit[scene.time], 1.0]))
            strip = self._sprite(cast.kind, cast.colour).float()
            strips.append(strip * (light[:, None, None] / 255))
            columns.append(_columns(line, index, atlas.kind(cast.kind), scene))
        state = torch.nan_to_num(self._tensor(np.stack(columns)))  # B T 14
        picture = _shade(picture, state, camera, u, v)
        rgba = _sample_sprite(torch.stack(strips), state, camera, u, v)
        return _over(picture, rgba), rgba[:, 3:4]


def _nth_from_back(line: Timeline, rank: int) -> int | None:
    order = np.argsort(line.order.mean(0), kind="stable")
    return int(order[rank]) if rank < len(order) else None


def _columns(line: Timeline, index: int, kind: atlas.ActorKind, scene: Scene) -> np.ndarray:
    """What the sampler needs of one actor at each time, [T, 14]."""
    frames = line.camera.shape[0]
    ground = line.ground[:, index]
    strength = place(scene.place).shadow * np.isfinite(ground)
    return np.stack(
        [
            line.position[:, index, 0],
            line.position[:, index, 1],
            line.height[:, index],
            line.flip[:, index],
            line.angle[:, index],
            line.squash[:, index, 0],
            line.squash[:, index, 1],
            line.phase[:, index],
            line.opacity[:, index],
            np.nan_to_num(ground),
            np.asarray(strength, np.float32),
            np.full(frames, kind.width, np.float32),
            np.full(frames, kind.height, np.float32),
            np.ones(frames, np.float32),
        ],
        -1,
    ).astype(np.float32)


def _world(camera: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """World coordinates of the pixels: x [B,T,1,W] and y [B,T,H,1]."""
    x0, y0, zoom = (c[..., None] for c in camera.unbind(-1))
    return (x0 + u / zoom)[:, :, None, :], (y0 + v / zoom)[:, :, :, None]


def _shade(picture: Tensor, state: Tensor, camera: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Darkens the ground under an actor: a soft ellipse that fades as the actor rises."""
    x, y = _world(camera, u, v)
    s = [c[..., None, None] for c in state.unbind(-1)]
    half = 0.42 * s[2] * s[11] / s[12].clamp_min(1e-3) * s[5] + 1e-4
    lift = (s[9] - s[1]).clamp_min(0) / s[2].clamp_min(1e-3)
    strength = s[10] * s[8] * torch.exp(-1.6 * lift)
    distance = ((x - s[0]) / half) ** 2 + ((y - s[9]) / (half * 0.22 + 1e-4)) ** 2
    dark = strength * torch.exp(-(distance**1.5))
    return picture * (1 - dark.flatten(1, 2)[:, None])


def _sample_sprite(strips: Tensor, state: Tensor, camera: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """strips [B,4,24·s,s] → premultiplied rgba [B,4,T·H,W]."""
    x, y = _world(camera, u, v)
    s = [c[..., None, None] for c in state.unbind(-1)]
    canvas = s[2] / s[12].clamp_min(1e-3)  # the canvas' side in world units
    bottom = 1 - 4 / 128  # W1: content stands 4 of 128 pixels above the canvas' bottom
    dx, dy = x - s[0], y - (s[1] - s[2] * s[6] / 2)
    cos, sin = torch.cos(s[4]), torch.sin(s[4])
    right, down = cos * dx + sin * dy, cos * dy - sin * dx
    canvas = canvas.clamp_min(1e-4)
    across = 0.5 + s[3] * right / s[5].clamp_min(1e-3) / canvas
    below = bottom - s[12] / 2 + down / s[6].clamp_min(1e-3) / canvas
    side = strips.shape[-1]
    inside = (across > 0) & (across < 1) & (below > 0) & (below < 1)
    frame = torch.floor(torch.remainder(s[7], 1.0) * FRAMES_A_CYCLE).clamp(0, FRAMES_A_CYCLE - 1)
    below = (frame + below.clamp(0.5 / side, 1 - 0.5 / side)) / FRAMES_A_CYCLE
    across, below = torch.broadcast_tensors(across, below)
    grid = torch.stack([across, below], -1).flatten(1, 2) * 2 - 1
    rgba = F.grid_sample(strips, grid, padding_mode="zeros", align_corners=False)
    seen = (inside * s[8] * s[13]).flatten(1, 2)[:, None]
    return rgba * seen


def _over(below: Tensor, rgba: Tensor) -> Tensor:
    return rgba[:, :3] + below * (1 - rgba[:, 3:4])
