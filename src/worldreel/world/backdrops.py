"""Painted backdrops as textures, painted on first use and kept.

A painting covers x in [-2, 2) (periodic) and y in [-0.25, 1.25] world units. One column is
repeated at either side so that bilinear sampling is seamless where the panorama wraps.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from worldreel.world import places

PERIOD = 4.0
TOP = -0.25


class Backdrops:
    """Paintings of places at `unit` pixels per world unit, `variants` of each."""

    def __init__(self, *, unit: int, variants: int) -> None:
        self.unit, self.variants = unit, variants
        self._kept: dict[tuple[str, str, int], dict[str, Tensor]] = {}

    def get(self, place: str, time: str, variant: int) -> dict[str, Tensor]:
        """`sky`, `middle`, `ground`: uint8 [4, 1.5·unit, 4·unit + 2], premultiplied."""
        key = (place, time, variant % self.variants)
        if key not in self._kept:
            painted = places.paint(place, time=time, variant=key[2], unit=self.unit)
            self._kept[key] = {
                name: _wrap(getattr(painted, name)) for name in ("sky", "middle", "ground")
            }
        return self._kept[key]


def _wrap(texture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.concatenate([texture[..., -1:], texture, texture[..., :1]], -1))
