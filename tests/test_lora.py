"""LoRA files of every maker's names: our transformer with one is theirs with W + weight·alpha/r·BA
put into the foreign weights first; fused, live and several at once; what does not fit is said."""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from worldreel.errors import WeightsError
from worldreel.models.lora import Live, apply_loras
from worldreel.models.wan.network import DIFFUSERS, ORIGINAL, Names, network
from worldreel.models.wan.parts import needed
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

CONFIG = TransformerConfig(
    width=24, layers=2, heads=2, hidden=40, channels=4, text_width=10, frequencies=16,
    gelu=True, white=False, pooled=False, text_gelu=True, exact=True,
)  # fmt: skip
IMAGE = replace(CONFIG, beside=8, image_width=14)
LAYOUTS = {"original": ORIGINAL, "diffusers": DIFFUSERS}
State = dict[str, Tensor]


def random(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    fan = math.prod(shape[1:]) if len(shape) > 1 else 4
    return torch.randn(shape, generator=generator) * fan**-0.5


def foreign(config: TransformerConfig, names: Names, seed: int = 0) -> State:
    """Random weights, as their files have them."""
    g = torch.Generator().manual_seed(seed)
    return {name: random(shape, g) for name, shape in needed(network(config, names))}


def ours(state: State, config: TransformerConfig, names: Names) -> Transformer:
    made = Transformer(config).eval().requires_grad_(False)
    table = network(config, names)
    made.load_state_dict({n: p.make(*(state[s] for s, _ in p.sources)) for n, p in table.items()})
    return made


def layers(config: TransformerConfig, names: Names) -> dict[str, tuple[int, ...]]:
    """Their layers with a matrix, and its shape: all that a LoRA may be on."""
    shapes = dict(needed(network(config, names)))
    return {n.removesuffix(".weight"): s for n, s in shapes.items()
            if n.endswith(".weight") and len(s) > 1}  # fmt: skip


def make(config: TransformerConfig, names: Names, seed: int, rank: int = 3) -> dict[str, State]:
    """Random `down` and `up` of every layer, shaped as trainers shape them."""
    g = torch.Generator().manual_seed(seed)
    made = {}
    for layer, (outputs, *inputs) in layers(config, names).items():
        ones = [1] * (len(inputs) - 1)
        made[layer] = {
            "down": random((rank, *inputs), g),
            "up": random((outputs, rank, *ones), g),
            "alpha": torch.tensor(float(torch.randint(1, 6, (), generator=g))),
        }
    return made


def add(state: State, lora: dict[str, State], weight: float, *, alpha: bool = True) -> State:
    """The oracle: W + weight·alpha/r·up·down, in fp64, in their own layout."""
    changed = dict(state)
    for layer, its in lora.items():
        rank = its["down"].shape[0]
        product = its["up"].flatten(1).double() @ its["down"].flatten(1).double()
        product *= weight * (float(its["alpha"]) / rank if alpha else 1.0)
        old = state[f"{layer}.weight"]
        changed[f"{layer}.weight"] = (old.double() + product.reshape(old.shape)).float()
    return changed


def named(lora: dict[str, State], style: str) -> State:
    """As a maker of such files would write it."""
    a, b = (
        ("lora_A", "lora_B") if style in ("peft", "diffusers", "bare") else ("lora_down", "lora_up")
    )
    tensors: State = {}
    for layer, its in lora.items():
        stem = {
            "peft": f"base_model.model.{layer}",
            "diffusers": f"transformer.{layer}",
            "bare": layer,
            "comfy": f"diffusion_model.{layer}",
            "kohya": "lora_unet_" + layer.replace(".", "_"),
        }[style]
        middle = ".default" if style == "bare" else ""
        tensors[f"{stem}.{a}{middle}.weight"] = its["down"]
        tensors[f"{stem}.{b}{middle}.weight"] = its["up"]
        if style in ("comfy", "kohya"):
            tensors[f"{stem}.alpha"] = its["alpha"]
    return tensors


def ask(transformer: Transformer, config: TransformerConfig) -> Tensor:
    g = torch.Generator().manual_seed(5)
    given = {}
    if config.beside:
        given["beside"] = torch.randn(1, config.beside, 2, 4, 4, generator=g)
    if config.image_width is not None:
        given["image"] = torch.randn(1, 3, config.image_width, generator=g)
    noisy = torch.randn(1, config.channels, 2, 4, 4, generator=g)
    text = torch.randn(1, 7, config.text_width, generator=g)
    return transformer(noisy, torch.tensor([[0.6]]), text, None, **given)


def far(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "live"])
@pytest.mark.parametrize("style", ["peft", "diffusers", "bare", "comfy", "kohya"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_our_network_with_a_lora_is_theirs_with_it(
    layout: str, style: str, fuse: bool, tmp_path: Path
) -> None:
    names, config = LAYOUTS[layout], IMAGE if style in ("peft", "comfy") else CONFIG
    state, lora = foreign(config, names), make(config, names, 1)
    save_file(named(lora, style), tmp_path / "a.safetensors")
    made = ours(state, config, names)
    plain = ask(made, config)
    applied = apply_loras(made, [(tmp_path / "a.safetensors", 0.7)], fuse=fuse)
    changed = add(state, lora, 0.7, alpha=style in ("comfy", "kohya"))
    wanted = ask(ours(changed, config, names), config)
    assert far(ask(made, config), wanted) < 1e-5
    assert far(plain, wanted) > 1e-2  # it does change something
    assert any(isinstance(m, Live) for m in made.modules()) is not fuse
    applied.remove()
    assert torch.equal(ask(made, config), plain)
    assert not any(isinstance(m, Live) for m in made.modules())


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "live"])
def test_several_with_weights_of_different_layouts_and_ranks(fuse: bool, tmp_path: Path) -> None:
    state = foreign(CONFIG, ORIGINAL)
    first, second = make(CONFIG, ORIGINAL, 1), make(CONFIG, ORIGINAL, 2, rank=5)
    second = {layer: its for layer, its in second.items() if "self_attn.k" in layer}
    save_file(named(first, "kohya"), tmp_path / "a.safetensors")
    renamed = {layer.replace("self_attn.k", "attn1.to_k"): its for layer, its in second.items()}
    save_file(named(renamed, "diffusers"), tmp_path / "b.safetensors")
    made = ours(state, CONFIG, ORIGINAL)
    loras = [(tmp_path / "a.safetensors", 0.5), (tmp_path / "b.safetensors", -1.2)]
    apply_loras(made, loras, fuse=fuse)
    changed = add(add(state, first, 0.5), second, -1.2, alpha=False)
    assert far(ask(made, CONFIG), ask(ours(changed, CONFIG, ORIGINAL), CONFIG)) < 1e-5


def test_one_after_the_other_is_both_at_once(tmp_path: Path) -> None:
    state = foreign(CONFIG, ORIGINAL)
    for name, seed in (("a", 1), ("b", 2)):
        save_file(named(make(CONFIG, ORIGINAL, seed), "comfy"), tmp_path / f"{name}.safetensors")
    a, b = ((tmp_path / f"{name}.safetensors", 0.8) for name in "ab")
    whole, stepwise = ours(state, CONFIG, ORIGINAL), ours(state, CONFIG, ORIGINAL)
    plain = ask(whole, CONFIG)
    apply_loras(whole, [a, b])
    first = apply_loras(stepwise, [a], fuse=False)
    second = apply_loras(stepwise, [b], fuse=False)
    assert far(ask(stepwise, CONFIG), ask(whole, CONFIG)) < 1e-5
    second.remove()
    first.remove()
    assert torch.equal(ask(stepwise, CONFIG), plain)


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "live"])
def test_differences_of_weights_norms_biases_and_modulation(fuse: bool, tmp_path: Path) -> None:
    state, g = foreign(CONFIG, ORIGINAL), torch.Generator().manual_seed(3)
    file: State = {}
    changed = dict(state)
    for name, kind in (
        ("blocks.0.self_attn.q.weight", "diff"), ("blocks.1.self_attn.k.bias", "diff_b"),
        ("blocks.0.self_attn.norm_k.weight", "diff"), ("blocks.1.norm3.bias", "diff_b"),
        ("head.head.weight", "diff"), ("head.head.bias", "diff_b"),
        ("patch_embedding.weight", "diff"), ("blocks.1.modulation", "diff_m"),
        ("head.modulation", "diff_m"), ("time_projection.1.bias", "diff_b"),
    ):  # fmt: skip
        stem = name.rpartition(".")[0]
        added = random(tuple(state[name].shape), g)
        file[f"diffusion_model.{stem}.{kind}"] = added
        changed[name] = state[name] + 0.9 * added
    save_file(file, tmp_path / "a.safetensors")
    made = ours(state, CONFIG, ORIGINAL)
    plain = ask(made, CONFIG)
    applied = apply_loras(made, [(tmp_path / "a.safetensors", 0.9)], fuse=fuse)
    assert far(ask(made, CONFIG), ask(ours(changed, CONFIG, ORIGINAL), CONFIG)) < 1e-5
    applied.remove()
    assert torch.equal(ask(made, CONFIG), plain)


def test_names_lead_where_diffusers_converters_lead(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("diffusers")
        from diffusers.loaders.lora_conversion_utils import (
            _convert_musubi_wan_lora_to_diffusers as from_musubi,
        )
        from diffusers.loaders.lora_conversion_utils import (
            _convert_non_diffusers_wan_lora_to_diffusers as from_comfy,
        )
    lora = make(CONFIG, ORIGINAL, 1)
    lora = {layer: its for layer, its in lora.items() if layer.startswith("blocks.")}
    state = foreign(CONFIG, ORIGINAL)
    for style, convert in (("comfy", from_comfy), ("kohya", from_musubi)):
        theirs = convert({k: v.clone() for k, v in named(lora, style).items()})
        save_file({k: v.contiguous() for k, v in theirs.items()}, tmp_path / "d.safetensors")
        save_file(named(lora, style), tmp_path / "o.safetensors")
        made = [ours(state, CONFIG, ORIGINAL) for _ in range(2)]
        for transformer, name in zip(made, "do", strict=True):
            apply_loras(transformer, [(tmp_path / f"{name}.safetensors", 1.0)])
        assert far(ask(made[0], CONFIG), ask(made[1], CONFIG)) < 1e-5


@pytest.mark.parametrize("rooted", [False, True])
@pytest.mark.parametrize("where", ["header", "card"])
def test_alpha_where_peft_keeps_it(where: str, rooted: bool, tmp_path: Path) -> None:
    state, lora = foreign(CONFIG, DIFFUSERS), make(CONFIG, DIFFUSERS, 1, rank=4)
    special = "blocks.0.attn1.to_q"
    card = {"lora_alpha": 6, "r": 4, "use_rslora": rooted, "alpha_pattern": {special: 2}}
    header = None
    if where == "header":
        prefixed = {f"transformer.{name}": value for name, value in card.items()}
        header = {"format": "pt", "lora_adapter_metadata": json.dumps(prefixed)}
    else:
        (tmp_path / "adapter_config.json").write_text(json.dumps(card))
    save_file(named(lora, "peft"), tmp_path / "adapter_model.safetensors", metadata=header)
    made = ours(state, CONFIG, DIFFUSERS)
    apply_loras(made, [(tmp_path, 1.0)])
    for layer, its in lora.items():
        its["alpha"] = torch.tensor((2.0 if layer == special else 6.0) * (2 if rooted else 1))
    wanted = ask(ours(add(state, lora, 1.0), CONFIG, DIFFUSERS), CONFIG)
    assert far(ask(made, CONFIG), wanted) < 1e-5


def test_a_bias_of_lora_b_counts_as_strongly_as_its_matrix(tmp_path: Path) -> None:
    state, g = foreign(CONFIG, DIFFUSERS), torch.Generator().manual_seed(3)
    layer = "blocks.1.attn1.to_k"
    lora = {layer: make(CONFIG, DIFFUSERS, 1)[layer]}
    bias = random((24,), g)
    file = named(lora, "diffusers") | {f"transformer.{layer}.lora_B.bias": bias}
    file[f"transformer.{layer}.alpha"] = lora[layer]["alpha"]
    save_file(file, tmp_path / "a.safetensors")
    made = ours(state, CONFIG, DIFFUSERS)
    apply_loras(made, [(tmp_path / "a.safetensors", 0.5)])
    changed = add(state, lora, 0.5)
    amount = 0.5 * float(lora[layer]["alpha"]) / 3
    changed[f"{layer}.bias"] = state[f"{layer}.bias"] + amount * bias
    assert far(ask(made, CONFIG), ask(ours(changed, CONFIG, DIFFUSERS), CONFIG)) < 1e-5


def test_our_own_names_on_our_own_network(tmp_path: Path) -> None:
    config = TransformerConfig(width=24, layers=1, heads=2, hidden=40, channels=4, text_width=10)
    made = Transformer(config).eval().requires_grad_(False)
    g = torch.Generator().manual_seed(0)
    down, up = random((2, 24), g), random((72, 2), g)
    before = made.blocks[0].attention.qkv.weight.clone()
    layer = "blocks.0.attention.qkv"
    file = {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
    save_file(file, tmp_path / "a.safetensors")
    apply_loras(made, [(tmp_path / "a.safetensors", 2.0)], keep=False)
    wanted = before + 2 * up @ down
    assert torch.allclose(made.blocks[0].attention.qkv.weight, wanted, atol=1e-6)


def test_weights_files_on_disk_stay_as_they_are(tmp_path: Path) -> None:
    from worldreel.models.wan.load import read_transformer

    state = foreign(CONFIG, ORIGINAL)
    save_file(state, tmp_path / "model.safetensors")
    card = {"dim": 24, "num_layers": 2, "num_heads": 2, "ffn_dim": 40, "in_dim": 4, "out_dim": 4,
            "text_dim": 10, "freq_dim": 16}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(card))
    before = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).digest()
    (tmp_path / "lora").mkdir()
    save_file(named(make(CONFIG, ORIGINAL, 1), "comfy"), tmp_path / "lora" / "a.safetensors")
    made = read_transformer(tmp_path, dtype=torch.float32)
    apply_loras(made, [(tmp_path / "lora" / "a.safetensors", 1.0)], keep=False)
    assert hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).digest() == before


def spoil(tensors: State, case: str) -> State:
    layer = "diffusion_model.blocks.0.ffn.0"
    if case == "place":
        tensors["diffusion_model.blocks.7.ffn.0.lora_down.weight"] = torch.zeros(3, 24)
        tensors["diffusion_model.blocks.7.ffn.0.lora_up.weight"] = torch.zeros(40, 3)
    elif case == "half":
        del tensors[f"{layer}.lora_up.weight"]
    elif case == "down":
        tensors[f"{layer}.lora_down.weight"] = torch.zeros(3, 25)
    elif case == "up":
        tensors[f"{layer}.lora_up.weight"] = torch.zeros(39, 3)
    elif case == "rank":
        tensors[f"{layer}.lora_up.weight"] = torch.zeros(40, 4)
    elif case == "alpha":
        tensors[f"{layer}.alpha"] = torch.zeros(2)
    elif case == "dora":
        tensors[f"{layer}.dora_scale"] = torch.zeros(40, 1)
    elif case == "twice":
        tensors["blocks.0.ffn.0.lora_down.weight"] = torch.zeros(3, 24)
    elif case == "norm":
        tensors["blocks.0.norm3.lora_down.weight"] = torch.zeros(3, 24)
        tensors["blocks.0.norm3.lora_up.weight"] = torch.zeros(24, 3)
    elif case == "diff":
        tensors["blocks.0.norm3.diff"] = torch.zeros(25)
    elif case == "nothing":
        return {f"{layer}.alpha": torch.ones(())}
    return tensors


WRONG = {
    "place": ("blocks.7.ffn.0", "the nearest is blocks."),
    "half": ("blocks.0.ffn.0", "without lora_B"),
    "down": ("(3, 25)", "(3, 24) is needed"),
    "up": ("(39, 3)", "(40, 3) is needed"),
    "rank": ("(40, 4)", "(40, 3) is needed"),
    "alpha": ("alpha", "(1,) is needed"),
    "dora": ("dora_scale", "plain LoRA"),
    "twice": ("blocks.0.ffn.0", "twice"),
    "norm": ("norm3", "is needed"),
    "diff": ("(25,)", "(24,) is needed"),
    "nothing": ("changes nothing", "lora_A"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_said_and_nothing_changes(case: str, tmp_path: Path) -> None:
    tensors = spoil(named(make(CONFIG, ORIGINAL, 1), "comfy"), case)
    save_file(tensors, tmp_path / "a.safetensors")
    made = ours(foreign(CONFIG, ORIGINAL), CONFIG, ORIGINAL)
    plain = ask(made, CONFIG)
    with pytest.raises(WeightsError) as error:
        apply_loras(made, [(tmp_path / "a.safetensors", 1.0)])
    assert all(part in str(error.value) for part in WRONG[case]), str(error.value)
    assert torch.equal(ask(made, CONFIG), plain)


def test_files_that_are_none(tmp_path: Path) -> None:
    made = ours(foreign(CONFIG, ORIGINAL), CONFIG, ORIGINAL)
    (tmp_path / "a.safetensors").write_bytes(b"no safetensors")
    (tmp_path / "b.pt").write_bytes(b"pickle")
    save_file({"x.lora_A.weight": torch.zeros(1)}, tmp_path / "c.safetensors",
              metadata={"lora_adapter_metadata": "{"})  # fmt: skip
    for name, said in (
        ("a.safetensors", "damaged"), ("b.pt", "pickle"), ("d.safetensors", "no LoRA in"),
        ("c.safetensors", "alpha"),
    ):  # fmt: skip
        with pytest.raises(WeightsError, match=said):
            apply_loras(made, [(tmp_path / name, 1.0)])
