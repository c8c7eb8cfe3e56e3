"""The text encoder of the Wan family: UMT5's encoder (Chung et al. 2023), prompt → text states.

    word-pieces   at most 512, the last one "end of text"
    blocks        x + attention(norm x), then x + feed-forward(norm x), gated by a tanh-GELU
    attention     not scaled; to each score a learned number is added that depends on how far one
                  word lies from another, in buckets that grow wider with the distance; every
                  block has its own (which is what makes it UMT5 rather than T5)
    after it      zeros, up to 512: the networks were trained to look at all of them

Only the words themselves run through the network: what follows them can change nothing there.
Weights are gigabytes, so they are in memory only while prompts are read; what was read is kept.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from worldreel.errors import WeightsError, message, shown
from worldreel.models.model import Text
from worldreel.models.wan.files import Weights
from worldreel.models.wan.load import fill, unfilled
from worldreel.models.wan.parts import Part, Shape, Table, joined, needed, same
from worldreel.transformer.block import RMSNorm

LENGTH = 512
"""Text states that a network is given, words and zeros together."""
_KEPT = 16
"""Prompts whose states are kept."""
_QUOTES = str.maketrans(dict.fromkeys("‘’‚‛", "'") | dict.fromkeys("“”„‟", '"'))


@dataclass(frozen=True, kw_only=True)
class UMT5Config:
    """Sizes; `inner` is that of all heads together, `reach` the distance of the last bucket."""

    words: int
    width: int
    inner: int
    hidden: int
    layers: int
    heads: int
    buckets: int
    reach: int = 128
    eps: float = 1e-6


class _Attention(nn.Module):
    def __init__(self, config: UMT5Config) -> None:
        super().__init__()
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * config.inner, bias=False)
        self.out = nn.Linear(config.inner, config.width, bias=False)
        self.nearness = nn.Embedding(config.buckets, config.heads)

    def forward(self, x: Tensor, buckets: Tensor) -> Tensor:
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in self.qkv(x).chunk(3, -1)
        )
        scores = q @ k.transpose(-1, -2) + self.nearness(buckets).permute(2, 0, 1)
        mixed = scores.float().softmax(-1).to(v.dtype) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class _Block(nn.Module):
    def __init__(self, config: UMT5Config) -> None:
        super().__init__()
        self.norm1 = RMSNorm(config.width, config.eps)
        self.attention = _Attention(config)
        self.norm2 = RMSNorm(config.width, config.eps)
        self.gate = nn.Linear(config.width, config.hidden, bias=False)
        self.rise = nn.Linear(config.width, config.hidden, bias=False)
        self.fall = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor, buckets: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), buckets)
        y = self.norm2(x)
        gated = F.gelu(self.gate(y), approximate="tanh") * self.rise(y)
        return x + self.fall(gated)  # type: ignore[no-any-return]


class UMT5(nn.Module):
    """Word-piece numbers `[B, L]` → states `[B, L, width]`; see the module's docstring."""

    def __init__(self, config: UMT5Config) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.words, config.width)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.eps)

    def forward(self, pieces: Tensor) -> Tensor:
        x, buckets = self.words(pieces), self._buckets(pieces.shape[1]).to(pieces.device)
        for block in self.blocks:
            x = block(x, buckets)
        done: Tensor = self.norm(x)
        return done

    def _buckets(self, length: int) -> Tensor:
        """The bucket of each pair of words `[L, L]`: half of them for either direction, of which
        half are exact and the others grow with the logarithm of the distance."""
        half = self.config.buckets // 2
        exact, place = half // 2, torch.arange(length)
        away = place[None, :] - place[:, None]
        far = away.abs()
        growth = torch.log(far.float() / exact) / math.log(self.config.reach / exact)
        wide = (exact + (growth * (half - exact)).nan_to_num(0, 0, 0).long()).clamp_max(half - 1)
        return (away > 0) * half + torch.where(far < exact, far, wide)


@dataclass(frozen=True, kw_only=True)
class _Names:
    """What a layout calls the layers; `block` is followed by the block's number."""

    words: tuple[str, ...]
    norm: str
    block: str
    norm1: str
    norm2: str
    attention: str
    nearness: str
    gate: str
    rise: str
    fall: str


_ORIGINAL = _Names(
    words=("token_embedding",),
    norm="norm",
    block="blocks.",
    norm1="norm1",
    norm2="norm2",
    attention="attn",
    nearness="pos_embedding.embedding",
    gate="ffn.gate.0",
    rise="ffn.fc1",
    fall="ffn.fc2",
)
_SELF = "layer.0.SelfAttention"
_TRANSFORMERS = _Names(
    words=("shared", "encoder.embed_tokens"),
    norm="encoder.final_layer_norm",
    block="encoder.block.",
    norm1="layer.0.layer_norm",
    norm2="layer.1.layer_norm",
    attention=_SELF,
    nearness=f"{_SELF}.relative_attention_bias",
    gate="layer.1.DenseReluDense.wi_0",
    rise="layer.1.DenseReluDense.wi_1",
    fall="layer.1.DenseReluDense.wo",
)


def _config(
    shapes: Mapping[str, Shape], names: _Names, found: Mapping[str, Any]
) -> tuple[UMT5Config, str]:
    """Sizes, most of which the shapes tell, and which of the words' names is in the file."""
    try:
        kind = found.get("feed_forward_proj", "gated-gelu")
        if kind != "gated-gelu":
            raise ValueError(f"feed_forward_proj {kind}")
        words = next(name for name in names.words if f"{name}.weight" in shapes)
        first = f"{names.block}0."
        buckets, heads = shapes[f"{first}{names.nearness}.weight"]
        layers = {n[len(names.block) :].split(".")[0] for n in shapes if n.startswith(names.block)}
        count, width = shapes[f"{words}.weight"]
        return UMT5Config(
            words=count,
            width=width,
            inner=shapes[f"{first}{names.attention}.q.weight"][0],
            hidden=shapes[f"{first}{names.gate}.weight"][0],
            layers=len(layers),
            heads=heads,
            buckets=buckets,
            reach=int(found.get("relative_attention_max_distance", 128)),
            eps=float(found.get("layer_norm_epsilon", 1e-6)),
        ), words
    except (KeyError, ValueError, TypeError, StopIteration) as error:
        why = shown(str(error), limit=80)
        came = f"the text encoder's weights are none of UMT5 ({why})"
        raise WeightsError(message(came, "those that came with the model")) from error


def text_table(config: UMT5Config, names: _Names, words: str) -> Table:
    """Every tensor of the encoder."""
    return dict(_parts(config, names, words))


def _parts(config: UMT5Config, names: _Names, words: str) -> Iterator[tuple[str, Part]]:
    width, inner, hidden = config.width, config.inner, config.hidden
    yield "words.weight", same(f"{words}.weight", (config.words, width))
    yield "norm.weight", same(f"{names.norm}.weight", (width,))
    for i in range(config.layers):
        ours, theirs = f"blocks.{i}", f"{names.block}{i}"
        for norm, name in (("norm1", names.norm1), ("norm2", names.norm2)):
            yield f"{ours}.{norm}.weight", same(f"{theirs}.{name}.weight", (width,))
        three = (f"{theirs}.{names.attention}.{name}.weight" for name in "qkv")
        yield f"{ours}.attention.qkv.weight", joined(*((name, (inner, width)) for name in three))
        out = f"{theirs}.{names.attention}.o.weight"
        yield f"{ours}.attention.out.weight", same(out, (width, inner))
        near = (config.buckets, config.heads)
        yield f"{ours}.attention.nearness.weight", same(f"{theirs}.{names.nearness}.weight", near)
        for layer, name, shape in (
            ("gate", names.gate, (hidden, width)),
            ("rise", names.rise, (hidden, width)),
            ("fall", names.fall, (width, hidden)),
        ):
            yield f"{ours}.{layer}.weight", same(f"{theirs}.{name}.weight", shape)


def cleaned(prompt: str) -> str:
    """A prompt as the networks were trained to read it: HTML's entities and typographic quotes
    undone, one space where there were several."""
    text = html.unescape(html.unescape(unicodedata.normalize("NFC", prompt)))
    return " ".join(text.translate(_QUOTES).split())


class TextReader:
    """Reads prompts; everything is checked when it is made, weights come when they are needed."""

    def __init__(
        self,
        weights: Weights,
        card: Mapping[str, Any],
        tokenizer: Path,
        *,
        dtype: torch.dtype,
        device: str | torch.device = "cpu",
    ) -> None:
        """`card` is the encoder's config.json if there is one, `tokenizer` a tokenizer.json.

        Raises `WeightsError` if anything is missing or fits no such encoder.
        """
        original = f"{_ORIGINAL.words[0]}.weight" in weights.shapes
        names = _ORIGINAL if original else _TRANSFORMERS
        self.config, words = _config(weights.shapes, names, card)
        self.table = text_table(self.config, names, words)
        # Some files hold the table of words twice, under both names.
        weights.expect(dict(needed(self.table)), ignored=tuple(f"{n}.weight" for n in names.words))
        self.weights, self.dtype, self.device = weights, dtype, torch.device(device)
        self.tokenizer = _tokenizer(tokenizer)
        self._network: UMT5 | None = None
        self._read: OrderedDict[str, Tensor] = OrderedDict()

    @torch.no_grad()
    def read(self, prompt: str) -> Text:
        """States `[1, 512, width]`, zeros after the words, and a mask that is true throughout."""
        text = cleaned(prompt)
        if text not in self._read:
            pieces = torch.tensor([self.tokenizer.encode(text).ids], device=self.device)
            states = self._loaded()(pieces)
            self._read[text] = F.pad(states, (0, 0, 0, LENGTH - states.shape[1])).cpu()
        self._read.move_to_end(text)
        while len(self._read) > _KEPT:
            self._read.popitem(last=False)
        states = self._read[text].to(self.device)
        return states, torch.ones(states.shape[:2], dtype=torch.bool, device=self.device)

    def _loaded(self) -> UMT5:
        if self._network is None:
            with unfilled():
                network = UMT5(self.config)
            fill(network, self.weights, self.table, dtype=self.dtype, device=self.device)
            self._network = network
        return self._network

    def release(self) -> None:
        """Gives the weights' memory back; the next new prompt reads them again."""
        if self._network is not None:
            self._network = None
            if self.device.type == "cuda":
                torch.cuda.empty_cache()


def _tokenizer(file: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        came = f"the tokenizer {shown(file.name)} in {shown(file.parent.name)} cannot be read"
        raise WeightsError(message(came, "the tokenizer.json that came with the model")) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(LENGTH)
    return tokenizer
