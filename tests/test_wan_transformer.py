"""Open weights in our transformer: the same function as diffusers' networks, to rounding, on random
tiny configurations of every kind, from files of either layout; and what is wrong is said."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from worldreel.errors import WeightsError
from worldreel.models.wan.cards import transformer_config
from worldreel.models.wan.load import read_transformer
from worldreel.models.wan.network import DIFFUSERS, IGNORED, ORIGINAL, network
from worldreel.models.wan.parts import Table, needed
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("diffusers")
    from diffusers import SkyReelsV2Transformer3DModel, WanTransformer3DModel
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

KINDS = ("t2v", "i2v", "flf2v", "a14b-i2v", "ti2v", "df", "df-fps", "df-causal")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A random tiny network of theirs, ours with its weights, and what to ask both."""

    theirs: nn.Module
    ours: Transformer
    asked: dict[str, Any]
    asking: dict[str, Any]
    noisy: Tensor


def scramble(module: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * fan**-0.5)


def ours_of(state: dict[str, Tensor], found: dict[str, Any]) -> Transformer:
    """Our network with their weights, without a file between."""
    config, names = transformer_config(found, {n: tuple(t.shape) for n, t in state.items()})
    made = Transformer(config).eval()
    table = network(config, names)
    tensors = {n: part.make(*(state[s] for s, _ in part.sources)) for n, part in table.items()}
    made.load_state_dict(tensors)
    return made


def tiny(kind: str, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """One of theirs, its sizes drawn from the seed, and its config."""
    draw = random.Random(seed)
    channels = draw.choice((4, 6))
    sizes: dict[str, Any] = {
        "num_attention_heads": draw.choice((2, 3)),
        "attention_head_dim": draw.choice((12, 16, 24)),
        "in_channels": channels,
        "out_channels": channels,
        "text_dim": draw.choice((10, 20)),
        "freq_dim": draw.choice((16, 32)),
        "ffn_dim": draw.choice((40, 56)),
        "num_layers": draw.choice((1, 2, 3)),
        "patch_size": (1, 2, 2),
        "cross_attn_norm": seed % 4 != 3,
    }
    if kind in ("i2v", "flf2v", "a14b-i2v"):
        sizes["in_channels"] = 2 * channels + 4
    if kind in ("i2v", "flf2v"):
        sizes |= {"image_dim": 14}
        sizes["added_kv_proj_dim"] = sizes["num_attention_heads"] * sizes["attention_head_dim"]
    if kind == "flf2v":
        sizes["pos_embed_seq_len"] = 2 * 5
    if kind.startswith("df"):
        sizes["inject_sample_info"] = kind == "df-fps"
        sizes["num_frame_per_block"] = 2 if kind == "df-causal" else 1
        theirs = SkyReelsV2Transformer3DModel(**sizes).eval()
    else:
        theirs = WanTransformer3DModel(**sizes).eval()
    scramble(theirs, torch.Generator().manual_seed(seed))
    return theirs, dict(theirs.config)


def case(kind: str, seed: int) -> Case:
    theirs, found = tiny(kind, seed)
    draw, g = random.Random(seed + 100), torch.Generator().manual_seed(seed + 1)
    batch, t = draw.choice((1, 2)), 4 if kind == "df-causal" else draw.choice((1, 3))
    h, w = 2 * draw.choice((1, 2, 3)), 2 * draw.choice((1, 4))
    channels, inputs = found["out_channels"], found["in_channels"]
    noisy = torch.randn(batch, channels, t, h, w, generator=g)
    text = torch.randn(batch, 512, found["text_dim"], generator=g)
    level = torch.randint(1, 1000, (batch, 1), generator=g) / 1000
    asked: dict[str, Any] = {"hidden_states": noisy, "encoder_hidden_states": text}
    asking: dict[str, Any] = {"text_states": text, "text_mask": None}
    if inputs > channels:
        asking["beside"] = torch.randn(batch, inputs - channels, t, h, w, generator=g)
        asked["hidden_states"] = torch.cat([noisy, asking["beside"]], 1)
    if kind in ("i2v", "flf2v"):
        image = torch.randn(batch, 10 if kind == "flf2v" else 5, 14, generator=g)
        asking["image"] = image
        asked["encoder_hidden_states_image"] = image
        if kind == "flf2v":  # they take the two pictures as two items of the batch
            asked["encoder_hidden_states_image"] = image.reshape(2 * batch, 5, 14)
    if kind == "ti2v":
        level = torch.randint(0, 1000, (batch, t * h * w // 4), generator=g) / 1000
    if kind.startswith("df"):
        frames = torch.randint(0, 1000, (batch, t), generator=g) / 1000
        asked |= {"timestep": (frames * 1000).round(), "enable_diffusion_forcing": True}
        level = frames.repeat_interleave(h * w // 4, 1)
        asking["causal"] = 2 if kind == "df-causal" else 0
        if kind == "df-fps":
            asked["fps"] = [seed % 2]
            asking["rate"] = torch.full((batch,), seed % 2)
    else:
        asked["timestep"] = (level * 1000).round()[:, 0] if kind != "ti2v" else level * 1000
    asking["noise_level"] = level
    return Case(theirs=theirs, ours=ours_of(theirs.state_dict(), found),
                asked=asked, asking=asking, noisy=noisy)  # fmt: skip


def far(a: Tensor, b: Tensor) -> float:
    """Maximum relative error."""
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_the_velocity_is_theirs(kind: str, seed: int) -> None:
    one = case(kind, seed)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = one.theirs(**one.asked, return_dict=False)[0]
        found = one.ours(one.noisy, **one.asking)
    assert far(found, expected) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_theirs(kind: str) -> None:
    """Of every weight, as it lies in their files: both networks are ours of the same tensors."""
    one = case(kind, 7)
    weight = torch.randn(one.noisy.shape, generator=torch.Generator().manual_seed(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (one.theirs(**one.asked, return_dict=False)[0] * weight).sum().backward()
    (one.ours(one.noisy, **one.asking) * weight).sum().backward()
    gradients = {n: p.grad for n, p in one.theirs.named_parameters() if p.grad is not None}
    table = network(one.ours.config, DIFFUSERS)
    checked = 0
    for name, parameter in one.ours.named_parameters():
        sources = [gradients[s] for s, _ in table[name].sources]
        expected = table[name].make(*sources)  # a reordering maps gradients as it does weights
        assert parameter.grad is not None
        scale = expected.abs().max().clamp_min(1e-3)
        assert float((parameter.grad - expected).abs().max() / scale) < 1e-4, name
        checked += 1
    assert checked == len(table)


def test_in_bf16_it_is_as_near_to_fp32_as_theirs() -> None:
    """Norms, modulation and sums are exact; only products are rounded."""
    one = case("t2v", 1)
    with torch.no_grad():
        exact = one.theirs(**one.asked, return_dict=False)[0]
        theirs = one.theirs.to(torch.bfloat16)
        asked = {k: v.bfloat16() if v.is_floating_point() else v for k, v in one.asked.items()}
        asked["timestep"] = one.asked["timestep"]
        rough = theirs(**asked, return_dict=False)[0]
        ours = Transformer(one.ours.config)
        ours.load_state_dict(one.ours.state_dict())
        for name, parameter in ours.named_parameters():
            if not any(part in name for part in ("level.", "modulation.", "table", "norm_text.")):
                parameter.data = parameter.data.bfloat16()
        asking = {**one.asking, "text_states": one.asking["text_states"].bfloat16()}
        found = ours(one.noisy, **asking)
    assert found.isfinite().all()
    error, theirs_error = ((x.float() - exact).square().mean().sqrt() for x in (found, rough))
    assert error < 1.1 * theirs_error


# ---- files


def original_of(config: TransformerConfig, seed: int) -> dict[str, Tensor]:
    """Random tensors as the original files name them."""
    g = torch.Generator().manual_seed(seed)
    shapes = dict(needed(network(config, ORIGINAL)))
    return {n: torch.randn(s, generator=g) * s[-1] ** -0.5 for n, s in shapes.items()}


def original_card(config: TransformerConfig, kind: str) -> dict[str, Any]:
    return {
        "_class_name": "WanModel", "model_type": kind, "dim": config.width,
        "eps": 1e-6, "ffn_dim": config.hidden, "freq_dim": config.frequencies,
        "in_dim": config.channels + config.beside, "out_dim": config.channels,
        "num_heads": config.heads, "num_layers": config.layers, "text_len": 512,
        "text_dim": config.text_width,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["t2v", "i2v", "flf2v", "a14b-i2v"])
def test_the_original_layout_is_what_diffusers_makes_of_it(kind: str, tmp_path: Path) -> None:
    one = case(kind, 2)
    config = replace(one.ours.config, text_norm=True)
    tensors = original_of(config, 5)
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(original_card(config, kind)))
    ours = read_transformer(tmp_path, dtype=torch.float32)
    assert ours.config == config
    theirs = WanTransformer3DModel(**{**one.theirs.config, "cross_attn_norm": True}).eval()
    converted = convert_wan_transformer_to_diffusers(dict(tensors))
    places = "img_emb.emb_pos"  # their conversion leaves this name alone
    if places in converted:
        converted[DIFFUSERS.places] = converted.pop(places)
    theirs.load_state_dict(converted)
    with torch.no_grad():
        expected = theirs(**one.asked, return_dict=False)[0]
        assert far(ours(one.noisy, **one.asking), expected) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_diffusers_saved_is_read(kind: str, tmp_path: Path) -> None:
    """In shards with an index, and in one piece."""
    one = case(kind, 4)
    for folder, size in ((tmp_path / "one", "1GB"), (tmp_path / "many", "20KB")):
        one.theirs.save_pretrained(folder, max_shard_size=size)
        found = read_transformer(folder, dtype=torch.float32)
        state, expected = found.state_dict(), one.ours.state_dict()
        assert found.config == one.ours.config and set(state) == set(expected)
        assert all(torch.equal(state[name], expected[name]) for name in state)
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2


FULL: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "Wan2.1-T2V-1.3B": (WanTransformer3DModel, {
        "num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960}),
    "Wan2.1-T2V-14B": (WanTransformer3DModel, {}),
    "Wan2.1-I2V-14B": (WanTransformer3DModel, {
        "in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120}),
    "Wan2.1-FLF2V-14B": (WanTransformer3DModel, {
        "in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120,
        "pos_embed_seq_len": 514}),
    "Wan2.2-I2V-A14B": (WanTransformer3DModel, {"in_channels": 36}),
    "Wan2.2-TI2V-5B": (WanTransformer3DModel, {
        "num_attention_heads": 24, "num_layers": 30, "ffn_dim": 14336, "in_channels": 48,
        "out_channels": 48}),
    "SkyReels-V2-DF-1.3B": (SkyReelsV2Transformer3DModel, {
        "num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960,
        "inject_sample_info": True}),
    "SkyReels-V2-DF-14B": (SkyReelsV2Transformer3DModel, {
        "num_attention_heads": 40, "num_layers": 40, "ffn_dim": 13824}),
}  # fmt: skip


@pytest.mark.parametrize("name", FULL)
def test_every_tensor_of_the_real_sizes_has_its_place(name: str) -> None:
    """Both layouts, strictly, without memory; ours has a source for every parameter and no more."""
    cls, sizes = FULL[name]
    with torch.device("meta"):
        theirs = cls(**sizes)
        shapes = {n: tuple(t.shape) for n, t in theirs.state_dict().items()}
        config, names = transformer_config(dict(theirs.config), shapes)
        ours = Transformer(config)
    table = network(config, names)
    assert names is DIFFUSERS and dict(needed(table)) == shapes
    fits(table, ours, shapes)
    original = network(config, ORIGINAL)
    if "Sky" not in name:
        empty = {n: torch.empty(s, device="meta") for n, s in needed(original)}
        converted = convert_wan_transformer_to_diffusers(empty)
        if "img_emb.emb_pos" in converted:
            converted[DIFFUSERS.places] = converted.pop("img_emb.emb_pos")
        assert {n: tuple(t.shape) for n, t in converted.items()} == shapes
    again, layout = transformer_config(original_card(config, "t2v"), dict(needed(original)))
    assert again == config and layout is ORIGINAL


def fits(table: Table, ours: nn.Module, shapes: dict[str, tuple[int, ...]]) -> None:
    state = ours.state_dict()
    assert set(table) == set(state)
    for name, part in table.items():
        sources = [torch.empty(shapes[s], device="meta") for s, _ in part.sources]
        assert part.make(*sources).shape == state[name].shape, name


# ---- what is wrong


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    tiny("t2v", 1)[0].save_pretrained(folder)
    return folder


SAVED = "diffusion_pytorch_model.safetensors"


def broken(saved: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Breaks a copy in one way after another; yields what the sentence must name."""
    tensors = load_file(saved / SAVED)
    card = json.loads((saved / "config.json").read_text())
    target = folder / SAVED

    def write(weights: dict[str, Tensor], **changed: Any) -> None:
        save_file(weights, target)
        (folder / "config.json").write_text(json.dumps(card | changed))

    name = "blocks.0.attn1.to_k.weight"
    write({n: t for n, t in tensors.items() if n != name})
    yield "lack", name
    write({**tensors, "blocks.9.extra": torch.zeros(1)})
    yield "hold", "blocks.9.extra"
    write({**tensors, name: tensors[name][:-1].contiguous()})
    yield "shape", name
    write(tensors, num_layers=9)
    yield "lack", "blocks."
    write(tensors, num_attention_heads="many")
    yield "config.json", "many"
    write(tensors, qk_norm="layer_norm")
    yield "config.json", "layer_norm"
    write({"x": torch.zeros(1)})
    yield "no weights of the Wan family", ""
    write(tensors)
    (folder / "config.json").write_text("[")
    yield "config.json", "readable"
    write(tensors)
    data = target.read_bytes()
    target.write_bytes(data[: len(data) // 2])
    yield SAVED, "not whole"
    target.write_bytes(b"")
    yield SAVED, "not whole"
    target.unlink()
    (folder / "model.pth").write_bytes(b"\x80\x04")
    yield "pickle", ""
    write(tensors)
    index = folder / f"{SAVED}.index.json"
    index.write_text(json.dumps({"weight_map": {name: "gone.safetensors"}}))
    yield "gone.safetensors", "missing"
    index.write_text(json.dumps({"weight_map": {name: "../other.safetensors"}}))
    yield "index", "cannot be read"
    index.write_text(json.dumps({"weight_map": {"y": SAVED}}))
    yield '"y"', "index"
    index.unlink()
    save_file(tensors, folder / "second.safetensors")
    yield "both hold", ""


def test_whatever_is_wrong_is_one_sentence(saved: Path, tmp_path: Path) -> None:
    count = 0
    for parts in broken(saved, tmp_path):
        with pytest.raises(WeightsError) as caught:
            read_transformer(tmp_path)
        said = str(caught.value)
        assert all(part in said for part in parts), (parts, said)
        assert "\n" not in said and str(tmp_path) not in said
        count += 1
    assert count == 15
    with pytest.raises(WeightsError, match="no folder"):
        read_transformer(tmp_path / "nowhere")


def test_what_no_network_uses_may_be_there(saved: Path, tmp_path: Path) -> None:
    tensors = load_file(saved / SAVED)
    unused = f"blocks.0.attn2{IGNORED[0]}"
    save_file({**tensors, unused: torch.zeros(3)}, tmp_path / SAVED)
    (tmp_path / "config.json").write_bytes((saved / "config.json").read_bytes())
    read_transformer(tmp_path)


def test_the_package_never_imports_the_reference() -> None:
    code = (
        "import sys, worldreel.cli, worldreel.generator, worldreel.models.wan.load;"
        "print(sorted({'diffusers', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
