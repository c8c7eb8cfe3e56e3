"""Sprites as textures on the drawing device: one bank of pictures, filled as actors appear."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldreel.world import atlas
from worldreel.world.paint import recolour


class Sprites:
    """A growing bank of painted loops at `side` pixels, uint8, premultiplied rgba."""

    def __init__(self, *, side: int, device: torch.device) -> None:
        self.side = side
        self._places: dict[tuple[str, str | None], int] = {}
        self._bank = torch.zeros(0, 4, side, side, dtype=torch.uint8, device=device)

    def number(self, kind: str, colour: str | None) -> int:
        """Where in the bank a kind's loop of `atlas.FRAMES` pictures begins; loads it if new."""
        key = (kind, colour)
        if key not in self._places:
            first = len(self._places) * atlas.FRAMES
            if first == len(self._bank):
                self._grow()
            self._bank[first : first + atlas.FRAMES] = _painted(kind, colour, self.side)
            self._places[key] = first
        return self._places[key]

    def _grow(self) -> None:
        room = max(16, len(self._places) // 2) * atlas.FRAMES
        self._bank = torch.cat([self._bank, self._bank.new_zeros(room, *self._bank.shape[1:])])

    def pick(self, numbers: NDArray[np.int64]) -> Tensor:
        """Pictures of the bank by number, [n] → uint8 [n, 4, side, side] (a copy)."""
        if not len(self._bank):
            self._grow()
        return self._bank[torch.from_numpy(numbers).to(self._bank.device)]


def _painted(kind: str, colour: str | None, side: int) -> Tensor:
    entry = atlas.kind(kind)
    loop = atlas.load_sprites([kind], side=side)[0]
    if colour is not None and entry.recolourable:
        return recolour(loop, colour, level=entry.level)
    return loop[:, :4]
