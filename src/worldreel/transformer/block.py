"""One block: joint self-attention over all patches, attention to the text, feed-forward.

Each of the first and last is modulated by the noise level: six vectors a patch (shift, scale and
gate for either), made once for the whole network plus a learned table a block (as in PixArt-α,
Chen et al. 2023, and Wan), so that a noise level a patch costs little.

What stays the same from step to step can be kept, as values passed in and out: the keys and values
of the words (`Words`), and those of earlier frames (`Pair`), which later frames look at without
their being computed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldreel.transformer.attention import attend
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.rotary import rotate


class RMSNorm(nn.Module):
    """Root-mean-square norm (Zhang & Sennrich 2019), computed in fp32."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.float()
        return F.rms_norm(x.float(), x.shape[-1:], weight, self.eps).to(x.dtype)


Pair: TypeAlias = tuple[Tensor, Tensor]
"""Keys and values `[B, heads, M, head]`; the keys normalised and, of patches, turned."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """What one block reads of a text and, where there is one, of a given image."""

    text: Pair
    image: Pair | None = None


class SelfAttention(nn.Module):
    """Every patch attends to every patch; queries and keys are normalised, then rotated."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.norm_q = RMSNorm(config.width, config.eps)
        self.norm_k = RMSNorm(config.width, config.eps)
        self.out = nn.Linear(config.width, config.width)

    def forward(
        self, x: Tensor, turn: Tensor, span: int = 0, past: Pair | None = None
    ) -> Tensor | tuple[Tensor, Pair]:
        """x `[B, N, D]`, turn as `rotate` takes it. With `span`, every so many patches look at
        themselves and at those before only.

        `past` are keys and values of patches before x; given those (or none, of length 0), those
        of all patches so far are returned too.
        """
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for y in (self.norm_q(q), self.norm_k(k), v)
        )
        q, k = rotate(q, turn), rotate(k, turn)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        y = earlier(q, k, v, span) if span else attend(q, k, v)
        y = self.out(y.transpose(1, 2).flatten(2))
        return y if past is None else (y, (k, v))


def earlier(q: Tensor, k: Tensor, v: Tensor, span: int) -> Tensor:
    """Attention of `span` queries at a time to their own keys and all before: no mask is needed,
    and what may not be seen is not computed."""
    before, parts = k.shape[2] - q.shape[2], []
    for i in range(0, q.shape[2], span):
        end = before + i + span
        parts.append(attend(q[:, :, i : i + span], k[:, :, :end], v[:, :, :end]))
    return torch.cat(parts, 2)


class TextAttention(nn.Module):
    """Every patch attends to the words and, where there is one, to a given image: two attentions
    with the same queries, added, so that neither takes weight from the other."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q = nn.Linear(config.width, config.width)
        self.kv = nn.Linear(config.width, 2 * config.width)
        self.norm_q = RMSNorm(config.width, config.eps)
        self.norm_k = RMSNorm(config.width, config.eps)
        self.out = nn.Linear(config.width, config.width)
        self.image_kv: nn.Linear | None = None
        if config.image_width is not None:
            self.image_kv = nn.Linear(config.width, 2 * config.width)
            self.norm_image = RMSNorm(config.width, config.eps)

    def read(self, text: Tensor, image: Tensor | None = None) -> Words:
        """Keys and values of a text `[B, L, D]` and an image `[B, M, D]`."""
        k, v = self.kv(text).chunk(2, -1)
        words = (self._heads(self.norm_k(k)), self._heads(v))
        if image is None:
            return Words(text=words)
        assert self.image_kv is not None, "an image, and no weights for one"
        k, v = self.image_kv(image).chunk(2, -1)
        return Words(text=words, image=(self._heads(self.norm_image(k)), self._heads(v)))

    def forward(
        self, x: Tensor, text: Tensor | Words, mask: Tensor | None, image: Tensor | None = None
    ) -> Tensor:
        """x `[B, N, D]`, text and image as `read` takes them or the words that it made of them,
        mask `[B, N or 1, L]` true where a word may be read (None: everywhere)."""
        words = text if isinstance(text, Words) else self.read(text, image)
        q = self._heads(self.norm_q(self.q(x)))
        y = attend(q, *words.text, None if mask is None else mask[:, None])
        if words.image is not None:
            y = y + attend(q, *words.image)
        return self.out(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return heads


ROWS = 512
"""Patches of which a feed-forward on a CPU is made at a time: what lies between its two products
then stays in the cache."""


class FeedForward(nn.Sequential):
    """Linear, activation, linear. On a CPU a tanh-GELU in bf16 is joined to the first product, some
    patches at a time: by itself it takes a tenth as long as both products."""

    def forward(self, x: Tensor) -> Tensor:
        """`[B, N, D]` → the same."""
        enter, activation, leave = self
        if not _joined(x, enter, activation):
            made: Tensor = leave(activation(enter(x)))
            return made
        assert isinstance(enter, nn.Linear)
        join = torch.ops.mkldnn._linear_pointwise
        weight, bias = enter.weight, enter.bias
        parts = [leave(join(y, weight, bias, "gelu", [], "tanh")) for y in x.split(ROWS, 1)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _joined(x: Tensor, enter: nn.Module, activation: nn.Module) -> bool:
    """Whether torch can join them here: not what was replaced, compiled or is to be learned."""
    return (
        x.device.type == "cpu"
        and type(enter) is nn.Linear
        and x.dtype == enter.weight.dtype == torch.bfloat16
        and isinstance(activation, nn.GELU)
        and activation.approximate == "tanh"
        and not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"))
        and not torch.compiler.is_compiling()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


class Block(nn.Module):
    """x + gate·attention(modulated norm), + text attention, + gate·feed-forward(…)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, eps = config.width, config.eps
        self.exact = config.exact
        self.norm1 = nn.LayerNorm(width, eps=eps, elementwise_affine=False)
        self.attention = SelfAttention(config)
        self.norm_text = nn.LayerNorm(width, eps=eps) if config.text_norm else nn.Identity()
        self.text_attention = TextAttention(config)
        self.norm2 = nn.LayerNorm(width, eps=eps, elementwise_affine=False)
        activation = nn.GELU(approximate="tanh") if config.gelu else nn.SiLU()
        self.feed_forward = FeedForward(
            nn.Linear(width, config.hidden), activation, nn.Linear(config.hidden, width)
        )
        self.table = nn.Parameter(torch.empty(6, width))
        nn.init.normal_(self.table, std=width**-0.5)

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        turn: Tensor,
        text: Tensor | Words,
        mask: Tensor | None,
        image: Tensor | None = None,
        span: int = 0,
        past: Pair | None = None,
    ) -> Tensor | tuple[Tensor, Pair]:
        """The patches `[B, N, D]`; with `past`, also keys and values of these and earlier ones.

        x `[B, N, D]`, modulation `[B, N or 1, 6, D]`, text `[B, L, D]` and image `[B, M, D]`, or
        the words that were read of them; `span` and `past` as `SelfAttention` takes them.
        """
        kind, sums = x.dtype, torch.float32 if self.exact else x.dtype
        changes = (modulation + self.table).to(sums)
        shift1, scale1, gate1, shift2, scale2, gate2 = changes.unbind(-2)
        y = self.norm1(x.to(sums)) * (1 + scale1) + shift1
        y, pair = self.attention(y.to(kind), turn, span, past), None
        if past is not None:
            y, pair = y
        x = (x.to(sums) + gate1 * y).to(kind)
        x = x + self.text_attention(self.norm_text(x.to(sums)).to(kind), text, mask, image)
        y = self.norm2(x.to(sums)) * (1 + scale2) + shift2
        x = (x.to(sums) + gate2 * self.feed_forward(y.to(kind))).to(kind)
        return x if pair is None else (x, pair)
