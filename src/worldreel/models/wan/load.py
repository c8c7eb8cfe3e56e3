"""A folder of open weights → our transformer or codec.

Everything is checked against the headers first. Then a network without memory is built and its
tensors are put in one by one, so that loading needs little more memory than the network.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from worldreel.codec.wan import WanCodec
from worldreel.models.wan.cards import (
    CARD,
    card,
    codec_config,
    codec_config_of,
    transformer_config,
)
from worldreel.models.wan.files import Weights
from worldreel.models.wan.network import IGNORED, network
from worldreel.models.wan.parts import Table, needed
from worldreel.models.wan.pixels import pixels
from worldreel.transformer.model import Transformer

EXACT = ("level.", "modulation.", "rate", "table", "norm_text.")
"""Parts of names of the transformer's tensors that stay fp32, whatever the others become: what is
told to every block is told exactly."""


def read_transformer(
    folder: Path, *, dtype: torch.dtype = torch.bfloat16, device: str | torch.device = "cpu"
) -> Transformer:
    """The transformer in a folder with config.json and safetensors, of either layout.

    Raises:
        WeightsError: something is missing, too much, of another shape or damaged.
    """
    weights = Weights(folder)
    config, names = transformer_config(card(folder), weights.shapes)
    with torch.device("meta"):
        transformer = Transformer(config)

    def kind(name: str) -> torch.dtype:
        return torch.float32 if any(part in name for part in EXACT) else dtype

    table = network(config, names)
    weights.expect(dict(needed(table)), ignored=IGNORED)
    _fill(transformer, {n: _make(weights, table, n, kind(n), device) for n in table})
    return transformer


def read_codec(
    place: Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> WanCodec:
    """The codec in a folder with config.json (diffusers layout), or in a file of the original
    layout. Raises as `read_transformer` does."""
    weights = Weights(place)
    original = "encoder.conv1.weight" in weights.shapes
    if original and not (place / CARD).is_file():
        config, statistics = codec_config_of(weights.shapes)
    else:
        config, statistics = codec_config(card(place))
    with torch.device("meta"):
        codec = WanCodec(config)
    table = pixels(codec, original=original)
    weights.expect(dict(needed(table)))
    tensors = {name: _make(weights, table, name, dtype, device) for name in table}
    for name, values in zip(("mean", "deviation"), statistics, strict=True):
        tensors[name] = torch.tensor(values, dtype=dtype, device=device)
    _fill(codec, tensors)
    return codec


def _make(
    weights: Weights, table: Table, name: str, dtype: torch.dtype, device: str | torch.device
) -> Tensor:
    part = table[name]
    made = part.make(*(weights.read(source) for source, _ in part.sources))
    return made.to(device, dtype).contiguous()


def _fill(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    network.load_state_dict(tensors, strict=True, assign=True)
    network.eval().requires_grad_(False)
