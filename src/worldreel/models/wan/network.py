"""The transformer's tensors, in the layout of the original files and in that of diffusers.

What differs from ours:

    enter    a 3D convolution over each block; the same sums as a linear layer over its pixels
    leave    rows in order (time, row, column, channel); ours are (channel, time, row, column)
    qkv      three matrices, ours is one
    rotary   channels (2j, 2j + 1) of a head turn together; ours are (j, j + half), so the rows of
             queries and keys change places, and so do their norms' weights
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from worldreel.models.wan.parts import Part, Table, flat, joined, same
from worldreel.transformer.config import TransformerConfig


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a layout calls the layers."""

    text: tuple[str, str]
    level: tuple[str, str]
    modulation: str
    table: str
    leave: str
    image: tuple[str, str, str, str]
    places: str
    rate: tuple[str, str]
    # of a block
    block_table: str
    attention: str
    text_attention: str
    q: str
    k: str
    v: str
    out: str
    image_k: str
    image_v: str
    norm_image: str
    text_norm: str
    feed_forward: tuple[str, str]


ORIGINAL = Names(
    text=("text_embedding.0", "text_embedding.2"),
    level=("time_embedding.0", "time_embedding.2"),
    modulation="time_projection.1",
    table="head.modulation",
    leave="head.head",
    image=("img_emb.proj.0", "img_emb.proj.1", "img_emb.proj.3", "img_emb.proj.4"),
    places="img_emb.emb_pos",
    rate=("fps_projection.0", "fps_projection.2"),
    block_table="modulation",
    attention="self_attn",
    text_attention="cross_attn",
    q="q",
    k="k",
    v="v",
    out="o",
    image_k="k_img",
    image_v="v_img",
    norm_image="norm_k_img",
    text_norm="norm3",
    feed_forward=("ffn.0", "ffn.2"),
)
_EMBEDDER = "condition_embedder"
DIFFUSERS = Names(
    text=(f"{_EMBEDDER}.text_embedder.linear_1", f"{_EMBEDDER}.text_embedder.linear_2"),
    level=(f"{_EMBEDDER}.time_embedder.linear_1", f"{_EMBEDDER}.time_embedder.linear_2"),
    modulation=f"{_EMBEDDER}.time_proj",
    table="scale_shift_table",
    leave="proj_out",
    image=(
        f"{_EMBEDDER}.image_embedder.norm1",
        f"{_EMBEDDER}.image_embedder.ff.net.0.proj",
        f"{_EMBEDDER}.image_embedder.ff.net.2",
        f"{_EMBEDDER}.image_embedder.norm2",
    ),
    places=f"{_EMBEDDER}.image_embedder.pos_embed",
    rate=("fps_projection.net.0.proj", "fps_projection.net.2"),
    block_table="scale_shift_table",
    attention="attn1",
    text_attention="attn2",
    q="to_q",
    k="to_k",
    v="to_v",
    out="to_out.0",
    image_k="add_k_proj",
    image_v="add_v_proj",
    norm_image="norm_added_k",
    text_norm="norm2",
    feed_forward=("ffn.net.0.proj", "ffn.net.2"),
)
IGNORED = (".norm_added_q.weight",)
"""Endings of tensors that some files hold and no network uses."""
ENTER, RATE = "patch_embedding", "fps_embedding"


def network(config: TransformerConfig, names: Names) -> Table:
    """Every tensor of a transformer."""
    return dict([*_around(config, names), *_given(config, names), *_blocks(config, names)])


def _linear(ours: str, name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Part]]:
    yield f"{ours}.weight", same(f"{name}.weight", (outputs, inputs))
    yield f"{ours}.bias", same(f"{name}.bias", (outputs,))


def _norm(ours: str, name: str, width: int) -> Iterator[tuple[str, Part]]:
    yield f"{ours}.weight", same(f"{name}.weight", (width,))
    yield f"{ours}.bias", same(f"{name}.bias", (width,))


def _around(config: TransformerConfig, names: Names) -> Iterator[tuple[str, Part]]:
    width, channels, block = config.width, config.channels, math.prod(config.patch)
    enter = (width, channels + config.beside, *config.patch)
    yield "enter.weight", flat(f"{ENTER}.weight", enter, 1)
    yield "enter.bias", same(f"{ENTER}.bias", (width,))
    for i, name, inputs in zip((0, 2), names.text, (config.text_width, width), strict=True):
        yield from _linear(f"text.{i}", name, width, inputs)
    for i, name, inputs in zip((0, 2), names.level, (config.frequencies, width), strict=True):
        yield from _linear(f"level.{i}", name, width, inputs)
    yield from _linear("modulation.1", names.modulation, 6 * width, width)
    yield "table", Part(sources=((names.table, (1, 2, width)),), make=lambda x: x[0])

    def ordered(rows: Tensor) -> Tensor:
        parted: Tensor = rows.unflatten(0, (block, channels))
        return parted.transpose(0, 1).flatten(0, 1)

    weight, bias = f"{names.leave}.weight", f"{names.leave}.bias"
    yield "leave.weight", Part(sources=((weight, (channels * block, width)),), make=ordered)
    yield "leave.bias", Part(sources=((bias, (channels * block,)),), make=ordered)


def _given(config: TransformerConfig, names: Names) -> Iterator[tuple[str, Part]]:
    """A given image and the frame rate."""
    width = config.width
    if config.image_width is not None:
        states = config.image_width
        yield from _norm("image.0", names.image[0], states)
        yield from _linear("image.1", names.image[1], states, states)
        yield from _linear("image.3", names.image[2], width, states)
        yield from _norm("image.4", names.image[3], width)
        if config.image_places is not None:
            shape = (1, config.image_places, states)
            yield "image_places", Part(sources=((names.places, shape),), make=lambda x: x[0])
    if config.rates:
        yield "rate.weight", same(f"{RATE}.weight", (config.rates, width))
        yield from _linear("rate_modulation.0", names.rate[0], width, width)
        yield from _linear("rate_modulation.2", names.rate[1], 6 * width, width)


def _blocks(config: TransformerConfig, names: Names) -> Iterator[tuple[str, Part]]:
    width = config.width
    for i in range(config.layers):
        block = f"blocks.{i}"
        table = f"{block}.{names.block_table}"
        yield f"{block}.table", Part(sources=((table, (1, 6, width)),), make=lambda x: x[0])
        yield from _attention(config, names, block)
        yield from _text_attention(config, names, block)
        for n, name, outputs, inputs in zip(
            (0, 2), names.feed_forward, (config.hidden, width), (width, config.hidden), strict=True
        ):
            yield from _linear(f"{block}.feed_forward.{n}", f"{block}.{name}", outputs, inputs)
        if config.text_norm:
            yield from _norm(f"{block}.norm_text", f"{block}.{names.text_norm}", width)


def _attention(config: TransformerConfig, names: Names, block: str) -> Iterator[tuple[str, Part]]:
    width, heads = config.width, config.heads

    def halves(rows: Tensor) -> Tensor:
        parted: Tensor = rows.unflatten(0, (heads, -1, 2))
        return parted.transpose(1, 2).flatten(0, 2)

    def three(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.cat([halves(q), halves(k), v])

    ours, theirs = f"{block}.attention", f"{block}.{names.attention}"
    layers = [f"{theirs}.{name}" for name in (names.q, names.k, names.v)]
    for kind, shape in (("weight", (width, width)), ("bias", (width,))):
        sources = tuple((f"{name}.{kind}", shape) for name in layers)
        yield f"{ours}.qkv.{kind}", Part(sources=sources, make=three)
    for norm in ("norm_q", "norm_k"):
        source = (f"{theirs}.{norm}.weight", (width,))
        yield f"{ours}.{norm}.weight", Part(sources=(source,), make=halves)
    yield from _linear(f"{ours}.out", f"{theirs}.{names.out}", width, width)


def _text_attention(
    config: TransformerConfig, names: Names, block: str
) -> Iterator[tuple[str, Part]]:
    width = config.width
    ours, theirs = f"{block}.text_attention", f"{block}.{names.text_attention}"
    yield from _linear(f"{ours}.q", f"{theirs}.{names.q}", width, width)
    yield from _linear(f"{ours}.out", f"{theirs}.{names.out}", width, width)
    pairs = [("kv", names.k, names.v)]
    norms = [("norm_q", "norm_q"), ("norm_k", "norm_k")]
    if config.image_width is not None:
        pairs.append(("image_kv", names.image_k, names.image_v))
        norms.append(("norm_image", names.norm_image))
    for pair, k, v in pairs:
        for kind, shape in (("weight", (width, width)), ("bias", (width,))):
            sources = ((f"{theirs}.{k}.{kind}", shape), (f"{theirs}.{v}.{kind}", shape))
            yield f"{ours}.{pair}.{kind}", joined(*sources)
    for norm, name in norms:
        yield f"{ours}.{norm}.weight", same(f"{theirs}.{name}.weight", (width,))
