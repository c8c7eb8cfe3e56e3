"""Transformer: cutting into patches, rotary positions, attention against its plain formula, and
what must not matter to a velocity: other clips of the batch, padding, how levels are given."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from worldreel import shapes
from worldreel.transformer.block import RMSNorm, SelfAttention, TextAttention
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer, frequencies, patchify, unpatchify
from worldreel.transformer.rotary import BASE, axis_channels, positions, rotate, rotations

CPU = torch.device("cpu")
GRID = (3, 2, 4)  # patches of latents 3 × 4 × 8
COUNT = math.prod(GRID)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def config() -> TransformerConfig:
    return TransformerConfig(
        width=48, layers=2, heads=2, hidden=64, channels=4, text_width=12, frequencies=32
    )


def scramble(module: nn.Module, seed: int = 0) -> None:
    """Every weight random: fresh residual branches are zero and would hide any mistake."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        with torch.no_grad():
            fan = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * fan**-0.5)


@pytest.fixture(scope="module")
def model() -> Transformer:
    made = Transformer(config()).eval()
    scramble(made)
    return made


def noisy_clip(batch: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(batch, 4, 3, 4, 8, generator=torch.Generator().manual_seed(seed))


def words(batch: int = 3, length: int = 6, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Text states and a mask of 6, 5, 4 … words."""
    states = torch.randn(batch, length, 12, generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(length) < (length - torch.arange(batch) % length)[:, None]
    return states, mask


def ask(model: Transformer, noisy: Tensor, level: Tensor, text: Tensor, mask: Tensor) -> Tensor:
    with torch.no_grad():
        return model(noisy, level, text, mask)  # type: ignore[no-any-return]


def close(a: Tensor, b: Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(a, b, atol=atol, rtol=1e-4)


# ---- patches


@pytest.mark.parametrize("patch", [(1, 2, 2), (1, 1, 1), (2, 2, 4)])
def test_patches_are_put_together_again(patch: tuple[int, int, int]) -> None:
    latents = torch.randn(2, 5, 4, 6, 8)
    grid = shapes.patch_grid((4, 6, 8), patch)
    patches = patchify(latents, patch)
    assert patches.shape == (2, math.prod(grid), 5 * math.prod(patch))
    assert torch.equal(unpatchify(patches, patch, grid), latents)
    again = torch.randn(patches.shape)
    assert torch.equal(patchify(unpatchify(again, patch, grid), patch), again)


def test_patches_run_in_order_of_time_row_column() -> None:
    latents = torch.randn(1, 5, 3, 4, 8)
    patches = patchify(latents, (1, 2, 2))
    for number, (t, row, column) in enumerate(positions(GRID, device=CPU).int().tolist()):
        block = latents[0, :, t, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert torch.equal(patches[0, number], block.flatten())


# ---- rotary positions


@pytest.mark.parametrize("head", [16, 24, 32, 64, 96, 128])
def test_a_heads_channels_are_shared_out_wholly_and_evenly(head: int) -> None:
    time, height, width = axis_channels(head)
    assert time + height + width == head and height == width <= time
    assert time % 2 == height % 2 == 0 and time - height < 6


def test_heads_of_128_are_split_as_in_wan() -> None:
    assert axis_channels(128) == (44, 42, 42)


def scores(q: Tensor, k: Tensor, places: Tensor) -> Tensor:
    turn = rotations(places, q.shape[-1])
    return rotate(q, turn) @ rotate(k, turn).transpose(-1, -2)


@pytest.mark.parametrize("trial", range(8))
def test_scores_depend_on_relative_positions_only(trial: int) -> None:
    """Moving all patches alike, along one axis or along all, changes no score."""
    generator = torch.Generator().manual_seed(trial)
    q, k = (torch.randn(1, 2, COUNT, 32, generator=generator) for _ in range(2))
    places = positions(GRID, device=CPU)
    before = scores(q, k, places)
    moves = torch.randint(-200, 200, (3,), generator=generator)
    for move in (moves, *torch.diag(moves)):
        close(scores(q, k, places + move), before, atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_moving_one_patch_along_any_axis_changes_its_scores(axis: int) -> None:
    q, k = torch.randn(1, 1, COUNT, 32), torch.randn(1, 1, COUNT, 32)
    places = positions(GRID, device=CPU)
    moved = places.clone()
    moved[0, axis] += 1
    change = (scores(q, k, moved) - scores(q, k, places)).abs()
    assert float(change[0, 0, 0, 1:].min()) > 0 and float(change[0, 0, 1:, 1:].max()) < 1e-5


def test_rotation_is_multiplication_by_a_complex_number() -> None:
    """Channel pair (j, j + half) of an axis: e^(i · position · base^(-2j/d))."""
    time, height, width = axis_channels(24)
    x, place = torch.randn(1, 1, 1, 24), torch.tensor([[5, 3, 2]])
    found = rotate(x, rotations(place, 24))[0, 0, 0]
    number = torch.complex(x[0, 0, 0, :12].double(), x[0, 0, 0, 12:].double())
    angles = [
        at * BASE ** (-2 * j / channels)
        for at, channels in zip((5, 3, 2), (time, height, width), strict=True)
        for j in range(channels // 2)
    ]
    turned = number * torch.exp(1j * torch.tensor(angles, dtype=torch.float64))
    close(found, torch.cat([turned.real, turned.imag]).float())
    close(found.norm(), x.norm())


def test_the_first_patch_is_not_turned() -> None:
    x = torch.randn(1, 2, COUNT, 32)
    assert torch.equal(rotate(x, rotations(positions(GRID, device=CPU), 32))[:, :, 0], x[:, :, 0])


# ---- attention


def plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """`[B, N, heads, head]`, a loop over clips and heads, in double precision."""
    out = torch.zeros(q.shape, dtype=torch.float64)
    for b in range(q.shape[0]):
        for h in range(q.shape[2]):
            keys, values = k[b, :, h].double(), v[b, :, h].double()
            if mask is not None:
                keys, values = keys[mask[b]], values[mask[b]]
            weight = torch.exp(q[b, :, h].double() @ keys.T / math.sqrt(q.shape[-1]))
            out[b, :, h] = weight @ values / weight.sum(1, keepdim=True)
    return out.flatten(2).float()


def normal(x: Tensor, norm: RMSNorm) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight


def test_the_norm_has_unit_root_mean_square() -> None:
    x = 7 * torch.randn(2, 5, 48)
    close(RMSNorm(48)(x).square().mean(-1), torch.ones(2, 5))


def test_self_attention_is_the_plain_formula() -> None:
    layer = SelfAttention(config())
    scramble(layer)
    x, turn = torch.randn(2, COUNT, 48), rotations(positions(GRID, device=CPU), 24)
    with torch.no_grad():
        q, k, v = (x @ w.T + b for w, b in zip(
            layer.qkv.weight.chunk(3), layer.qkv.bias.chunk(3), strict=True))  # fmt: skip
        q, k, v = (
            y.unflatten(-1, (2, 24)) for y in (normal(q, layer.norm_q), normal(k, layer.norm_k), v)
        )
        q, k = (rotate(y.transpose(1, 2), turn).transpose(1, 2) for y in (q, k))
        close(layer(x, turn), layer.out(plain_attention(q, k, v, None)))


def test_text_attention_is_the_plain_formula_over_the_words() -> None:
    layer = TextAttention(config())
    scramble(layer)
    x, text, mask = torch.randn(3, 7, 48), torch.randn(3, 6, 48), words()[1]
    with torch.no_grad():
        keys, v = layer.kv(text).chunk(2, -1)
        q, k = normal(layer.q(x), layer.norm_q), normal(keys, layer.norm_k)
        parts = (y.unflatten(-1, (2, 24)) for y in (q, k, v))
        close(layer(x, text, mask[:, None]), layer.out(plain_attention(*parts, mask)))


# ---- the whole


def test_a_noise_levels_sinusoids() -> None:
    found = frequencies(torch.tensor([[0.0, 0.37]]), 8)
    assert found.shape == (1, 2, 8)
    angles = [370 * 10_000 ** (-j / 4) for j in range(4)]
    expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
    close(found[0, 1], torch.tensor(expected), atol=1e-4)
    assert torch.equal(found[0, 0], torch.tensor([1.0] * 4 + [0.0] * 4))


def test_a_fresh_transformer_says_what_white_latents_would() -> None:
    """Of white data the best guess of the velocity is known: E[v | noisy] by least squares."""
    model, noisy = Transformer(config()), noisy_clip()
    for level in (0.0, 0.3, 0.8, 1.0):
        clean, noise = torch.randn(2, 200_000, dtype=torch.float64)
        mixed = (1 - level) * clean + level * noise
        best = float((mixed * (noise - clean)).mean() / mixed.square().mean())
        with torch.no_grad():
            found = model(noisy, torch.full((noisy.shape[0], 1), level), *words())
        close(found, best * noisy, atol=0.02 * float(noisy.abs().max()))
    plain = Transformer(replace(config(), white=False))
    with torch.no_grad():
        assert not bool(plain(noisy, torch.rand(noisy.shape[0], 1), *words()).any())


def test_one_level_for_all_is_the_same_as_that_level_for_each(model: Transformer) -> None:
    level = torch.tensor([[0.0], [0.31], [1.0]])
    one = ask(model, noisy_clip(), level, *words())
    close(ask(model, noisy_clip(), level.expand(-1, COUNT), *words()), one)


def test_each_patch_is_modulated_by_its_own_level() -> None:
    """Without attention patches cannot see each other: each must come out as in a clip that is
    at its level throughout. Levels repeat within clips and across them."""
    alone = Transformer(config()).eval()
    scramble(alone)
    for block in alone.blocks:
        nn.init.zeros_(block.attention.out.weight)  # type: ignore[union-attr, arg-type]
    choice = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0])
    which = torch.randint(5, (3, COUNT), generator=torch.Generator().manual_seed(2))
    mixed = patchify(ask(alone, noisy_clip(), choice[which], *words()), (1, 2, 2))
    for i, level in enumerate(choice):
        uniform = patchify(ask(alone, noisy_clip(), level.expand(3, 1), *words()), (1, 2, 2))
        close(mixed[which == i], uniform[which == i])
    spread = (mixed - uniform)[which != i].abs().amax(-1)
    assert float(spread.min()) > 1e-4  # another level makes another velocity


def test_every_patch_hears_every_other(model: Transformer) -> None:
    clip = noisy_clip(1).requires_grad_()
    text, mask = words(1)
    model(clip, torch.full((1, 1), 0.5), text, mask)[0, :, 0, 0, 0].sum().backward()
    assert clip.grad is not None and bool((clip.grad != 0).all())


@pytest.mark.parametrize("per_patch", [False, True])
def test_clips_of_a_batch_do_not_mix_and_may_come_in_any_order(
    model: Transformer, per_patch: bool
) -> None:
    clip, (text, mask) = noisy_clip(), words()
    level = torch.rand(3, COUNT if per_patch else 1, generator=torch.Generator().manual_seed(4))
    together = ask(model, clip, level, text, mask)
    for i in range(3):
        one = slice(i, i + 1)
        close(ask(model, clip[one], level[one], text[one], mask[one]), together[one])
    order = torch.tensor([2, 0, 1])
    close(ask(model, clip[order], level[order], text[order], mask[order]), together[order])


def test_what_stands_in_padding_does_not_matter(model: Transformer) -> None:
    clip, level, (text, mask) = noisy_clip(), torch.full((3, 1), 0.6), words()
    before = ask(model, clip, level, text, mask)
    other = torch.where(mask[..., None], text, 50 * torch.randn(text.shape))
    assert not bool(mask.all())
    assert torch.equal(ask(model, clip, level, other, mask), before)
    longer = torch.cat([text, torch.randn(3, 9, 12)], 1)
    wide = torch.cat([mask, torch.zeros(3, 9, dtype=torch.bool)], 1)
    close(ask(model, clip, level, longer, wide), before)


def test_every_word_matters(model: Transformer) -> None:
    clip, level, (text, mask) = noisy_clip(), torch.full((3, 1), 0.6), words()
    before = ask(model, clip, level, text, mask)
    for i in range(4):  # the shortest text has four words
        other = text.clone()
        other[:, i] += 1
        change = (ask(model, clip, level, other, mask) - before).abs().amax((1, 2, 3, 4))
        assert bool((change > 1e-4).all())


def test_every_weight_gets_a_gradient() -> None:
    made = Transformer(config())
    scramble(made)
    level = torch.rand(3, COUNT)
    made(noisy_clip(), level, *words()).square().mean().backward()
    without = [n for n, p in made.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert without == []


def test_half_precision_is_near(model: Transformer) -> None:
    clip, level = noisy_clip(), torch.rand(3, COUNT, generator=torch.Generator().manual_seed(6))
    exact = ask(model, clip, level, *words())
    with torch.autocast("cpu", torch.bfloat16):
        rough = ask(model, clip, level, *words())
    assert float((rough.float() - exact).square().mean().sqrt() / exact.std()) < 0.05


@pytest.mark.parametrize("size", [(1, 4, 4), (7, 2, 8), (2, 10, 6)])
def test_any_number_of_frames_and_any_size(model: Transformer, size: tuple[int, int, int]) -> None:
    clip, (text, mask) = torch.randn(2, 4, *size), words(2)
    assert ask(model, clip, torch.rand(2, 1), text, mask).shape == clip.shape


# ---- shots


def shots_case() -> tuple[Transformer, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A network, noisy latents of four frames, levels, and the texts of two shots."""
    model = Transformer(config()).eval()
    scramble(model)
    states, mask = torch.randn(1, 2, 6, config().text_width), torch.ones(1, 2, 6, dtype=torch.bool)
    mask[0, 1, 4:] = False
    return model, torch.randn(1, 4, 4, 4, 8), torch.rand(1, 4 * 8), states, mask


def test_one_shot_of_two_with_equal_texts_is_as_one_text() -> None:
    model, noisy, levels, states, mask = shots_case()
    states, mask = states[:, :1].expand(-1, 2, -1, -1), mask[:, :1].expand(-1, 2, -1)
    shots = torch.tensor([0, 0, 1, 1])
    with torch.no_grad():
        several = model(noisy, levels, states, mask, shots=shots)
        close(several, model(noisy, levels, states[:, 0], mask[:, 0]), atol=1e-5)


def test_a_shot_reads_its_own_words_alone() -> None:
    """Without self-attention nothing of the other shot's text can arrive."""
    model, noisy, levels, states, mask = shots_case()
    for block in model.blocks:
        torch.nn.init.zeros_(block.attention.out.weight)
    shots, other = torch.tensor([0, 0, 1, 1]), states.clone()
    other[:, 1] += 1
    with torch.no_grad():
        a, b = (model(noisy, levels, s, mask, shots=shots) for s in (states, other))
    assert torch.equal(a[:, :, :2], b[:, :, :2])
    assert not torch.allclose(a[:, :, 2:], b[:, :, 2:])


def test_moments_matter_only_by_their_distances() -> None:
    model, noisy, levels, states, mask = shots_case()
    text, words_of = states[:, 0], mask[:, 0]
    times = torch.tensor([0.0, 1, 20, 21])
    with torch.no_grad():
        found = model(noisy, levels, text, words_of, times=times)
        close(found, model(noisy, levels, text, words_of, times=times + 7), atol=1e-5)
        plain = model(noisy, levels, text, words_of)
        close(plain, model(noisy, levels, text, words_of, times=torch.arange(4)), atol=1e-6)
    assert not torch.allclose(found, plain, atol=1e-3)
