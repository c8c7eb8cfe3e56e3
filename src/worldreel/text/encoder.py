"""The text encoder: rows of the text table → text states, which say what words mean together.

Two attention layers over the words of a prompt, trained with the transformer. The rows they
start from are frozen; in training some noise is added to them, so that a word near a known one
is read as that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worldreel.text.table import TextTable
from worldreel.text.tokens import Tokens


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Sizes of the encoder; `length` is the most word-pieces it reads."""

    width: int = 256
    layers: int = 2
    heads: int = 4
    length: int = 64
    rows: int = 128


class TextBlock(nn.Module):
    """Attention among the words of a prompt, then feed-forward; norms come first.

    Attention is written out: for some forty words it is faster than the fused call everywhere.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x `[B, L, D]`, mask `[B, L]`."""
        parts = self.qkv(self.norm1(x)).chunk(3, -1)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in parts)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        scores = scores.masked_fill(~mask[:, None, None], -1e4)
        y = scores.softmax(-1).to(v.dtype) @ v
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.feed_forward(self.norm2(x))  # type: ignore[no-any-return]


class TextEncoder(nn.Module):
    """Ids `[B, L]` and mask `[B, L]` → text states `[B, L, width]`."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(config.rows, config.width)
        self.position = nn.Parameter(torch.randn(config.length, config.width) * 0.02)
        self.blocks = nn.ModuleList(TextBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """rows `[B, L, 128]` from the text table, mask true where there is a word."""
        x = self.enter(rows) + self.position[: rows.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)  # type: ignore[no-any-return]


class Reader:
    """Prompts as people type them → rows of the table and a mask, on a device."""

    def __init__(self, *, length: int, device: torch.device | str = "cpu") -> None:
        self.tokens, self.table = Tokens(), TextTable.load().to(device)
        self.length, self.device = length, torch.device(device)

    def read(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """`[B, L, 128]` and `[B, L]`; L is as short as the longest prompt allows."""
        ids, mask = self.tokens.tokenize(prompts, length=self.length)
        longest = max(1, int(mask.sum(1).max()))
        ids, mask = ids[:, :longest], mask[:, :longest]
        return self.table.embed(ids), torch.as_tensor(mask, device=self.device)
