"""The codecs' tensors, in the layout of the original files and in that of diffusers.

The tables are made by walking our own network: it knows every layer's sizes, and the layouts
differ only in what they call them. A convolution over three frames is `[out, in, 3, k, k]` there
and `[out, 3·in, k, k]` here, and norms keep their weights in odd shapes.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from worldreel.codec.wan import Attention, Conv, Down, Level, Norm, Residual, Tower, Up, WanCodec
from worldreel.models.wan.parts import Part, Table, flat, same

_MIDDLE = ("mid_block.resnets.0", "mid_block.attentions.0", "mid_block.resnets.1")


def pixels(codec: WanCodec, *, original: bool) -> Table:
    """Every tensor of a codec but its statistics, which are no weights of the files."""
    found: list[tuple[str, Part]] = []
    for side, tower in (("encoder", codec.encoder), ("decoder", codec.decoder)):
        found += _tower(tower, side, original=original)
    after, before = ("conv1", "conv2") if original else ("quant_conv", "post_quant_conv")
    found += _pointwise(codec.after, "after", after, 3)
    found += _pointwise(codec.before, "before", before, 3)
    return dict(found)


def _tower(tower: Tower, side: str, *, original: bool) -> Iterator[tuple[str, Part]]:
    enter, norm, leave = (
        ("conv1", "head.0", "head.2") if original else ("conv_in", "norm_out", "conv_out")
    )
    yield from _conv(tower.enter, f"{side}.enter", f"{side}.{enter}")
    yield from _norm(tower.norm, f"{side}.norm", f"{side}.{norm}", 3)
    yield from _conv(tower.leave, f"{side}.leave", f"{side}.{leave}")
    middle, level, flat_index = 0, 0, 0
    for i, layer in enumerate(tower.body.layers):
        ours = f"{side}.body.layers.{i}"
        if isinstance(layer, Level):
            yield from _level(layer, ours, side, level, flat_index, original=original)
            level, flat_index = level + 1, flat_index + len(layer.chain.layers)
        else:
            name = f"middle.{middle}" if original else _MIDDLE[middle]
            yield from _layer(layer, ours, f"{side}.{name}", original=original)
            middle += 1


def _level(
    level: Level, ours: str, side: str, number: int, before: int, *, original: bool
) -> Iterator[tuple[str, Part]]:
    """`before` layers come earlier on this side: some layouts number all of a side in one row."""
    down = side == "encoder"
    for n, layer in enumerate(level.chain.layers):
        if original:
            row = f"{side}.{'down' if down else 'up'}samples"
            nested = row.removeprefix(f"{side}.")
            name = f"{row}.{number}.{nested}.{n}" if level.nested else f"{row}.{before + n}"
        elif down and not level.nested:
            name = f"{side}.down_blocks.{before + n}"
        else:
            name = f"{side}.{'down' if down else 'up'}_blocks.{number}"
            if isinstance(layer, Residual):
                name = f"{name}.resnets.{n}"
            elif down:
                name = f"{name}.downsampler"
            else:
                name = f"{name}.upsampler" if level.nested else f"{name}.upsamplers.0"
        yield from _layer(layer, f"{ours}.chain.layers.{n}", name, original=original)


def _layer(layer: nn.Module, ours: str, name: str, *, original: bool) -> Iterator[tuple[str, Part]]:
    if isinstance(layer, Residual):
        inner = ("residual.0", "residual.2", "residual.3", "residual.6", "shortcut")
        if not original:
            inner = ("norm1", "conv1", "norm2", "conv2", "conv_shortcut")
        yield from _norm(layer.norm1, f"{ours}.norm1", f"{name}.{inner[0]}", 3)
        yield from _conv(layer.conv1, f"{ours}.conv1", f"{name}.{inner[1]}")
        yield from _norm(layer.norm2, f"{ours}.norm2", f"{name}.{inner[2]}", 3)
        yield from _conv(layer.conv2, f"{ours}.conv2", f"{name}.{inner[3]}")
        if layer.shortcut is not None:
            yield from _conv(layer.shortcut, f"{ours}.shortcut", f"{name}.{inner[4]}")
    elif isinstance(layer, Attention):
        yield from _norm(layer.norm, f"{ours}.norm", f"{name}.norm", 2)
        yield from _pointwise(layer.qkv, f"{ours}.qkv", f"{name}.to_qkv", 2)
        yield from _pointwise(layer.out, f"{ours}.out", f"{name}.proj", 2)
    else:
        assert isinstance(layer, Down | Up), type(layer)
        space = f"{name}.resample.1"
        yield f"{ours}.space.weight", same(f"{space}.weight", tuple(layer.space.weight.shape))
        yield f"{ours}.space.bias", same(f"{space}.bias", tuple(layer.space.bias.shape))
        if layer.time is not None:
            yield from _conv(layer.time, f"{ours}.time", f"{name}.time_conv")


def _conv(conv: Conv, ours: str, name: str) -> Iterator[tuple[str, Part]]:
    outputs, inputs, rows, columns = conv.weight.shape
    shape = (outputs, inputs // conv.frames, conv.frames, rows, columns)

    def frames_first(weight: Tensor) -> Tensor:
        return weight.transpose(1, 2).flatten(1, 2)

    yield f"{ours}.weight", Part(sources=((f"{name}.weight", shape),), make=frames_first)
    yield f"{ours}.bias", same(f"{name}.bias", (outputs,))


def _norm(norm: Norm, ours: str, name: str, axes: int) -> Iterator[tuple[str, Part]]:
    channels = norm.weight.shape[0]
    yield f"{ours}.weight", flat(f"{name}.gamma", (channels, *[1] * axes), 0)


def _pointwise(layer: nn.Linear, ours: str, name: str, axes: int) -> Iterator[tuple[str, Part]]:
    shape = (layer.out_features, layer.in_features, *[1] * axes)
    yield f"{ours}.weight", flat(f"{name}.weight", shape, 1)
    yield f"{ours}.bias", same(f"{name}.bias", (layer.out_features,))
