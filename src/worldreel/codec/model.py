"""The codec: a causal video autoencoder that turns frames into latents and back: 4 frames by
8×8 pixels (or 16×16, for the smallest models) become one latent position.

Frames come in groups: the first frame alone, then four at a time. Latent frame 0 is the first
frame standing still for a group, so a still is a video of one frame and nothing needs a second
network. Everything after depends on earlier groups only, so a video of any length streams
through in chunks, in constant memory, with the same result as in one piece.

    encode: pixels → blocks of 4×4 pixels → 2×2 of those → 4 frames merged → causal blocks → latents
    decode: latents → causal blocks → 4 frames → 8×8 pixels each, in three steps of two

Training keeps the latents well conditioned: a fixed amount of noise is added to them while a
weak penalty holds their size (a Gaussian VAE of constant variance, Rybkin et al. 2021), so
that unimportant detail is not worth a latent's precision, and the decoder forgives small errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldreel.codec.layers import (
    SpatialConv,
    Stack,
    State,
    channels_to_space,
    space_to_channels,
)

GROUP = 4  # frames a latent frame, after the first


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """Sizes of a codec. With `scale` 2 a latent position stands for 16×16 pixels, not 8×8: the
    encoder begins with blocks of 8×8 pixels and the decoder ends with one more step of two."""

    channels: int = 16
    fine: int = 96  # width at half the latents' spacing
    deep: int = 192  # width at the latents' spacing
    encoder_depth: int = 3
    decoder_depth: int = 4
    fine_depth: int = 2
    finer: int = 48  # width at a quarter of the latents' spacing
    scale: int = 1

    @property
    def spatial(self) -> int:
        """Pixels a side of a latent position."""
        return 8 * self.scale

    @property
    def temporal(self) -> int:
        """Frames a latent frame, after the first."""
        return GROUP


class Encoder(nn.Module):
    """Frames `[B, 3, T, H, W]` in [-1, 1] → latents `[B, C, t, H/spatial, W/spatial]`."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        fine, deep = config.fine, config.deep
        self.block = 4 * config.scale
        self.enter = SpatialConv(3 * self.block**2, fine)
        self.fine = Stack(fine, 1, temporal=False)
        self.down = nn.Linear(4 * fine, fine)
        self.merge = nn.Linear(GROUP * fine, deep)
        self.deep = Stack(deep, config.encoder_depth, temporal=True)
        self.leave = nn.Linear(deep, config.channels)

    def forward(self, frames: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """A first chunk (state None) has 1 + 4n frames, a later one 4n."""
        x = frames.permute(0, 2, 3, 4, 1)
        x = self.enter(space_to_channels(x, self.block))
        x, _ = self.fine(x, None)
        x = self.down(space_to_channels(x, 2))
        if state is None:
            x = torch.cat([x[:, :1].expand(-1, GROUP - 1, -1, -1, -1), x], 1)
        x = x.unflatten(1, (-1, GROUP)).permute(0, 1, 3, 4, 2, 5).flatten(4)
        x, after = self.deep(self.merge(x), state)
        return self.leave(x).permute(0, 4, 1, 2, 3), after


class Decoder(nn.Module):
    """Latents `[B, C, t, h, w]` → frames `[B, 3, T, spatial·h, spatial·w]`."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        fine, deep, finer = config.fine, config.deep, config.finer
        self.enter = SpatialConv(config.channels, deep)
        self.deep = Stack(deep, config.decoder_depth, temporal=True)
        self.split = nn.Linear(deep, GROUP * fine)
        self.up1 = nn.Linear(fine, 4 * fine)
        self.fine = Stack(fine, config.fine_depth, temporal=True)
        self.up2 = nn.Linear(fine, 4 * finer)
        self.finer = Stack(finer, 1, temporal=False)
        self.scale = config.scale
        if config.scale == 2:
            self.up3 = nn.Linear(finer, 4 * finer // 2)
            self.full = Stack(finer // 2, 1, temporal=False)
            self.leave = SpatialConv(finer // 2, 3 * 4)
        else:
            self.leave = SpatialConv(finer, 3 * 4)

    def forward(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """A first chunk of t latent frames gives 1 + 4(t-1) frames, a later one 4t."""
        first = state is None
        depth = len(self.deep.blocks)
        x = self.enter(latents.permute(0, 2, 3, 4, 1))
        x, deep_state = self.deep(x, None if state is None else state[:depth])
        x = self.split(x).unflatten(4, (GROUP, -1)).permute(0, 1, 4, 2, 3, 5).flatten(1, 2)
        if first:
            x = x[:, GROUP - 1 :]
        x = channels_to_space(self.up1(x), 2)
        x, fine_state = self.fine(x, None if state is None else state[depth:])
        x = channels_to_space(self.up2(x), 2)
        x, _ = self.finer(x, None)
        if self.scale == 2:
            x, _ = self.full(channels_to_space(self.up3(x), 2), None)
        frames = channels_to_space(self.leave(nn.functional.silu(x)), 2)
        return frames.permute(0, 4, 1, 2, 3), (*deep_state, *fine_state)


class Codec(nn.Module):
    """Encoder, decoder and the statistics that make latents zero-mean and of unit size."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("deviation", torch.ones(config.channels))

    def encode(self, frames: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Frames `[B, 3, 1+4n (first) or 4n, H, W]` in [-1, 1] → normalised latents, state."""
        latents, state = self.encoder(frames, state)
        return (latents - _wide(self.mean)) / _wide(self.deviation), state

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Normalised latents `[B, C, t, h, w]` → frames in about [-1, 1], state."""
        decoded: tuple[Tensor, State] = self.decoder(
            latents * _wide(self.deviation) + _wide(self.mean), state
        )
        return decoded


def _wide(per_channel: Tensor) -> Tensor:
    return per_channel[:, None, None, None]
