"""Frames to latents, and latents to frames when somebody asks for them: a chunk at a time.

The codec streams: its state is a value, so a video of any length is encoded and decoded in constant
memory, and the result is the same as if that had been done whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from worldreel.models.model import AnyCodec
from worldreel.video.pixels import shown, signed

CHUNK = 4
"""Latent frames decoded at a time."""
ENCODED = 8
"""Latent frames encoded at a time."""


@torch.no_grad()
def encoded(codec: AnyCodec, frames: Tensor, *, held: bool = False) -> Tensor:
    """Latents `[1, C, t, h, w]` of frames uint8 `[n, H, W, 3]`, of a clip that begins with them;
    with `held`, of groups in mid-clip: the first frame is held before them and its latent dropped.
    A last group may be short: its last frame is held."""
    group, device = codec.config.temporal, codec.mean.device
    if held:
        frames = torch.cat([frames[:1], frames])
    short = (1 - len(frames)) % group
    if short:
        frames = torch.cat([frames, frames[-1:].expand(short, -1, -1, -1)])
    parts, state = [], None
    for chunk in (frames[:1], *frames[1:].split(ENCODED * group)):
        if len(chunk):
            part, state = codec.encode(signed(chunk.to(device))[None], state)
            parts.append(part)
    return torch.cat(parts, 2)[:, :, int(held) :]


class DecodedFrames:
    """`count` frames from `first` on of what latents `[1, C, t, h, w]` decode to."""

    def __init__(self, codec: AnyCodec, latents: Tensor, *, first: int, count: int) -> None:
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
            pixels = shown(frames[0])
            a, b = max(low - place, 0), min(high - place, len(pixels))
            place += len(pixels)
            if a < b:
                yield pixels[a:b].cpu()
            if place >= high:
                return
