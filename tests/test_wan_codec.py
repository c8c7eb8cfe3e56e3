"""Wan codecs: the same function as diffusers has on random tiny sizes of 2.1 and 2.2, both ways,
from both layouts; and streaming, in whatever pieces, is the same as in one."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from worldreel.codec import wan
from worldreel.codec.wan import WanCodec
from worldreel.errors import WeightsError
from worldreel.models.wan.cards import MEAN_21, MEAN_22, codec_config, codec_config_of
from worldreel.models.wan.load import read_codec
from worldreel.models.wan.parts import needed
from worldreel.models.wan.pixels import pixels

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("diffusers")
    from diffusers import AutoencoderKLWan
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

FULL: dict[str, dict[str, Any]] = {
    "2.1": {},
    "2.2": {
        "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True,
        "in_channels": 12, "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16,
        "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
    },
}  # fmt: skip


def scramble(module: nn.Module, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 4
            if name.endswith("gamma"):
                parameter.copy_(1 + 0.2 * torch.randn(parameter.shape, generator=g))
            else:
                parameter.copy_(torch.randn(parameter.shape, generator=g) * fan**-0.5)


def tiny(kind: str, seed: int) -> AutoencoderKLWan:
    draw = random.Random(seed)
    channels = draw.choice((4, 6))
    sizes = {
        **FULL[kind],
        "base_dim": draw.choice((4, 8)),
        "z_dim": channels,
        "num_res_blocks": 2 if seed == 0 else draw.choice((1, 2)),
        "latents_mean": [draw.uniform(-1, 1) for _ in range(channels)],
        "latents_std": [draw.uniform(0.5, 2) for _ in range(channels)],
    }
    if kind == "2.2":
        sizes["decoder_base_dim"] = draw.choice((4, 8, 12))
    theirs = AutoencoderKLWan(**sizes).eval()
    scramble(theirs, seed)
    return theirs


def ours_of(theirs: AutoencoderKLWan) -> WanCodec:
    config, (mean, deviation) = codec_config(dict(theirs.config))
    codec, state = WanCodec(config).eval(), theirs.state_dict()
    table = pixels(codec, original=False)
    tensors = {n: part.make(*(state[s] for s, _ in part.sources)) for n, part in table.items()}
    statistics = {"mean": torch.tensor(mean), "deviation": torch.tensor(deviation)}
    codec.load_state_dict(tensors | statistics)
    return codec


def statistics(theirs: AutoencoderKLWan) -> tuple[Tensor, Tensor]:
    mean, deviation = theirs.config.latents_mean, theirs.config.latents_std
    return tuple(torch.tensor(x)[:, None, None, None] for x in (mean, deviation))  # type: ignore[return-value]


def far(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


def clip(kind: str, seed: int, frames: int) -> Tensor:
    draw, step = random.Random(seed), 16 if kind == "2.2" else 8
    height, width = step * draw.choice((1, 2)), step * draw.choice((2, 3))
    g = torch.Generator().manual_seed(seed)
    return torch.rand(draw.choice((1, 2)), 3, frames, height, width, generator=g) * 2 - 1


@pytest.mark.parametrize("frames", [1, 5, 13])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", FULL)
def test_latents_and_frames_are_theirs(
    kind: str, seed: int, frames: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wan, "MANY", 0 if seed else wan.MANY)  # two frames at a time, or one
    theirs = tiny(kind, seed)
    ours, pictures = ours_of(theirs), clip(kind, seed, frames)
    mean, deviation = statistics(theirs)
    with torch.no_grad():
        expected = (theirs.encode(pictures).latent_dist.mode() - mean) / deviation
        found, _ = ours.encode(pictures)
        assert far(found, expected) < 1e-4
        assert found.shape[2] == (frames - 1) // 4 + 1
        latents = torch.randn(found.shape, generator=torch.Generator().manual_seed(9))
        expected = theirs.decode(latents * deviation + mean).sample
        found, _ = ours.decode(latents)
        assert found.shape == pictures.shape
        assert far(found.clamp(-1, 1), expected) < 1e-4
        assert float(found.std()) > 0.05  # or the comparison would say little


@pytest.mark.parametrize("kind", FULL)
def test_streaming_in_any_pieces_is_the_same(kind: str) -> None:
    ours, pictures = ours_of(tiny(kind, 1)), clip(kind, 1, 21)
    with torch.no_grad():
        whole, _ = ours.encode(pictures)
        frames, _ = ours.decode(whole)
        for sizes in ((1, 4, 4, 4, 4, 4), (5, 16), (9, 4, 8)):
            state, made = None, []
            for part in pictures.split(list(sizes), 2):
                latents, state = ours.encode(part, state)
                made.append(latents)
            assert far(torch.cat(made, 2), whole) < 1e-5
        for parts in ((1, 1, 1, 1, 1, 1), (4, 2), (2, 4)):
            state, made = None, []
            for part in whole.split(list(parts), 2):
                shown, state = ours.decode(part, state)
                made.append(shown)
            assert far(torch.cat(made, 2), frames) < 1e-5
        assert state is not None  # which holds its own few frames, not those it was cut from
        assert all(s.untyped_storage().nbytes() == 4 * s.numel() for s in state)


@pytest.mark.parametrize("kind", FULL)
def test_nothing_looks_ahead(kind: str) -> None:
    ours, pictures = ours_of(tiny(kind, 2)), clip(kind, 2, 13)
    other = pictures.clone()
    other[:, :, 9:] = 0.0
    with torch.no_grad():
        a, b = ours.encode(pictures)[0], ours.encode(other)[0]
        assert torch.equal(a[:, :, :3], b[:, :, :3]) and not torch.equal(a[:, :, 3:], b[:, :, 3:])


def test_two_frames_at_a_time_are_a_convolution_over_three() -> None:
    g = torch.Generator().manual_seed(0)
    whole = torch.randn(2, 8, 5, 7, 4, generator=g, requires_grad=True)
    weight = torch.randn(6, 12, 3, 3, generator=g, requires_grad=True)
    bias = torch.randn(6, generator=g)
    frames = whole.permute(0, 4, 1, 2, 3)
    expected = F.conv3d(
        frames, weight.unflatten(1, (3, 4)).transpose(1, 2), bias, padding=(0, 1, 1)
    )
    found = wan._pairs(whole, weight, bias)
    assert far(found.detach(), expected.detach().permute(0, 2, 3, 4, 1)) < 1e-5
    for made, true in zip(
        torch.autograd.grad(found.sin().sum(), (whole, weight)),
        torch.autograd.grad(expected.sin().sum(), (whole, weight)),
        strict=True,
    ):
        assert far(made, true) < 1e-4


def test_doubling_is_a_repetition_and_a_convolution() -> None:
    up = ours_of(tiny("2.1", 1)).decoder.body.layers[3].chain.layers[-1]  # type: ignore[union-attr,index]
    x = torch.randn(2, up.space.weight.shape[1], 3, 5)
    big = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest-exact")
    with torch.no_grad():
        expected = nn.functional.conv2d(big, up.space.weight, up.space.bias, padding=1)
        assert far(up._double(x), expected) < 1e-5


@pytest.mark.parametrize("kind", FULL)
def test_folders_and_files_are_read(kind: str, tmp_path: Path) -> None:
    theirs = tiny(kind, 0)
    theirs.save_pretrained(tmp_path / "saved")
    state, expected = read_codec(tmp_path / "saved").state_dict(), ours_of(theirs).state_dict()
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], expected[name]) for name in state)


def test_the_original_layout_of_21_is_what_diffusers_makes_of_it(tmp_path: Path) -> None:
    """Random tensors under the original names; diffusers' own conversion is the other way round."""
    config, _ = codec_config(dict(AutoencoderKLWan(base_dim=4, z_dim=16).config))
    shapes = dict(needed(pixels(WanCodec(config), original=True)))
    g = torch.Generator().manual_seed(0)
    tensors = {n: torch.randn(s, generator=g) * max(s[1:], default=4) ** -0.5 / 3 for n, s in
               shapes.items()}  # fmt: skip
    save_file(tensors, tmp_path / "codec.safetensors")
    ours = read_codec(tmp_path / "codec.safetensors")
    assert ours.config == config and ours.mean.tolist() == pytest.approx(MEAN_21)
    theirs = AutoencoderKLWan(base_dim=4, z_dim=16).eval()
    theirs.load_state_dict(convert_wan_vae_to_diffusers(dict(tensors)))
    state, expected = ours.state_dict(), ours_of(theirs).state_dict()
    assert all(torch.equal(state[name], expected[name]) for name in state)


@pytest.mark.parametrize("kind", FULL)
def test_every_tensor_of_the_real_sizes_has_its_place(kind: str) -> None:
    with torch.device("meta"):
        theirs = AutoencoderKLWan(**FULL[kind])
        config, _ = codec_config(dict(theirs.config))
        ours = WanCodec(config)
    shapes = {n: tuple(t.shape) for n, t in theirs.state_dict().items()}
    table = pixels(ours, original=False)
    assert dict(needed(table)) == shapes
    assert set(table) | {"mean", "deviation"} == set(ours.state_dict())
    original = dict(needed(pixels(ours, original=True)))
    assert len(original) == len(shapes)
    again, (mean, _) = codec_config_of(original)
    assert again == config and mean == (MEAN_21 if kind == "2.1" else MEAN_22)
    assert config.spatial == (8 if kind == "2.1" else 16) and config.temporal == 4
    if kind == "2.1":
        assert tuple(theirs.config.latents_mean) == MEAN_21
        empty = {n: torch.empty(s, device="meta") for n, s in original.items()}
        converted = convert_wan_vae_to_diffusers(empty)
        assert {n: tuple(t.shape) for n, t in converted.items()} == shapes


def test_whatever_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    tiny("2.1", 1).save_pretrained(tmp_path)
    card = json.loads((tmp_path / "config.json").read_text())
    for changed in ({"attn_scales": [1.0]}, {"latents_mean": [0.0]}, {"z_dim": "x"}):
        (tmp_path / "config.json").write_text(json.dumps(card | changed))
        with pytest.raises(WeightsError, match=r"config\.json is not one of the Wan family"):
            read_codec(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(card | {"num_res_blocks": 4}))
    with pytest.raises(WeightsError, match="lack"):
        read_codec(tmp_path)
    save_file({"encoder.conv1.weight": torch.zeros(4, 3, 3, 3, 3)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="no weights of a Wan codec"):
        read_codec(tmp_path / "x.safetensors")
