"""The codecs of the Wan family, 2.1 (4 frames × 8×8 pixels, 16 channels) and 2.2 (4 × 16×16, 48).

Both are stacks of causal convolutions that halve space three times and time twice, and back. The
first frame is a group of its own and skips everything that mixes frames on the way down or up in
time; later frames come in fours. What 2.2 adds: pixels enter in blocks of 2×2, and beside every
level runs a shortcut without weights that only averages on the way down and repeats on the way up.

The interface is that of `Codec`: state is a value, passed in and out, so a video of any length
streams with the same result as in one piece. Tensors are `[B, T, H, W, C]` inside. A convolution
over three frames is one over images whose channels are those of the three (channels last), which
needs no 3D kernels; a nearest-neighbour doubling and the convolution behind it are one convolution
over the small picture that makes all four pixels at once, with 16 products instead of 36; and on a
CPU two frames are made of four convolutions instead of six (`_pairs`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from worldreel.codec.layers import State

GROUP = 4
"""Frames a latent frame, after the first."""
MANY = 1024
"""Positions of a picture or pictures from which on sums of weights cost less than products."""


@dataclass(frozen=True, kw_only=True)
class WanCodecConfig:
    """Sizes; the defaults are 2.1's. `times` says which halvings of space halve time too."""

    channels: int = 16
    width: int = 96
    decoder_width: int = 96
    multiples: tuple[int, ...] = (1, 2, 4, 4)
    depth: int = 2
    times: tuple[bool, ...] = (False, True, True)
    block: int = 1
    """Pixels a side of the blocks in which they enter."""
    shortcuts: bool = False

    def __post_init__(self) -> None:
        assert len(self.times) == len(self.multiples) - 1 and sum(self.times) == 2, self.times

    @property
    def spatial(self) -> int:
        """Pixels a side of a latent position."""
        return int(self.block * 2 ** len(self.times))

    @property
    def temporal(self) -> int:
        """Frames a latent frame, after the first."""
        return GROUP


class Layer(nn.Module):
    """Something with a state: `forward(x, state)` gives what it makes of `[B, T, H, W, C]` and
    the state after it, of `states` tensors; state None: x is the beginning of a clip."""

    states: int = 0


class Norm(nn.Module):
    """Root-mean-square norm over channels, with nothing added under the root but a guard."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """`[..., channels]` → the same."""
        if x.is_cuda or torch.is_grad_enabled():
            return F.rms_norm(x, x.shape[-1:], self.weight, 1e-24)
        # A CPU is slow at what torch makes of that: five matrices of x's size, one after another.
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        share = size.square_().div_(x.shape[-1]).add_(1e-24).rsqrt_()
        return torch.mul(x, share).mul_(self.weight)


def _active(normed: Tensor) -> Tensor:
    """SiLU, where the numbers are if nobody else needs them."""
    return F.silu(normed, inplace=not torch.is_grad_enabled())


class Conv(Layer):
    """A convolution over `frames` frames (this one and those before it) and k×k pixels.

    Its weight is `[outputs, frames · inputs, k, k]`, earlier frames first. Before the first frame
    there is nothing (zeros).
    """

    def __init__(self, inputs: int, outputs: int, *, frames: int = 3, size: int = 3) -> None:
        super().__init__()
        self.frames, self.size = frames, size
        self.states = 1 if frames > 1 else 0
        fan = frames * inputs * size**2
        self.weight = nn.Parameter(torch.empty(outputs, frames * inputs, size, size))
        nn.init.normal_(self.weight, std=fan**-0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """`[B, T, H, W, inputs]`, its past `frames` - 1 frames → `[B, T, H, W, outputs]`."""
        after: State = ()
        if self.frames > 1:
            past = x.new_zeros(*_front(x, self.frames - 1)) if state is None else state[0]
            whole, count = torch.cat([past, x], 1), x.shape[1]
            after = (whole[:, 1 - self.frames :].clone(),)  # a view would keep all of it
            if state is None and count == 1:  # what is zero need not be multiplied
                return _convolved(x, self.weight[:, -x.shape[-1] :], self.bias), after
            if self.frames == 3 and _pays(x):
                return _pairs(whole, self.weight, self.bias), after
            x = torch.cat([whole[:, i : i + count] for i in range(self.frames)], -1)
        return self.within(x), after

    def within(self, x: Tensor) -> Tensor:
        """The convolution of each frame by itself."""
        if self.size == 1:
            return F.linear(x, self.weight[:, :, 0, 0], self.bias)
        return _convolved(x, self.weight, self.bias)


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _images(x, lambda y: F.conv2d(y, weight, bias, padding=weight.shape[-1] // 2))


def _pays(x: Tensor) -> bool:
    """Whether `_pairs` is faster for these frames: on a CPU, for pictures that are not tiny."""
    exact = x.device.type == "cpu" and x.dtype == torch.float32
    return exact and x.shape[1] % 2 == 0 and x.shape[1:4].numel() >= MANY


def _pairs(whole: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A convolution over three frames, two at a time (Winograd 1980): of frames a b c d and kernels
    f g h, with s = (f + h)/2 and m = g/2,

        a·f + b·g + c·h  =  (a − c)·f + (b + c)·(s + m) + (c − b)·(s − m)
        b·f + c·g + d·h  =  (b + c)·(s + m) − (c − b)·(s − m) − (b − d)·h
    """
    first, middle, last = weight.chunk(3, 1)
    ends, half = (first + last) / 2, middle / 2
    even, odd = whole[:, ::2], whole[:, 1::2]
    a, b, c, d = even[:, :-1], odd[:, :-1], even[:, 1:], odd[:, 1:]
    one = _convolved(a - c, first)
    plus = _convolved(b + c, ends + half, bias)
    minus = _convolved(c - b, ends - half)
    other = _convolved(b - d, last)
    made = torch.stack([one.add_(plus).add_(minus), plus.sub_(minus).sub_(other)], 2)
    return made.flatten(1, 2)


def _front(x: Tensor, frames: int) -> tuple[int, ...]:
    return (x.shape[0], frames, *x.shape[2:])


def _images(x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """A change of images `[B·T, C, H, W]`, for `[B, T, H, W, C]`: channels last without a copy."""
    flat = x.flatten(0, 1).permute(0, 3, 1, 2)
    y: Tensor = change(flat).permute(0, 2, 3, 1).unflatten(0, x.shape[:2])
    return y


class Residual(Layer):
    """x + two convolutions over three frames, each behind a norm and a SiLU."""

    states = 2

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = Norm(inputs), Conv(inputs, outputs)
        self.norm2, self.conv2 = Norm(outputs), Conv(outputs, outputs)
        same = inputs == outputs
        self.shortcut = None if same else Conv(inputs, outputs, frames=1, size=1)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        one, two = (None, None) if state is None else (state[:1], state[1:])
        y, first = self.conv1(_active(self.norm1(x)), one)
        y, second = self.conv2(_active(self.norm2(y)), two)
        kept = x if self.shortcut is None else self.shortcut.within(x)
        return kept + y, first + second


class Attention(Layer):
    """Every position of a frame attends to the others of that frame; one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = Norm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        flat = self.norm(x).flatten(0, 1).flatten(1, 2)[:, None]
        y = F.scaled_dot_product_attention(*self.qkv(flat).chunk(3, -1))
        return x + self.out(y[:, 0]).reshape(x.shape), ()


class Down(Layer):
    """Halves space and, with `time`, the number of frames; the very first frame is kept."""

    def __init__(self, channels: int, *, time: bool) -> None:
        super().__init__()
        self.space = Conv(channels, channels, frames=1)
        self.time = Conv(channels, channels, size=1) if time else None
        self.states = 1 if time else 0

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """A first chunk is one frame, a later one an even number of them (with `time`)."""
        space = self.space
        x = _images(
            x, lambda y: F.conv2d(F.pad(y, (0, 1, 0, 1)), space.weight, space.bias, stride=2)
        )
        if self.time is None:
            return x, ()
        if state is None:
            return x, (x.clone(),)
        whole = torch.cat([state[0], x], 1)
        count = x.shape[1]
        seen = torch.cat([whole[:, i : i + count : 2] for i in range(3)], -1)
        return self.time.within(seen), (x[:, -1:].clone(),)


class Up(Layer):
    """Doubles space and, with `time`, the number of frames, but for the very first one."""

    def __init__(self, channels: int, outputs: int, *, time: bool) -> None:
        super().__init__()
        self.time = Conv(channels, 2 * channels, size=1) if time else None
        self.space = Conv(channels, outputs, frames=1)
        self.states = 1 if time else 0

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """A first chunk is one frame."""
        after: State = ()
        if self.time is not None:
            if state is None:  # the first frame is no past of what follows
                after = (x.new_zeros(*_front(x, 2)),)
            else:
                x, after = self.time(x, state)
                x = x.unflatten(-1, (2, -1)).permute(0, 1, 4, 2, 3, 5).flatten(1, 2)
        return _images(x, self._double), after

    def _double(self, x: Tensor) -> Tensor:
        """Each pixel repeated 2×2 and convolved, without the repetition: an output pixel sees
        2×2 inputs, the kernel's rows and columns that fall on the same input being added."""
        w = self.space.weight
        rows = (torch.stack([w[:, :, 0], w[:, :, 1] + w[:, :, 2]], 2),
                torch.stack([w[:, :, 0] + w[:, :, 1], w[:, :, 2]], 2))  # fmt: skip
        kernels = [
            kernel
            for r in rows
            for kernel in (
                torch.stack([r[..., 0], r[..., 1] + r[..., 2]], -1),
                torch.stack([r[..., 0] + r[..., 1], r[..., 2]], -1),
            )
        ]
        height, width = x.shape[2:]
        bias = self.space.bias.repeat(4)
        y = F.conv2d(x, torch.cat(kernels), bias, padding=1).unflatten(1, (2, 2, -1))
        parts = torch.stack([
            torch.stack([y[:, i, j, :, i : i + height, j : j + width] for j in range(2)], -1)
            for i in range(2)
        ], -3)  # n c h 2 w 2  # fmt: skip
        done: Tensor = parts.flatten(4, 5).flatten(2, 3)
        return done


class Chain(Layer):
    """Layers one after another; its state is the tuple of theirs."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.states = sum(layer.states for layer in layers)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        after: State = ()
        for layer in self.layers:
            assert isinstance(layer, Layer)
            count = layer.states
            begin = len(after)
            x, kept = layer(x, None if state is None else state[begin : begin + count])
            after += kept
        return x, after


class Level(Layer):
    """The layers at one scale, and 2.2's shortcut beside them."""

    def __init__(
        self, layers: Sequence[Layer], shortcut: nn.Module | None, *, nested: bool
    ) -> None:
        super().__init__()
        self.chain, self.shortcut = Chain(layers), shortcut
        self.nested = nested  # 2.2's files number layers by level
        self.states = self.chain.states

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        y, after = self.chain(x, state)
        if self.shortcut is not None:  # of a first frame repeated only the last is kept
            y = y + self.shortcut(x)[:, -y.shape[1] :]
        return y, after


class Average(nn.Module):
    """Blocks of frames and pixels → channels, averaged in groups; a lone frame has a black one
    before it."""

    def __init__(self, outputs: int, *, time: int, space: int) -> None:
        super().__init__()
        self.outputs, self.time, self.space = outputs, time, space

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([x.new_zeros(*_front(x, -x.shape[1] % self.time)), x], 1)
        x = x.unflatten(3, (-1, self.space)).unflatten(2, (-1, self.space))
        x = x.unflatten(1, (-1, self.time)).permute(0, 1, 3, 5, 7, 2, 4, 6)  # b t h w c t h w
        averaged: Tensor = x.flatten(4).unflatten(4, (self.outputs, -1)).mean(-1)
        return averaged


class Repeat(nn.Module):
    """Channels → blocks of frames and pixels, repeated where there are too few."""

    def __init__(self, inputs: int, outputs: int, *, time: int, space: int) -> None:
        super().__init__()
        self.repeats = outputs * time * space**2 // inputs
        self.outputs, self.time, self.space = outputs, time, space

    def forward(self, x: Tensor) -> Tensor:
        x = x.repeat_interleave(self.repeats, -1)
        x = x.unflatten(4, (self.outputs, self.time, self.space, self.space))
        x = x.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(5, 6).flatten(3, 4).flatten(1, 2)
        return x


def _middle(width: int) -> list[Layer]:
    return [Residual(width, width), Attention(width), Residual(width, width)]


class Tower(Layer):
    """A convolution, the body, a norm, a SiLU and a convolution."""

    def __init__(self, enter: Conv, body: Sequence[Layer], leave: Conv, width: int) -> None:
        super().__init__()
        self.enter, self.body = enter, Chain(body)
        self.norm, self.leave = Norm(width), leave
        self.states = self.body.states + 2

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        one, most, last = (
            (None, None, None) if state is None else (state[:1], state[1:-1], state[-1:])
        )
        x, entered = self.enter(x, one)
        x, after = self.body(x, most)
        x, left = self.leave(_active(self.norm(x)), last)
        return x, entered + after + left


def encoder(config: WanCodecConfig) -> Tower:
    """Blocks of pixels `[B, T, H, W, 3·block²]` → `[B, t, h, w, 2·channels]`; a first chunk is one
    frame, a later one 4n."""
    widths = [config.width * m for m in (1, *config.multiples)]
    levels: list[Layer] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        layers: list[Layer] = [
            Residual(inputs if n == 0 else outputs, outputs) for n in range(config.depth)
        ]
        last = i == len(config.times)
        time = not last and config.times[i]
        if not last:
            layers.append(Down(outputs, time=time))
        shortcut = None
        if config.shortcuts:
            shortcut = Average(outputs, time=2 if time else 1, space=1 if last else 2)
        levels.append(Level(layers, shortcut, nested=config.shortcuts))
    enter = Conv(3 * config.block**2, widths[0])
    leave = Conv(widths[-1], 2 * config.channels)
    return Tower(enter, [*levels, *_middle(widths[-1])], leave, widths[-1])


def decoder(config: WanCodecConfig) -> Tower:
    """Latents `[B, t, h, w, channels]` → blocks of pixels `[B, T, H, W, 3·block²]`; a first chunk
    is one latent frame."""
    widths = [config.decoder_width * m for m in (config.multiples[-1], *config.multiples[::-1])]
    times = config.times[::-1]
    levels: list[Layer] = []
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        given = inputs if i == 0 or config.shortcuts else inputs // 2
        layers: list[Layer] = [
            Residual(given if n == 0 else outputs, outputs) for n in range(config.depth + 1)
        ]
        shortcut = None
        if i < len(times):
            layers.append(Up(outputs, outputs if config.shortcuts else outputs // 2, time=times[i]))
            if config.shortcuts:
                shortcut = Repeat(inputs, outputs, time=2 if times[i] else 1, space=2)
        levels.append(Level(layers, shortcut, nested=config.shortcuts))
    enter = Conv(config.channels, widths[0])
    leave = Conv(widths[-1], 3 * config.block**2)
    return Tower(enter, [*_middle(widths[0]), *levels], leave, widths[-1])


class WanCodec(nn.Module):
    """Encoder, decoder and the statistics that make latents zero-mean and of unit size."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: WanCodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = encoder(config), decoder(config)
        self.after = nn.Linear(2 * config.channels, 2 * config.channels)
        self.before = nn.Linear(config.channels, config.channels)
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("deviation", torch.ones(config.channels))

    def encode(self, frames: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Frames `[B, 3, 1+4n (first) or 4n, H, W]` in [-1, 1] → normalised latents
        `[B, C, t, H/spatial, W/spatial]` (the middle of their distribution), state."""
        q = self.config.block
        x = rearrange(frames, "b c t (h q) (w r) -> b t h w (c r q)", q=q, r=q)
        y, state = _stream(self.encoder, x.to(self.mean.dtype), GROUP, state)
        middle = self.after(y).chunk(2, -1)[0]
        return ((middle - self.mean) / self.deviation).permute(0, 4, 1, 2, 3), state

    def decode(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Normalised latents `[B, C, t, h, w]` → frames in about [-1, 1], state."""
        q = self.config.block
        x = latents.permute(0, 2, 3, 4, 1).to(self.mean.dtype) * self.deviation + self.mean
        y, state = _stream(self.decoder, self.before(x), 1, state)
        return rearrange(y, "b t h w (c r q) -> b c t (h q) (w r)", q=q, r=q), state


def _stream(tower: Tower, x: Tensor, size: int, state: State | None) -> tuple[Tensor, State]:
    """Runs a clip, or what follows, through in pieces of `size`, a first one alone: memory is that
    of one group."""
    head = 1 if state is None else 0
    parts = [x[:, :head]] * head + list(x[:, head:].split(size, 1) if x.shape[1] > head else ())
    made = []
    for part in parts:
        y, state = tower(part, state)
        made.append(y)
    assert state is not None, "no frames"
    return torch.cat(made, 1), state
