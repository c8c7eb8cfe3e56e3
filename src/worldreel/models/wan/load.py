"""A folder of open weights → our transformer or codec.

Everything is checked against the headers first. Then a network without memory is built and its
tensors are put in one by one, so that loading needs little more memory than the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from worldreel.codec.wan import WanCodec
from worldreel.errors import shown
from worldreel.models import memory
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
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

EXACT = ("level.", "modulation.", "rate", "table", "norm_text.")
"""Parts of names of the transformer's tensors that stay fp32, whatever the others become: what is
told to every block is told exactly."""


class _Blank(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return given.get("tensor", args[0] if args else None)
        return func(*args, **given)


@contextmanager
def unfilled() -> Iterator[None]:
    """Networks made within it have shapes and no numbers. None are drawn either: doing as if, torch
    imports its compiler, which takes longer than all else that comes before the first step."""
    with torch.device("meta"), _Blank():
        yield


def described(place: Path) -> tuple[TransformerConfig, Table, Weights]:
    """What transformer there is at a place, checked by the headers of its files alone. Raises as
    `read_transformer` does."""
    weights = Weights(place)
    config, names = transformer_config(
        card(place if place.is_dir() else place.parent), weights.shapes
    )
    table = network(config, names)
    weights.expect(dict(needed(table)), ignored=IGNORED)
    return config, table, weights


def read_transformer(
    place: Path, *, dtype: torch.dtype = torch.bfloat16, device: str | torch.device = "cpu"
) -> Transformer:
    """The transformer in a folder with config.json and safetensors, of either layout; or in one
    file beside a config.json.

    Raises:
        WeightsError: something is missing, too much, of another shape or damaged.
    """
    config, table, weights = described(place)
    with unfilled():
        transformer = Transformer(config)
    fill(transformer, weights, table, dtype=dtype, device=device, exact=EXACT)
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
    with unfilled():
        codec = WanCodec(config)
    table = pixels(codec, original=original)
    weights.expect(dict(needed(table)))
    known = {
        name: torch.tensor(values, dtype=dtype, device=device)
        for name, values in zip(("mean", "deviation"), statistics, strict=True)
    }
    fill(codec, weights, table, dtype=dtype, device=device, known=known)
    for weight in codec.parameters():
        if weight.ndim == 4:  # as the pictures lie in memory
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return codec


def fill(
    network: nn.Module,
    weights: Weights,
    table: Table,
    *,
    dtype: torch.dtype,
    device: str | torch.device = "cpu",
    exact: tuple[str, ...] = (),
    known: Mapping[str, Tensor] | None = None,
) -> None:
    """Puts weights into a network without memory, and makes it ready for use.

    Args:
        exact: parts of names of tensors that are fp32, whatever the others are.
        known: tensors that no file holds.

    Raises `WeightsError` if there is too little memory for it, before anything is read.
    """
    kinds = {n: torch.float32 if any(word in n for word in exact) else dtype for n in table}
    sizes = (
        kinds[name].itemsize * math.prod(shape)
        for name, part in table.items()
        for _, shape in part.sources
    )
    memory.require(sum(sizes), device, what=f"the network in {shown(weights.place.name)}")
    tensors = dict(known or {})
    for name, part in table.items():
        kind = kinds[name]
        made = part.make(*(weights.read(source) for source, _ in part.sources))
        tensors[name] = made.to(device, kind).contiguous()
    network.load_state_dict(tensors, strict=True, assign=True)
    network.eval().requires_grad_(False)
