"""Painted backdrops as textures, painted on first use and kept on the drawing device.

A painting covers x in [-2, 2) (periodic) and y in [-0.25, 1.25] world units. One column is
repeated at either side so that bilinear sampling is seamless where the panorama wraps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldreel.world import places

PERIOD = 4.0
TOP = -0.25
LAYERS = ("sky", "middle", "ground")
"""Back to front."""
NEVER = 1 << 20
"""Beyond any row; outside its rows a painting goes on like its edges."""


@dataclass(frozen=True, kw_only=True)
class Texture:
    """One layer of a painting, and which of its rows matter."""

    pixels: Tensor
    """uint8 [4, 1.5·unit, 4·unit + 2], premultiplied."""
    first: int
    """First row that is not empty: `-NEVER` for the top one, `NEVER` when all are."""
    solid: int
    """From this row on, everything is opaque; `NEVER` when the last is not."""


class Backdrops:
    """Paintings of places at `unit` pixels per world unit, `variants` of each."""

    def __init__(self, *, unit: int, variants: int, device: torch.device | str = "cpu") -> None:
        self.unit, self.variants, self.device = unit, variants, torch.device(device)
        self._kept: dict[tuple[str, str, int], dict[str, Texture]] = {}
        self._windows: dict[tuple[str, str, int], tuple[Texture, Texture]] = {}

    def get(self, place: str, time: str, variant: int) -> dict[str, Texture]:
        """The three layers by name."""
        key = (place, time, variant % self.variants)
        if key not in self._kept:
            painted = places.paint(place, time=time, variant=key[2], unit=self.unit)
            self._kept[key] = {name: self._texture(getattr(painted, name)) for name in LAYERS}
        return self._kept[key]

    def window(self, place: str, time: str, variant: int) -> tuple[Texture, Texture]:
        """Room and wall of a window at a place."""
        key = (place, time, variant % self.variants)
        if key not in self._windows:
            painted = places.paint_window(place, time=time, variant=key[2], unit=self.unit)
            self._windows[key] = (self._texture(painted[0]), self._texture(painted[1]))
        return self._windows[key]

    def _texture(self, painted: NDArray[np.uint8]) -> Texture:
        alpha = painted[3]
        used, open_ = np.flatnonzero(alpha.any(1)), np.flatnonzero((alpha < 255).any(1))
        wrapped = np.concatenate([painted[..., -1:], painted, painted[..., :1]], -1)
        first = int(used[0]) if len(used) else NEVER
        solid = int(open_[-1]) + 1 if len(open_) else -NEVER
        return Texture(
            pixels=torch.from_numpy(wrapped).to(self.device),
            first=first or -NEVER,
            solid=NEVER if solid == len(alpha) else solid,
        )
