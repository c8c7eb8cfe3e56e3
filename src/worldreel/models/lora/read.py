"""A LoRA file → changes of our own tensors.

Their layers may be ours in part (queries, keys and values are three there, one here) and their
rows in another order. The tables that read open weights say how ours are made of theirs
(models/wan/network.py), and that is linear in the rows: so `up` goes through the same table, with
zeros for the layers beside it, and `down` stays. Everything is checked before anything changes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from worldreel.errors import WeightsError, message, shown
from worldreel.models.lora.names import Layout, layout_of, parse
from worldreel.models.wan.files import PICKLES, Weights
from worldreel.models.wan.parts import Shape
from worldreel.transformer.config import TransformerConfig

CARD = "adapter_config.json"
HEADER = "lora_adapter_metadata"
"""Where PEFT and diffusers keep alpha: a file beside the weights, an entry in their header."""
Entries = dict[str, dict[str, str]]
"""A layer as the file calls it → kind (names.KINDS) → the tensor's name."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What is added to one of our tensors: up·down, and `dense`; all fp32, weights included."""

    up: Tensor | None = None
    down: Tensor | None = None
    dense: Tensor | None = None

    def __add__(self, other: Change) -> Change:
        """Both changes."""
        dense = other.dense if self.dense is None else self.dense
        if self.dense is not None and other.dense is not None:
            dense = self.dense + other.dense
        if self.up is None or self.down is None:
            return replace(other, dense=dense)
        if other.up is None or other.down is None:
            return replace(self, dense=dense)
        up, down = torch.cat([self.up, other.up], 1), torch.cat([self.down, other.down])
        return Change(up=up, down=down, dense=dense)


Changes = dict[str, Change]
"""Our tensor's name → what is added to it."""


def read_lora(place: Path, config: TransformerConfig, *, weight: float = 1.0) -> Changes:
    """What a file does to a transformer of this configuration.

    Args:
        place: a .safetensors file, or a folder with one (and PEFT's card).
        weight: how strongly; 1 is as it was trained.

    Raises:
        WeightsError: it cannot be read, does not fit, or is of a kind that is not known here.
    """
    file = opened(place)
    entries = _entries(file)
    layout = layout_of(((layer, k) for layer in entries for k in entries[layer]), config)
    card = _card(file)
    changes: Changes = {}
    for layer, kinds in entries.items():
        for ours, change in _layer(file, layer, kinds, layout, card):
            changes[ours] = changes.get(ours, Change()) + _times(change, weight)
    return changes


def opened(place: Path) -> Weights:
    """A LoRA's file or folder; raises `WeightsError` if it cannot be read."""
    if place.suffix in PICKLES:
        came = f"the LoRA {shown(place.name)} is a pickle"
        raise WeightsError(message(came, "safetensors: pickles can run code and are not read"))
    if not place.exists() or (place.is_file() and place.suffix != ".safetensors"):
        came = f"there is no LoRA in {shown(str(place), limit=120)}"
        raise WeightsError(message(came, "a .safetensors file"))
    return Weights(place)


def _times(change: Change, weight: float) -> Change:
    up = None if change.up is None else weight * change.up
    return replace(change, up=up, dense=None if change.dense is None else weight * change.dense)


def _entries(file: Weights) -> Entries:
    entries: Entries = {}
    for name in sorted(file.shapes):
        parsed = parse(name)
        if parsed is None:
            came = f"the LoRA {shown(file.place.name)} has {shown(name, limit=80)}"
            needed = "plain LoRA (lora_A and lora_B, or lora_down and lora_up) and diff are known"
            raise WeightsError(message(came, needed))
        layer, kind = parsed
        if kind in entries.setdefault(layer, {}):
            came = f"the LoRA {shown(file.place.name)} has {kind} of {shown(layer, limit=80)} twice"
            raise WeightsError(message(came, "one change a layer is needed"))
        entries[layer][kind] = name
    if not any(kinds.keys() - {"alpha"} for kinds in entries.values()):
        came = f"the LoRA {shown(file.place.name)} changes nothing"
        raise WeightsError(message(came, "a file with tensors such as lora_A and lora_B"))
    return entries


def _card(file: Weights) -> dict[str, Any]:
    """What PEFT says of alpha, if it says anything: `lora_alpha`, `use_rslora`, patterns."""
    found: Any = {}
    try:
        one = next(iter(file.files.values()))
        card = one.parent / CARD
        with safe_open(one, framework="pt") as opened:
            header = (opened.metadata() or {}).get(HEADER)
        if header is not None:
            found = json.loads(header)
        elif card.is_file() and one.stem == "adapter_model":
            found = json.loads(card.read_text())
        if not isinstance(found, dict):
            raise ValueError(type(found))
    except (OSError, ValueError) as error:
        came = f"what the LoRA {shown(file.place.name)} says of its alpha cannot be read"
        raise WeightsError(message(came, f"a JSON object, in its header or in {CARD}")) from error
    return {name.removeprefix("transformer."): value for name, value in found.items()}


def _scale(
    file: Weights, layer: str, alpha: str | None, rank: int, card: Mapping[str, Any]
) -> float:
    """alpha/r, of the layer's own alpha or of the card's; 1 where nothing is said."""
    if alpha is not None:
        tensor = file.read(alpha)
        if tensor.numel() != 1:
            raise _misfit(file, alpha, tuple(tensor.shape), (1,))
        return float(tensor.float().reshape(())) / rank
    try:
        patterns = card.get("alpha_pattern") or {}
        own = [a for name, a in patterns.items() if f".{layer}".endswith(f".{name}")]
        amount = float(own[0] if own else card.get("lora_alpha", rank))
    except (AttributeError, TypeError, ValueError) as error:
        came = f"what the LoRA {shown(file.place.name)} says of its alpha cannot be read"
        raise WeightsError(message(came, "a number, and a pattern of layer to number")) from error
    root = card.get("use_rslora") and "lora_alpha" in card
    return amount / (math.sqrt(rank) if root else rank)


def _misfit(file: Weights, name: str, came: Shape, needed: Shape) -> WeightsError:
    which = f"the LoRA {shown(file.place.name)} has {shown(name, limit=80)} of shape {came}"
    return WeightsError(message(which, f"{needed} is needed for this model"))


def _layer(
    file: Weights, layer: str, kinds: Mapping[str, str], layout: Layout, card: Mapping[str, Any]
) -> list[tuple[str, Change]]:
    """What a file does to one of its layers: our tensors and their changes."""
    changes: list[tuple[str, Change]] = []
    for kind, name in kinds.items():
        if kind != "alpha" and layout.tensor(layer, kind) is None:
            came = f"the LoRA {shown(file.place.name)} has {shown(name, limit=80)}"
            needed = "only layers of this model can be changed"
            raise WeightsError(message(came, needed, nearest=layout.nearest(layer)))
    scale = 1.0
    if kinds.keys() & {"down", "up", "shift"}:
        for kind, other in (("up", "lora_A"), ("down", "lora_B")):
            if kind not in kinds:
                came = f"the LoRA {shown(file.place.name)} has {shown(layer, limit=80)}"
                came += f" without {'lora_B' if kind == 'up' else 'lora_A'}"
                raise WeightsError(message(came, f"it is needed beside {other}"))
        rank = file.shapes[kinds["down"]][0]
        scale = _scale(file, layout.layer(layer), kinds.get("alpha"), max(1, rank), card)
        changes.append(_factors(file, layer, kinds, layout, scale))
    for kind in kinds.keys() & {"shift", "diff", "diff_b", "diff_m"}:
        amount = scale if kind == "shift" else 1.0
        changes.append(_dense(file, kinds[kind], layout.tensor(layer, kind), layout, amount))
    return changes


def _factors(
    file: Weights, layer: str, kinds: Mapping[str, str], layout: Layout, scale: float
) -> tuple[str, Change]:
    theirs = layout.tensor(layer, "down")
    assert theirs is not None
    ours, position, shape = layout.places[theirs]
    if not ours.endswith(".weight") or ours == "rate.weight":
        came = f"the LoRA {shown(file.place.name)} has {shown(kinds['down'], limit=80)}"
        raise WeightsError(message(came, "only linear layers have two thin matrices"))
    down, up = file.read(kinds["down"]).float(), file.read(kinds["up"]).float()
    rank = down.shape[0] if down.ndim else 0
    if (
        len(shape) < 2
        or down.ndim < 2
        or tuple(down.flatten(1).shape) != (rank, math.prod(shape[1:]))
    ):
        raise _misfit(file, kinds["down"], tuple(down.shape), (rank, *shape[1:]))
    if up.numel() != shape[0] * rank or up.shape[0] != shape[0]:
        raise _misfit(file, kinds["up"], tuple(up.shape), (shape[0], rank))
    part = layout.table[ours]
    rows = [torch.zeros(other[0], rank) for _, other in part.sources]
    rows[position] = scale * up.flatten(1)
    return ours, Change(up=part.make(*rows), down=down.flatten(1))


def _dense(
    file: Weights, name: str, theirs: str | None, layout: Layout, scale: float
) -> tuple[str, Change]:
    assert theirs is not None
    ours, position, shape = layout.places[theirs]
    added = file.read(name).float()
    if tuple(added.shape) != shape:
        raise _misfit(file, name, tuple(added.shape), shape)
    part = layout.table[ours]
    whole = [torch.zeros(other) for _, other in part.sources]
    whole[position] = scale * added
    return ours, Change(dense=part.make(*whole))
