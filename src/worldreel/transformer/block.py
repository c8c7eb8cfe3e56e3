"""One block: joint self-attention over all patches, attention to the text, feed-forward.

Each of the first and last is modulated by the noise level: six vectors a patch (shift, scale and
gate for either), made once for the whole network plus a learned table a block (as in PixArt-α,
Chen et al. 2023, and Wan), so that a noise level a patch costs little.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.rotary import rotate


class RMSNorm(nn.Module):
    """Root-mean-square norm (Zhang & Sennrich 2019), computed in fp32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), x.shape[-1:], self.weight, 1e-6).to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention of `[B, heads, N, head]`; mask true where a key may be seen.

    On a CPU the three explicit products are 3 to 7 times faster than the fused call under bf16
    autocast (measured, torch 2.13, 16 to 112 patches); on a GPU the fused one wins.
    """
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e4)
    mixed: Tensor = scores.softmax(-1).to(v.dtype) @ v
    return mixed


class SelfAttention(nn.Module):
    """Every patch attends to every patch; queries and keys are normalised, then rotated."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.norm_q, self.norm_k = RMSNorm(config.width), RMSNorm(config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, turn: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for y in (self.norm_q(q), self.norm_k(k), v)
        )
        y = attend(rotate(q, turn), rotate(k, turn), v)
        return self.out(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class TextAttention(nn.Module):
    """Every patch attends to the words."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q = nn.Linear(config.width, config.width)
        self.kv = nn.Linear(config.width, 2 * config.width)
        self.norm_q, self.norm_k = RMSNorm(config.width), RMSNorm(config.width)
        self.out = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """x `[B, N, D]`, text `[B, L, D]`, mask `[B, N or 1, L]` true where a word may be read."""
        k, v = self.kv(text).chunk(2, -1)
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for y in (self.norm_q(self.q(x)), self.norm_k(k), v)
        )
        y = attend(q, k, v, mask[:, None])
        return self.out(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    """x + gate·attention(modulated norm), + text attention, + gate·feed-forward(…)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attention = SelfAttention(config)
        self.norm_text = nn.LayerNorm(width, eps=1e-6)
        self.text_attention = TextAttention(config)
        self.norm2 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        activation = nn.GELU(approximate="tanh") if config.gelu else nn.SiLU()
        self.feed_forward = nn.Sequential(
            nn.Linear(width, config.hidden), activation, nn.Linear(config.hidden, width)
        )
        self.table = nn.Parameter(torch.randn(6, width) / width**0.5)

    def forward(
        self, x: Tensor, modulation: Tensor, turn: Tensor, text: Tensor, mask: Tensor
    ) -> Tensor:
        """x `[B, N, D]`, modulation `[B, N or 1, 6, D]`, text `[B, L, D]`."""
        changes = (modulation + self.table).to(x.dtype)
        shift1, scale1, gate1, shift2, scale2, gate2 = changes.unbind(-2)
        x = x + gate1 * self.attention(self.norm1(x) * (1 + scale1) + shift1, turn)
        x = x + self.text_attention(self.norm_text(x), text, mask)
        x = x + gate2 * self.feed_forward(self.norm2(x) * (1 + scale2) + shift2)
        return x
