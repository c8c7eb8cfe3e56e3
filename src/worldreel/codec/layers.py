"""Building blocks of the codec: causal in time, channels last, state passed in and out.

Inside the codec tensors are `[B, T, H, W, C]`: a temporal convolution is then a matrix product
over neighbouring frames, and a spatial one runs in the channels-last layout that CPUs and GPUs
both like best. A causal layer looks back at `reach` earlier frames; whoever streams hands it
those frames as a value and gets the new ones back, so nothing is hidden in a module.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]


class RMSNorm(nn.Module):
    """Root-mean-square norm over channels (Zhang & Sennrich 2019): no statistics over space
    or time, so that a chunk, a crop and the whole clip are normalised alike."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.rms_norm(x, x.shape[-1:], self.scale.to(x.dtype), 1e-6)


class SpatialConv(nn.Module):
    """A convolution within each frame of `[B, T, H, W, C]`.

    Its weight is kept as the matrix `[outputs, inputs · k · k]` that it is, so that the optimizer
    may treat it like any other matrix.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.kernel = kernel
        fan = inputs * kernel**2
        self.weight = nn.Parameter(torch.randn(outputs, fan) / fan**0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        batch, frames = x.shape[:2]
        flat = x.flatten(0, 1).permute(0, 3, 1, 2)  # channels_last strides without a copy
        weight = self.weight.unflatten(1, (-1, self.kernel, self.kernel))
        y = nn.functional.conv2d(flat, weight, self.bias, padding=self.kernel // 2)
        out: Tensor = y.permute(0, 2, 3, 1).unflatten(0, (batch, frames))
        return out


class CausalTemporalConv(nn.Module):
    """A convolution over each pixel's present and `reach` past frames.

    Before the first frame the clip is taken to have stood still: the first frame repeats.
    """

    reach = 2

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Linear(channels * (self.reach + 1), channels)

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """x `[B, T, H, W, C]`, past `[B, reach, H, W, C]` or None → same shapes."""
        if past is None:
            past = x[:, :1].expand(-1, self.reach, -1, -1, -1)
        whole = torch.cat([past, x], 1)
        frames = x.shape[1]
        seen = torch.cat([whole[:, i : i + frames] for i in range(self.reach + 1)], -1)
        return self.mix(seen), whole[:, -self.reach :]


class Block(nn.Module):
    """Residual: norm → spatial convolution → norm → causal temporal convolution; when
    `temporal` is off, a second spatial one."""

    def __init__(self, channels: int, *, temporal: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(channels), RMSNorm(channels)
        self.spatial = SpatialConv(channels, channels)
        self.temporal = CausalTemporalConv(channels) if temporal else None
        self.second = None if temporal else SpatialConv(channels, channels)
        last = self.temporal.mix if self.temporal is not None else self.second
        assert last is not None
        nn.init.zeros_(last.weight)
        if last.bias is not None:
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor | None]:
        y = self.spatial(nn.functional.silu(self.norm1(x)))
        y = nn.functional.silu(self.norm2(y))
        if self.temporal is None:
            assert self.second is not None
            return x + self.second(y), None
        y, past = self.temporal(y, past)
        return x + y, past


class Stack(nn.Module):
    """Blocks one after another; its state is the tuple of its temporal layers' pasts."""

    def __init__(self, channels: int, depth: int, *, temporal: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, temporal=temporal) for _ in range(depth))
        self.states = depth if temporal else 0

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        after: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            past = state[i] if state is not None and self.states else None
            x, past = block(x, past)
            if past is not None:
                after.append(past)
        return x, tuple(after)


def space_to_channels(x: Tensor, factor: int) -> Tensor:
    """`[B, T, H·f, W·f, C]` → `[B, T, H, W, f·f·C]`."""
    x = x.unflatten(3, (-1, factor)).unflatten(2, (-1, factor))
    return x.permute(0, 1, 2, 4, 3, 5, 6).flatten(4)


def channels_to_space(x: Tensor, factor: int) -> Tensor:
    """The inverse of `space_to_channels`."""
    x = x.unflatten(4, (factor, factor, -1)).permute(0, 1, 2, 4, 3, 5, 6)
    return x.flatten(4, 5).flatten(2, 3)
