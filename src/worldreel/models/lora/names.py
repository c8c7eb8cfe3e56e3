"""What the makers of LoRA files call things.

    PEFT, diffusers     base_model.model.L.lora_A.weight, transformer.L.lora_B.weight
    ComfyUI             diffusion_model.L.lora_down.weight, diffusion_model.L.diff_b
    kohya, musubi       lora_unet_L.lora_up.weight, lora_unet_L.alpha   (L with _ in place of dots)

L is a layer's name in the original files, in those of diffusers, or our own. `lora_A` and
`lora_down` are the same, `alpha` a number a layer, `diff`, `diff_b` and `diff_m` are added to
weight, bias and modulation as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from worldreel.models.wan.load import unfilled
from worldreel.models.wan.network import DIFFUSERS, ORIGINAL, network
from worldreel.models.wan.parts import Shape, Table, same
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

FLAT = "lora_unet_"
PREFIXES = ("base_model.model.", "diffusion_model.", "transformer.", "model.")
KINDS = {
    "down": re.compile(r"\.(lora_A|lora_down|lora\.down)(\.\w+)?\.weight$"),
    "up": re.compile(r"\.(lora_B|lora_up|lora\.up)(\.\w+)?\.weight$"),
    "shift": re.compile(r"\.(lora_B|lora_up|lora\.up)(\.\w+)?\.bias$"),
    "alpha": re.compile(r"\.alpha$"),
    "diff": re.compile(r"\.diff$"),
    "diff_b": re.compile(r"\.diff_b$"),
    "diff_m": re.compile(r"\.diff_m$"),
}
"""What a tensor of such a file is, by the end of its name."""


def parse(name: str) -> tuple[str, str] | None:
    """A tensor's name → its layer and one of KINDS; None where it is none of those."""
    for kind, ending in KINDS.items():
        found = ending.search(name)
        if found is not None:
            return _bare(name[: found.start()]), kind
    return None


def _bare(layer: str) -> str:
    prefix = next((p for p in PREFIXES if layer.startswith(p)), None)
    return layer if prefix is None else _bare(layer.removeprefix(prefix))


@dataclass(frozen=True)
class Layout:
    """A network's tensors in one layout, and where its layers' names lead."""

    table: Table
    modulation: str = ""
    places: dict[str, tuple[str, int, Shape]] = field(init=False, default_factory=dict)
    """Their tensor → ours, its position among the sources of ours, and its shape."""

    flat: dict[str, str] = field(init=False, default_factory=dict)
    """A layer's name with _ in place of dots → the name itself."""

    def __post_init__(self) -> None:
        for ours, part in self.table.items():
            for position, (name, shape) in enumerate(part.sources):
                self.places[name] = (ours, position, shape)
                layer = re.sub(r"\.(weight|bias)$", "", name)
                self.flat[layer.replace(".", "_")] = layer

    def layer(self, name: str) -> str:
        """A layer's own name, where a file has it flat."""
        flat = name.removeprefix(FLAT)
        return self.flat.get(flat, flat) if name.startswith(FLAT) else name

    def tensor(self, name: str, kind: str) -> str | None:
        """The tensor that a file's entry of some kind changes, if there is one."""
        layer = self.layer(name)
        if kind in ("shift", "diff_b"):
            names = [f"{layer}.bias"]
        elif kind == "diff_m":
            names = [f"{layer}.{self.modulation}", self.modulation]
        else:
            names = [f"{layer}.weight", layer]
        return next((n for n in names if n in self.places), None)

    def nearest(self, name: str) -> str | None:
        """The layer whose name is most like this one."""
        names = get_close_matches(self.layer(name), list(self.flat.values()), 1)
        return names[0] if names else None


def layout_of(entries: Iterable[tuple[str, str]], config: TransformerConfig) -> Layout:
    """The layout in which most of a file's layers are found."""
    with unfilled():
        own = {n: tuple(t.shape) for n, t in Transformer(config).state_dict().items()}
    layouts = (
        Layout(network(config, ORIGINAL), ORIGINAL.block_table),
        Layout(network(config, DIFFUSERS), DIFFUSERS.block_table),
        Layout({name: same(name, shape) for name, shape in own.items()}, "table"),
    )
    wanted = list(entries)

    def found(layout: Layout) -> int:
        return sum(layout.tensor(layer, kind) is not None for layer, kind in wanted)

    return max(layouts, key=found)
