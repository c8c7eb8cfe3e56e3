"""The diffusion transformer: noisy patches, their noise levels and a text → velocity.

    patches   latents `[B, C, t, h, w]` cut into 1×2×2 blocks, one linear layer → `[B, N, D]`
    noise     a level in [0, 1] for every patch; known patches have level 0
    text      text states `[B, L, D']`, attended to by every block; their mean joins the modulation
    blocks    see block.py
    out       modulated norm, one linear layer, blocks put together again

Most of what latents hold is detail that no text tells. If they were white noise of unit size,
the best guess of the velocity at level s would be κ(s)·noisy with

    κ(s) = (2s − 1) / (s² + (1 − s)²)

so the network adds to that, a learned share of it a channel, and need not carry every channel's
noise through its own width (as EDM's skip connection does for images, Karras et al. 2022).

Open weights of the Wan family fit the same class (config.py): some of them take known latents as
further channels, the states of a given image, or the frame rate. Those that make a video block by
block go on from a `Cache`: `follow` gives, for the frames that come next, the same numbers as
`forward` with `causal` gives for all frames in one piece.

After "Scalable Diffusion Models with Transformers" (Peebles & Xie 2023), with the joint
attention and rotary positions that video needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn

from worldreel.transformer.block import Block, Pair, Words
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.rotary import positions, rotations


def patchify(latents: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """`[B, C, t, h, w]` → `[B, N, C·p]`, patches in order of time, row, column."""
    pt, ph, pw = patch
    return rearrange(
        latents, "b c (t pt) (h ph) (w pw) -> b (t h w) (c pt ph pw)", pt=pt, ph=ph, pw=pw
    )


def unpatchify(patches: Tensor, patch: tuple[int, int, int], grid: tuple[int, int, int]) -> Tensor:
    """The inverse of `patchify`; `grid` is the number of patches along (t, h, w)."""
    (pt, ph, pw), (t, h, w) = patch, grid
    return rearrange(
        patches,
        "b (t h w) (c pt ph pw) -> b c (t pt) (h ph) (w pw)",
        t=t, h=h, w=w, pt=pt, ph=ph, pw=pw,
    )  # fmt: skip


def frequencies(noise_level: Tensor, count: int, kind: torch.dtype = torch.float32) -> Tensor:
    """Sinusoids of 1000·noise_level: `[...]` → `[..., count]`, cosines first (as in DDPM)."""
    exponent = torch.arange(count // 2, device=noise_level.device, dtype=kind)
    frequency = torch.exp(-math.log(10_000.0) * exponent / (count // 2))
    angle = 1000.0 * noise_level[..., None].to(kind) * frequency
    return torch.cat([angle.cos(), angle.sin()], -1)


def white(noise_level: Tensor) -> Tensor:
    """κ: the velocity of white latents of unit size is κ(noise level) times the noisy ones."""
    return (2 * noise_level - 1) / (noise_level**2 + (1 - noise_level) ** 2)


@dataclass(frozen=True, kw_only=True)
class Cache:
    """What later frames look at of `frames` earlier latent frames: keys and values, a block each.

    A value: whoever has it can go on from it any number of times.
    """

    frames: int
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What every block is told beside the patches, and what the last layer needs of it."""

    grid: tuple[int, int, int]
    shared: Tensor
    modulation: Tensor
    turn: Tensor
    texts: Sequence[Tensor | Words]
    readable: Tensor | None
    image: Tensor | None


class Transformer(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        width, block = config.width, math.prod(config.patch)
        self.enter = nn.Linear((config.channels + config.beside) * block, width)
        self.text = nn.Sequential(
            nn.Linear(config.text_width, width),
            nn.GELU(approximate="tanh") if config.text_gelu else nn.SiLU(),
            nn.Linear(width, width),
        )
        self.pool = nn.Linear(config.text_width, width) if config.pooled else None
        self.level = nn.Sequential(
            nn.Linear(config.frequencies, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width, eps=config.eps, elementwise_affine=False)
        self.table = nn.Parameter(torch.empty(2, width))
        nn.init.normal_(self.table, std=width**-0.5)
        self.leave = nn.Linear(width, config.channels * block)
        self.white = nn.Parameter(torch.ones(config.channels)) if config.white else None
        self._given(config)
        self._start_near_identity()

    def _given(self, config: TransformerConfig) -> None:
        """What only some open weights are told: a given image, the frame rate."""
        width, states = config.width, config.image_width
        self.image: nn.Sequential | None = None
        self.image_places: nn.Parameter | None = None
        if states is not None:
            self.image = nn.Sequential(
                nn.LayerNorm(states),
                nn.Linear(states, states),
                nn.GELU(),
                nn.Linear(states, width),
                nn.LayerNorm(width),
            )
            if config.image_places is not None:
                self.image_places = nn.Parameter(torch.zeros(config.image_places, states))
        self.rate: nn.Embedding | None = None
        if config.rates:
            self.rate = nn.Embedding(config.rates, width)
            self.rate_modulation = nn.Sequential(
                nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 6 * width)
            )

    def _start_near_identity(self) -> None:
        """Residual branches and the output start at zero, so early training is stable."""
        for block in self.blocks:
            assert isinstance(block, Block)
            for layer in (block.attention.out, block.text_attention.out, block.feed_forward[2]):
                assert isinstance(layer, nn.Linear)
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
            with torch.no_grad():  # gates start open: the zeroed layers above hold them shut
                block.table[2] = 1.0
                block.table[5] = 1.0
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self,
        noisy: Tensor,
        noise_level: Tensor,
        text_states: Tensor,
        text_mask: Tensor | None,
        *,
        times: Tensor | None = None,
        shots: Tensor | None = None,
        beside: Tensor | None = None,
        image: Tensor | None = None,
        rate: Tensor | None = None,
        words: Sequence[Words] | None = None,
        causal: int = 0,
    ) -> Tensor:
        """The velocity `[B, C, t, h, w]`.

        Args:
            noisy: latents `[B, C, t, h, w]`.
            noise_level: `[B, N]` a level a patch, or `[B, 1]` one for all.
            text_states: `[B, L, D']`, or `[B, S, L, D']` where each of S shots has a text.
            text_mask: `[B, L]` or `[B, S, L]`, true where there is a word; None: everywhere.
            times: `[t]` moments of the latent frames, in latent frames; 0, 1, 2, … if left out.
            shots: `[t]` the shot that each latent frame belongs to, and whose words alone it
                reads; needed with more than one text.
            beside: `[B, config.beside, t, h, w]`, with weights that take further channels.
            image: `[B, M, config.image_width]`, with weights that read a given image.
            rate: `[B]` number of the frame rate, with weights that are told.
            words: what `words` read of these texts and this image, so that it is not done again.
            causal: latent frames that make a block; a patch then looks at its own block and
                earlier ones only. 0: at everything.
        """
        x = self._enter(noisy, beside)
        told = self._tell(
            noisy, noise_level, text_states, text_mask, times, shots, image, rate, words
        )
        span = causal * told.grid[1] * told.grid[2]
        for block, text in zip(self.blocks, told.texts, strict=True):
            x = block(x, told.modulation, told.turn, text, told.readable, told.image, span)
        return self._leave(x, noisy, noise_level, told)

    def follow(
        self,
        noisy: Tensor,
        noise_level: Tensor,
        text_states: Tensor,
        text_mask: Tensor | None,
        *,
        cache: Cache | None,
        times: Tensor | None = None,
        shots: Tensor | None = None,
        rate: Tensor | None = None,
        words: Sequence[Words] | None = None,
    ) -> tuple[Tensor, Cache]:
        """The velocity of frames that follow those in `cache` (None: of the first), and what the
        frames after them will look at. Arguments as in `forward`, of these frames alone; `times`
        go on from the cache's frames if left out."""
        x = self._enter(noisy, None)
        before = 0 if cache is None else cache.frames
        if times is None:
            times = before + torch.arange(noisy.shape[2], device=noisy.device)
        told = self._tell(
            noisy, noise_level, text_states, text_mask, times, shots, None, rate, words
        )
        pairs = cache.pairs if cache is not None else self._nothing(x)
        seen = []
        for block, text, past in zip(self.blocks, told.texts, pairs, strict=True):
            x, pair = block(x, told.modulation, told.turn, text, told.readable, past=past)
            seen.append(pair)
        velocity = self._leave(x, noisy, noise_level, told)
        return velocity, Cache(frames=before + noisy.shape[2], pairs=tuple(seen))

    def words(self, text_states: Tensor, image: Tensor | None = None) -> tuple[Words, ...]:
        """What each block reads of texts and an image (as `forward` takes them), for any number
        of calls: it does not depend on the patches or their noise levels."""
        if text_states.ndim == 3:
            text_states = text_states[:, None]
        text, looked = self.text(text_states).flatten(1, 2), self._look(image)
        blocks = cast(Sequence[Block], self.blocks)
        return tuple(block.text_attention.read(text, looked) for block in blocks)

    def _enter(self, noisy: Tensor, beside: Tensor | None) -> Tensor:
        """Latents → patches `[B, N, D]`."""
        assert (beside is None) == (self.config.beside == 0), "channels beside the noisy ones"
        whole = noisy if beside is None else torch.cat([noisy, beside.to(noisy.dtype)], 1)
        patches = patchify(whole, self.config.patch).to(self.enter.weight.dtype)
        entered: Tensor = self.enter(patches)
        return entered

    def _tell(
        self,
        noisy: Tensor,
        noise_level: Tensor,
        text_states: Tensor,
        text_mask: Tensor | None,
        times: Tensor | None,
        shots: Tensor | None,
        image: Tensor | None,
        rate: Tensor | None,
        words: Sequence[Words] | None,
    ) -> _Told:
        patch = self.config.patch
        t, h, w = (n // p for n, p in zip(noisy.shape[2:], patch, strict=True))
        if text_states.ndim == 3:
            text_states = text_states[:, None]
            text_mask = None if text_mask is None else text_mask[:, None]
        shot = None
        if text_states.shape[1] > 1:
            assert shots is not None, "several texts and no shots"
            shot = shots[:: patch[0]].repeat_interleave(h * w)
        if text_mask is None and (shot is not None or self.pool is not None):
            text_mask = torch.ones_like(text_states[..., 0], dtype=torch.bool)
        moments = None if times is None else times[:: patch[0]]
        places = positions((t, h, w), device=noisy.device, times=moments)
        shared, modulation = self._modulate(noise_level, text_states, text_mask, shot, rate)
        texts: Sequence[Tensor | Words] | None = words
        if texts is None:
            texts = [self.text(text_states).flatten(1, 2)] * len(self.blocks)
        return _Told(
            grid=(t, h, w),
            shared=shared,
            modulation=modulation,
            turn=rotations(places, self.config.width // self.config.heads),
            texts=texts,
            readable=None if text_mask is None else _readable(text_mask, shot),
            image=self._look(image) if words is None else None,
        )

    def _leave(self, x: Tensor, noisy: Tensor, noise_level: Tensor, told: _Told) -> Tensor:
        """Patches `[B, N, D]` → the velocity."""
        kind, sums = x.dtype, torch.float32 if self.config.exact else x.dtype
        shift, scale = (told.shared[:, :, None] + self.table).to(sums).unbind(-2)
        x = self.leave((self.norm(x.to(sums)) * (1 + scale) + shift).to(kind))
        velocity = unpatchify(x, self.config.patch, told.grid)
        if self.white is None:
            return velocity
        return velocity + self._share(noise_level, told.grid) * noisy

    def _nothing(self, x: Tensor) -> tuple[Pair, ...]:
        """Keys and values of no patches, to begin with."""
        heads = self.config.heads
        none = x.new_empty(x.shape[0], heads, 0, self.config.width // heads)
        return ((none, none),) * len(self.blocks)

    def _share(self, noise_level: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """The part of the noisy latents that is in the velocity from the start (see above)."""
        assert self.white is not None
        s = noise_level.float()
        if s.shape[1] > 1:
            s = s.unflatten(1, grid)
            for axis, size in enumerate(self.config.patch, 1):
                s = s.repeat_interleave(size, axis)
        else:
            s = s[:, :, None, None]
        return self.white[:, None, None, None] * white(s)[:, None]

    def _look(self, image: Tensor | None) -> Tensor | None:
        """States of a given image, as wide as the patches."""
        if image is None:
            return None
        assert self.image is not None, "an image, and no weights for one"
        if self.image_places is not None:
            image = image + self.image_places
        looked: Tensor = self.image(image)
        return looked

    def _modulate(
        self,
        noise_level: Tensor,
        text_states: Tensor,
        text_mask: Tensor | None,
        shot: Tensor | None,
        rate: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """`[B, N or 1, D]` and `[B, N or 1, 6, D]`, from levels and texts `[B, S, L, D']`.

        The wide layer runs once for each distinct level of a shot, not once a patch.
        """
        batch, count = text_states.shape[:2]
        clip = torch.arange(batch, device=noise_level.device)[:, None]
        if shot is None and noise_level.shape[1] == 1:
            levels, told, where = noise_level[:, 0], clip[:, 0], None
        else:
            told = clip * count + (0 if shot is None else shot)
            distinct, where = torch.unique(noise_level.double() + 2 * told, return_inverse=True)
            told = torch.div(distinct, 2, rounding_mode="floor").long()
            levels = (distinct - 2 * told).float()
        kind = torch.float64 if self.config.exact else torch.float32
        embedded = frequencies(levels, self.config.frequencies, kind)
        if self.pool is None:
            shared = self.level(embedded.to(self.table.dtype))
        else:
            assert text_mask is not None
            words = text_mask[..., None].to(text_states.dtype)
            pooled = self.pool((text_states * words).sum(2) / words.sum(2).clamp_min(1))
            shared = self.level(embedded.to(pooled.dtype)) + pooled.flatten(0, 1)[told]
        modulation = self.modulation(shared).unflatten(-1, (6, -1))
        assert (rate is None) == (self.rate is None), "a frame rate"
        if self.rate is not None:
            rates = self.rate_modulation(self.rate(rate)).unflatten(-1, (6, -1))
            modulation = modulation + rates[torch.div(told, count, rounding_mode="floor")]
        if where is None:
            return shared[:, None], modulation[:, None]
        return shared[where], modulation[where]


def _readable(mask: Tensor, shot: Tensor | None) -> Tensor:
    """Which of all shots' words each patch may read: `[B, N or 1, S·L]` of a mask `[B, S, L]`."""
    if shot is None:
        return mask.flatten(1)[:, None]
    own = shot[:, None] == torch.arange(mask.shape[1], device=mask.device)  # N S
    return (mask[:, None] & own[None, :, :, None]).flatten(2)
