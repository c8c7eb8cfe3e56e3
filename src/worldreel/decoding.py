"""Frames that are decoded when somebody asks for them, a few latent frames at a time.

The codec streams: its state is a value, so a video of any length is decoded in constant memory,
and the frames are the same as if it had been decoded whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from worldreel.codec.model import Codec

CHUNK = 4
"""Latent frames decoded at a time."""


class DecodedFrames:
    """`count` frames from `first` on of what latents `[1, C, t, h, w]` decode to."""

    def __init__(self, codec: Codec, latents: Tensor, *, first: int, count: int) -> None:
        self.codec, self.latents = codec, latents
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    @property
    def width(self) -> int:
        return int(self.latents.shape[4]) * self.codec.config.spatial

    @property
    def height(self) -> int:
        return int(self.latents.shape[3]) * self.codec.config.spatial

    @torch.no_grad()
    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
        """Frames [first, last) in pieces, uint8 `[n, H, W, 3]`; decoding starts afresh each time,
        at the beginning: later frames depend on earlier ones."""
        low = self.first + first
        high = self.first + (self.count if last is None else min(last, self.count))
        state, place = None, 0
        for part in self.latents.split(CHUNK, dim=2):
            frames, state = self.codec.decode(part, state)
            pixels = ((frames[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
            a, b = max(low - place, 0), min(high - place, pixels.shape[1])
            place += pixels.shape[1]
            if a < b:
                yield pixels[:, a:b].permute(1, 2, 3, 0).cpu()
            if place >= high:
                return
