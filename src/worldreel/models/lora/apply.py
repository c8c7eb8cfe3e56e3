"""Changes → a transformer that has them, fused into its weights or live beside them.

    fused   W' = W + up·down, rounded to the weights' type: costs nothing afterwards
    live    y = W·x + up·(down·x): the weights stay as they are (8-bit ones too), and a LoRA can be
            taken away or changed at once; two thin products more a layer

Both are the same function, to rounding. Changes that are no product of two thin matrices (norms,
biases, whole weights) are always added to the weights; what was there is kept for `remove`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldreel.models.lora.read import Change, Changes, read_lora
from worldreel.transformer.model import Transformer


class Live(nn.Module):
    """A linear layer and what is added to it: y = layer(x) + up·(down·x)."""

    up: Tensor
    down: Tensor

    def __init__(self, base: nn.Module, up: Tensor, down: Tensor) -> None:
        super().__init__()
        self.base = base
        self.register_buffer("up", up, persistent=False)
        self.register_buffer("down", down, persistent=False)

    @property
    def weight(self) -> Tensor:
        """The layer's own weight, unchanged."""
        weight = self.base.weight
        assert isinstance(weight, Tensor)
        return weight

    def forward(self, x: Tensor) -> Tensor:
        """x `[..., in]` → `[..., out]`."""
        thin = F.linear(x, self.down.to(x.dtype))
        added: Tensor = self.base(x) + F.linear(thin, self.up.to(x.dtype))
        return added


@dataclass(frozen=True, kw_only=True)
class Applied:
    """LoRAs on a transformer, the last ones first taken away.

    `originals` are weights that were changed (by name, on the CPU), `live` the layers' names.
    """

    transformer: Transformer
    originals: dict[str, Tensor] | None
    live: dict[str, Live]

    @torch.no_grad()
    def remove(self) -> None:
        """The transformer as it was, bit for bit."""
        assert self.originals is not None, "fused without keeping what was there"
        for name, layer in self.live.items():
            parent, child = _parent(self.transformer, name)
            assert getattr(parent, child) is layer, "LoRAs are removed in reverse order"
            setattr(parent, child, layer.base)
        for name, original in self.originals.items():
            _parameter(self.transformer, name).copy_(original)


def apply_loras(
    transformer: Transformer,
    loras: Sequence[tuple[Path, float]],
    *,
    fuse: bool = True,
    keep: bool = True,
) -> Applied:
    """Puts LoRAs, each with its weight, onto a transformer.

    Args:
        transformer: is changed in place. Before 8-bit storage (quantised.py) if they are fused.
        loras: files or PEFT folders, and how strongly each counts (1: as it was trained).
        fuse: into the weights, or live beside them.
        keep: whether a fused transformer keeps the weights it had, so that `remove` can restore
            them; costs their size in memory.

    Raises:
        WeightsError: a file cannot be read or does not fit; then nothing has changed.
    """
    changes: Changes = {}
    for place, weight in loras:
        for name, change in read_lora(place, transformer.config, weight=weight).items():
            changes[name] = changes.get(name, Change()) + change
    originals: dict[str, Tensor] = {}
    live: dict[str, Live] = {}
    for name, change in changes.items():
        if change.up is not None and not fuse:
            layer = name.removesuffix(".weight")
            live[layer] = _enliven(transformer, layer, change)
        if fuse or change.dense is not None:
            if keep or not fuse:
                originals[name] = _parameter(transformer, name).detach().clone().cpu()
            _add(transformer, name, change, thin=fuse)
    return Applied(
        transformer=transformer, originals=originals if keep or not fuse else None, live=live
    )


def _enliven(transformer: Transformer, name: str, change: Change) -> Live:
    assert change.up is not None and change.down is not None
    parent, child = _parent(transformer, name)
    layer = getattr(parent, child)
    weight = layer.weight
    # 8-bit weights are computed with in bf16.
    kind = weight.dtype if weight.element_size() > 1 else torch.bfloat16
    up, down = (factor.to(weight.device, kind) for factor in (change.up, change.down))
    made = Live(layer, up, down)
    setattr(parent, child, made)
    return made


@torch.no_grad()
def _add(transformer: Transformer, name: str, change: Change, *, thin: bool) -> None:
    """Adds a change to a weight, in fp32."""
    parameter = _parameter(transformer, name)
    assert parameter.element_size() > 1, f"{name} is stored in 8 bits: fuse before that"
    whole = parameter.float()
    if change.dense is not None:
        whole = whole + change.dense.to(whole.device)
    if thin and change.up is not None and change.down is not None:
        whole = whole + change.up.to(whole.device) @ change.down.to(whole.device)
    parameter.copy_(whole)


def _parent(transformer: Transformer, name: str) -> tuple[nn.Module, str]:
    path, _, child = name.rpartition(".")
    return transformer.get_submodule(path), child


def _parameter(transformer: Transformer, name: str) -> Tensor:
    """A parameter by the name it has without any LoRA."""
    owner, child = _parent(transformer, name)
    while isinstance(owner, Live):
        owner = owner.base
    found = getattr(owner, child)
    assert isinstance(found, Tensor)
    return found
