"""Every tensor of the real checkpoints has its place: names and shapes of both layouts, strictly,
against tables written from the reference code, without memory."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from worldreel.codec.wan import WanCodec
from worldreel.errors import WeightsError
from worldreel.models import catalogue, memory
from worldreel.models.catalogue import ENTRIES, Entry, Network
from worldreel.models.wan.cards import codec_config_of, transformer_config
from worldreel.models.wan.files import Weights
from worldreel.models.wan.load import read_transformer
from worldreel.models.wan.network import DIFFUSERS, ORIGINAL, network
from worldreel.models.wan.parts import Table, needed
from worldreel.models.wan.pixels import pixels
from worldreel.transformer.model import Transformer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("diffusers")
    from diffusers import AutoencoderKLWan, SkyReelsV2Transformer3DModel, WanTransformer3DModel

Shapes = dict[str, tuple[int, ...]]
NETWORKS = {(e.network, "long" in e.does and not e.few): e for e in reversed(ENTRIES)}
"""One of the checkpoints for each network that differs, and each of diffusers' classes."""
CASES = [pytest.param(e, id=e.name or e.id) for e in NETWORKS.values()]


def linear(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def original(n: Network) -> Shapes:
    """What the reference's WanModel has, written down from its code."""
    d, states = n.width, 1280
    found = {"patch_embedding.weight": (d, n.inputs, 1, 2, 2), "patch_embedding.bias": (d,)}
    found |= linear("text_embedding.0", d, 4096) | linear("text_embedding.2", d, d)
    found |= linear("time_embedding.0", d, 256) | linear("time_embedding.2", d, d)
    found |= linear("time_projection.1", 6 * d, d) | linear("head.head", 4 * n.outputs, d)
    found |= {"head.modulation": (1, 2, d)}
    if n.image:
        found |= norm("img_emb.proj.0", states) | linear("img_emb.proj.1", states, states)
        found |= linear("img_emb.proj.3", d, states) | norm("img_emb.proj.4", d)
    if n.places:
        found |= {"img_emb.emb_pos": (1, 514, states)}
    if n.rates:
        found |= {"fps_embedding.weight": (2, d)}
        found |= linear("fps_projection.0", d, d) | linear("fps_projection.2", 6 * d, d)
    for i in range(n.layers):
        block = f"blocks.{i}"
        found |= {f"{block}.modulation": (1, 6, d)} | norm(f"{block}.norm3", d)
        found |= linear(f"{block}.ffn.0", n.hidden, d) | linear(f"{block}.ffn.2", d, n.hidden)
        for attention in ("self_attn", "cross_attn"):
            for layer in "qkvo":
                found |= linear(f"{block}.{attention}.{layer}", d, d)
            found |= {f"{block}.{attention}.norm_{x}.weight": (d,) for x in "qk"}
        if n.image:
            cross = f"{block}.cross_attn"
            found |= linear(f"{cross}.k_img", d, d) | linear(f"{cross}.v_img", d, d)
            found |= {f"{cross}.norm_k_img.weight": (d,)}
    return found


def card(n: Network) -> dict[str, Any]:
    """The config.json that came with the original files."""
    return {
        "_class_name": "WanModel", "dim": n.width, "eps": 1e-6, "ffn_dim": n.hidden,
        "freq_dim": 256, "in_dim": n.inputs, "out_dim": n.outputs, "num_heads": n.width // 128,
        "num_layers": n.layers, "text_len": 512,
        "model_type": "t2v" if n.inputs == n.outputs else "i2v",
    }  # fmt: skip


def theirs(entry: Entry) -> nn.Module:
    """diffusers' network of these sizes."""
    n = entry.network
    sizes: dict[str, Any] = {
        "num_attention_heads": n.width // 128, "num_layers": n.layers, "ffn_dim": n.hidden,
        "in_channels": n.inputs, "out_channels": n.outputs,
    }  # fmt: skip
    if n.image:
        sizes |= {"image_dim": 1280, "added_kv_proj_dim": n.width}
    if n.places:
        sizes |= {"pos_embed_seq_len": 514}
    if "long" in entry.does and not entry.few:
        return SkyReelsV2Transformer3DModel(**sizes, inject_sample_info=n.rates)
    return WanTransformer3DModel(**sizes)


def fits(table: Table, ours: nn.Module, shapes: Shapes) -> None:
    """Strict both ways: a source for each of ours, a use for each of theirs, the right shape."""
    state = ours.state_dict()
    assert set(table) == set(state)
    assert dict(needed(table)) == shapes
    for name, part in table.items():
        if re.match(r"blocks\.[1-9]", name):
            continue  # as in block 0
        sources = [torch.empty(shapes[s], device="meta") for s, _ in part.sources]
        assert part.make(*sources).shape == state[name].shape, name


@pytest.mark.parametrize("entry", CASES)
def test_the_original_layout_fits(entry: Entry) -> None:
    shapes = original(entry.network)
    config, names = transformer_config(card(entry.network), shapes)
    assert names is ORIGINAL
    with torch.device("meta"):
        ours = Transformer(config)
    fits(network(config, names), ours, shapes)


@pytest.mark.parametrize("entry", CASES)
def test_the_diffusers_layout_fits(entry: Entry) -> None:
    with torch.device("meta"):
        module = theirs(entry)
        shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        config, names = transformer_config(dict(module.config), shapes)
        ours = Transformer(config)
    assert names is DIFFUSERS
    fits(network(config, names), ours, shapes)
    # Both layouts say the same of the network.
    assert config == transformer_config(card(entry.network), original(entry.network))[0]
    assert entry.network.parameters == sum(math.prod(shape) for shape in shapes.values())


def convolution(name: str, outputs: int, inputs: int, *kernel: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, *kernel), f"{name}.bias": (outputs,)}


def residual(name: str, inputs: int, outputs: int) -> Shapes:
    found = {f"{name}.residual.0.gamma": (inputs, 1, 1, 1)}
    found |= convolution(f"{name}.residual.2", outputs, inputs, 3, 3, 3)
    found |= {f"{name}.residual.3.gamma": (outputs, 1, 1, 1)}
    found |= convolution(f"{name}.residual.6", outputs, outputs, 3, 3, 3)
    if inputs != outputs:
        found |= convolution(f"{name}.shortcut", outputs, inputs, 1, 1, 1)
    return found


def middle(side: str, width: int) -> Shapes:
    found = residual(f"{side}.middle.0", width, width) | residual(f"{side}.middle.2", width, width)
    found |= {f"{side}.middle.1.norm.gamma": (width, 1, 1)}
    found |= convolution(f"{side}.middle.1.to_qkv", 3 * width, width, 1, 1)
    return found | convolution(f"{side}.middle.1.proj", width, width, 1, 1)


def levels(side: str, name: str, dims: list[int], depth: int, *, nested: bool) -> Iterator[Shapes]:
    """Down or up: `depth` residual blocks a level, then a change of size but at the last one."""
    up, count = name == "upsamples", 0
    for i, (inputs, outputs) in enumerate(pairwise(dims)):
        if up and not nested and i > 0:
            inputs //= 2
        for j in range(depth + 1):
            place = f"{side}.{name}.{i}.{name}.{j}" if nested else f"{side}.{name}.{count}"
            if j < depth:
                yield residual(place, inputs, outputs)
                inputs = outputs
            elif i < len(dims) - 2:
                halved = outputs // 2 if up and not nested else outputs
                yield convolution(f"{place}.resample.1", halved, outputs, 3, 3)
                if i != (2 if up else 0):
                    more = 2 * outputs if up else outputs
                    yield convolution(f"{place}.time_conv", more, outputs, 3, 1, 1)
            else:
                continue
            count += 1


def codec(version: str) -> Shapes:
    """What the reference's codecs have, written down from their code."""
    nested = version == "2.2"
    z, pixel, down, up = (48, 12, 160, 256) if nested else (16, 3, 96, 96)
    wide, tall = down * 4, up * 4
    found = convolution("encoder.conv1", down, pixel, 3, 3, 3) | middle("encoder", wide)
    found |= {"encoder.head.0.gamma": (wide, 1, 1, 1)}
    found |= convolution("encoder.head.2", 2 * z, wide, 3, 3, 3)
    found |= convolution("conv1", 2 * z, 2 * z, 1, 1, 1) | convolution("conv2", z, z, 1, 1, 1)
    found |= convolution("decoder.conv1", tall, z, 3, 3, 3) | middle("decoder", tall)
    found |= {"decoder.head.0.gamma": (up, 1, 1, 1)}
    found |= convolution("decoder.head.2", pixel, up, 3, 3, 3)
    for part in levels("encoder", "downsamples", [down * m for m in (1, 1, 2, 4, 4)], 2,
                       nested=nested):  # fmt: skip
        found |= part
    for part in levels("decoder", "upsamples", [up * m for m in (4, 4, 4, 2, 1)], 3,
                       nested=nested):  # fmt: skip
        found |= part
    return found


@pytest.mark.parametrize("version", ["2.1", "2.2"])
def test_the_codecs_fit(version: str) -> None:
    shapes = codec(version)
    config, _ = codec_config_of(shapes)
    sizes: dict[str, Any] = {}
    if version == "2.2":
        sizes = {
            "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True,
            "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16,
            "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
        }  # fmt: skip
    with torch.device("meta"):
        ours, module = WanCodec(config), AutoencoderKLWan(**sizes)
    assert dict(needed(pixels(ours, original=True))) == shapes
    diffusers = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    assert dict(needed(pixels(ours, original=False))) == diffusers
    count = sum(math.prod(shape) for shape in shapes.values())
    assert count == sum(math.prod(shape) for shape in diffusers.values())
    assert count == catalogue.CODECS[version]


def test_the_encoders_have_the_parameters_that_the_catalogue_says() -> None:
    transformers = pytest.importorskip("transformers")
    text = transformers.UMT5Config(
        d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64, vocab_size=256384,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    image = transformers.CLIPVisionConfig(
        hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16,
        patch_size=14, image_size=224,
    )  # fmt: skip
    with torch.device("meta"):
        modules = transformers.UMT5EncoderModel(text), transformers.CLIPVisionModel(image)
    counts = [sum(p.numel() for p in module.parameters()) for module in modules]
    assert counts == [catalogue.TEXT, catalogue.IMAGE]


def test_every_row_of_the_family_is_in_the_catalogue() -> None:
    """What the project promises to load, by width and what differs."""
    rows = {
        "wan2.1-1.3b": (1536, 30, 8960, 16, 16),
        "wan2.1-14b": (5120, 40, 13824, 16, 16),
        "wan2.1-i2v-480p": (5120, 40, 13824, 36, 16),
        "wan2.1-flf2v": (5120, 40, 13824, 36, 16),
        "wan2.2-t2v": (5120, 40, 13824, 16, 16),
        "wan2.2-i2v": (5120, 40, 13824, 36, 16),
        "wan2.2-5b": (3072, 30, 14336, 48, 48),
        "skyreels-1.3b": (1536, 30, 8960, 16, 16),
        "skyreels-14b": (5120, 40, 13824, 16, 16),
        "fastwan-5b": (3072, 30, 14336, 48, 48),
        "rcm-1.3b": (1536, 30, 8960, 16, 16),
    }
    for name, sizes in rows.items():
        entry = catalogue.by_name(name)
        assert entry is not None
        n = entry.network
        assert (n.width, n.layers, n.hidden, n.inputs, n.outputs) == sizes, name
    alone = catalogue.by_id("gdhe17/self-forcing")
    assert alone is not None and not alone.name and not alone.commercial
    assert all(entry.commercial for entry in ENTRIES if entry.name)
    beside = {e.name: e.network.image for e in ENTRIES}
    assert beside["wan2.1-i2v-480p"] and not beside["wan2.2-i2v"]


def test_files_that_are_none_are_said_before_work_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickle by another name, a pointer to a file, and too little memory."""
    n = Network(width=128, layers=1, hidden=16, inputs=4, outputs=4)
    g = torch.Generator().manual_seed(0)
    tensors = {name: torch.randn(shape, generator=g) for name, shape in original(n).items()}
    (tmp_path / "config.json").write_text(json.dumps(card(n)))
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    for zipped in (True, False):
        torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(WeightsError, match="is a pickle, whatever its name"):
            read_transformer(tmp_path)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(WeightsError, match="only points to the weights"):
        read_transformer(tmp_path)
    path.unlink()
    save_file(tensors, path)
    size = sum(tensor.numel() for tensor in tensors.values()) * 2
    monkeypatch.setattr(memory, "free", lambda device: memory._SPARE + size)
    read = Weights.read
    monkeypatch.setattr(Weights, "read", lambda *args: pytest.fail("read before it was known"))
    with pytest.raises(WeightsError, match=r"takes .* of memory and this machine has"):
        read_transformer(tmp_path)  # in bf16, but what must be exact is fp32
    monkeypatch.setattr(Weights, "read", read)
    monkeypatch.setattr(memory, "free", lambda device: memory._SPARE + 2 * size)
    read_transformer(tmp_path, dtype=torch.float32)
