"""Block by block with what was kept of earlier blocks: the same numbers as all blocks in one piece,
in the network and in whole clips; what is read of a text once is what is read each time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from worldreel.diffusion import flow
from worldreel.diffusion.causal import causal_blocks
from worldreel.diffusion.fewsteps import fresh, self_forcing_schedule
from worldreel.diffusion.known import Known
from worldreel.models.model import View
from worldreel.models.wan.causal import denoise_causal, follower
from worldreel.models.wan.load import EXACT
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Cache, Transformer

WAN = TransformerConfig(
    width=48, heads=2, layers=3, hidden=64, channels=4, text_width=20, frequencies=32, gelu=True,
    text_gelu=True, pooled=False, white=False, exact=True,
)  # fmt: skip
IMAGE = TransformerConfig(
    width=48, heads=2, layers=2, hidden=64, channels=4, text_width=20, frequencies=32, gelu=True,
    text_gelu=True, pooled=False, white=False, exact=True, beside=3, image_width=14,
)  # fmt: skip
OURS = TransformerConfig(width=48, heads=2, layers=2, hidden=64, channels=4, text_width=20)
H, W = 4, 6


def network(config: TransformerConfig, seed: int = 0) -> Transformer:
    made, generator = Transformer(config).eval(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * fan**-0.5)
    return made.requires_grad_(False)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def clip(seed: int, frames: int, channels: int = 4) -> Tensor:
    return random(seed, 1, channels, frames, H, W)


def far(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


# ---- the network


@pytest.mark.parametrize(("frames", "size"), [(6, 3), (7, 3), (4, 1), (5, 2), (3, 3)])
@pytest.mark.parametrize("config", [WAN, OURS], ids=["wan", "ours"])
def test_following_is_the_same_as_one_piece(
    config: TransformerConfig, frames: int, size: int
) -> None:
    net, noisy, text = network(config), clip(1, frames), random(2, 1, 5, 20)
    mask = torch.ones(1, 5, dtype=torch.bool)
    mask[0, 4] = False
    levels = torch.rand(1, frames, generator=torch.Generator().manual_seed(3))
    levels = levels.repeat_interleave(H * W // 4, 1)
    times = torch.tensor([0.0, 1, 2, 18, 19, 20, 21, 22])[:frames]
    whole = net(noisy, levels, text, mask, times=times, causal=size)
    cache: Cache | None = None
    parts, area = [], H * W // 4
    for i in range(0, frames, size):
        part = slice(i, i + size)
        velocity, cache = net.follow(
            noisy[:, :, part], levels[:, i * area : (i + size) * area], text, mask,
            cache=cache, times=times[part],
        )  # fmt: skip
        parts.append(velocity)
    assert cache is not None
    assert cache.frames == frames
    assert far(torch.cat(parts, 2), whole) < 1e-5
    assert size >= frames or far(net(noisy, levels, text, mask, times=times), whole) > 1e-2


def test_one_piece_is_attention_under_a_mask() -> None:
    """A patch's velocity depends on its own block and on earlier ones, and on all of those."""
    net, noisy, text = network(WAN), clip(1, 6), random(2, 1, 5, 20)
    level = torch.full((1, 1), 0.5)
    before = net(noisy, level, text, None, causal=2)
    for changed in range(6):
        other = noisy.clone()
        other[:, :, changed] += 1
        moved = (net(other, level, text, None, causal=2) - before).abs().amax((0, 1, 3, 4)) > 1e-6
        assert moved.tolist() == [frame // 2 >= changed // 2 for frame in range(6)]


def test_moments_go_on_by_themselves() -> None:
    net, noisy, text = network(WAN), clip(1, 4), random(2, 1, 5, 20)
    level = torch.full((1, 1), 0.5)
    _, cache = net.follow(noisy[:, :, :2], level, text, None, cache=None)
    told = net.follow(
        noisy[:, :, 2:], level, text, None, cache=cache, times=torch.tensor([2.0, 3.0])
    )
    assert torch.equal(net.follow(noisy[:, :, 2:], level, text, None, cache=cache)[0], told[0])


def test_what_was_kept_is_a_value() -> None:
    """Going on from it changes nothing in it, so that it can be gone on from again."""
    net, noisy, text = network(WAN), clip(1, 6), random(2, 1, 5, 20)
    level = torch.full((1, 1), 0.5)
    _, cache = net.follow(noisy[:, :, :3], level, text, None, cache=None)
    copies = [(k.clone(), v.clone()) for k, v in cache.pairs]
    once, _ = net.follow(noisy[:, :, 3:], level, text, None, cache=cache)
    net.follow(2 * noisy[:, :, 3:], level, text, None, cache=cache)
    again, _ = net.follow(noisy[:, :, 3:], level, text, None, cache=cache)
    assert torch.equal(once, again)
    for (k, v), (k0, v0) in zip(cache.pairs, copies, strict=True):
        assert torch.equal(k, k0)
        assert torch.equal(v, v0)


@pytest.mark.parametrize("config", [WAN, OURS, IMAGE], ids=["wan", "ours", "image"])
@pytest.mark.parametrize("texts", [1, 2])
def test_words_read_once_are_the_same(config: TransformerConfig, texts: int) -> None:
    net, noisy = network(config), clip(1, 4)
    text = random(2, 1, texts, 5, 20)
    mask = torch.ones(1, texts, 5, dtype=torch.bool)
    mask[0, 0, 3:] = False
    beside = clip(4, 4, config.beside) if config.beside else None
    image = random(5, 1, 7, 14) if config.image_width else None
    shots = torch.tensor([0, 0, 1, 1]) if texts == 2 else None
    words = net.words(text, image)
    for level in (0.2, 0.9):
        told = torch.full((1, 1), level)
        each = net(noisy, told, text, mask, shots=shots, beside=beside, image=image)
        once = net(noisy, told, text, mask, shots=shots, beside=beside, words=words)
        assert torch.equal(once, each)
    other = net.words(text + 1, image)
    assert not torch.equal(
        net(noisy, told, text, mask, shots=shots, beside=beside, words=other), each
    )


def test_the_parameters_names_are_as_ever() -> None:
    """Those of the shipped weights."""
    names = {name for name in Transformer(OURS).state_dict() if name.startswith("blocks.0.")}
    parts = {"attention.qkv", "attention.out", "text_attention.q", "text_attention.kv",
             "text_attention.out", "feed_forward.0", "feed_forward.2", "norm_text"}  # fmt: skip
    norms = {"attention.norm_q", "attention.norm_k", "text_attention.norm_q",
             "text_attention.norm_k"}  # fmt: skip
    expected = {f"blocks.0.{p}.{kind}" for p in parts for kind in ("weight", "bias")}
    assert names == expected | {f"blocks.0.{n}.weight" for n in norms} | {"blocks.0.table"}


# ---- whole clips


def in_one_piece(net: Transformer, noise: Tensor, text: Tensor, size: int, seed: int) -> Tensor:
    """The same clip without anything kept: at each step the network sees all frames so far, clean
    but for the block in the making, under the mask."""
    draw, area = torch.Generator().manual_seed(seed), H * W // 4
    levels = [5 * s / (1 + 4 * s) for s in (1.0, 0.75, 0.5, 0.25)]
    done = noise[:, :, :0]
    for i in range(0, noise.shape[2], size):
        x = noise[:, :, i : i + size]
        for number, level in enumerate(levels):
            told = torch.cat(
                [torch.zeros(1, done.shape[2] * area), torch.full((1, x.shape[2] * area), level)], 1
            )
            slope = net(torch.cat([done, x], 2), told, text, None, causal=size)[:, :, i:]
            x = clean = x - level * slope
            if number < 3:
                following = levels[number + 1]
                x = (1 - following) * clean + following * torch.randn(x.shape, generator=draw)
        done = torch.cat([done, x], 2)
    return done


@pytest.mark.parametrize(("frames", "size"), [(6, 3), (7, 3), (3, 1)])
def test_a_clip_is_the_same_as_in_one_piece(frames: int, size: int) -> None:
    net, noise, text = network(WAN), clip(1, frames), random(2, 1, 5, 20)
    follow = follower(net, text, None, times=torch.arange(frames))
    steps = list(
        causal_blocks(
            follow,
            noise,
            Known.nothing(noise.shape),
            self_forcing_schedule(),
            size=size,
            generator=torch.Generator().manual_seed(7),
        )
    )
    assert far(steps[-1].latents, in_one_piece(net, noise, text, size, 7)) < 1e-4
    blocks = -(-frames // size)
    assert [step.number for step in steps] == list(range(1, 4 * blocks + 1))
    assert {step.steps for step in steps} == {4 * blocks}
    assert steps[-1].noise_level == 0
    first = steps[3].latents[:, :, :size]
    assert torch.equal(first, steps[-1].latents[:, :, :size])
    assert torch.equal(steps[3].latents[:, :, size:], noise[:, :, size:])


@pytest.mark.parametrize("frames", [1, 3, 4, 7])
def test_what_is_known_stays(frames: int) -> None:
    """Whole blocks are only looked at; a block that is known in part is made around it."""
    net, noise, text = network(WAN), clip(1, 7), random(2, 1, 5, 20)
    known = Known.nothing(noise.shape)
    known.start[:, :, :frames] = 0
    known = Known(latents=clip(5, 7), start=known.start)
    view = View(known=known, times=tuple(range(7)), shots=(0,) * 7, first=True)
    steps = list(denoise_causal(net, view, text, None, noise, steps=4))
    asked = sum(frames < end for end in (3, 6, 7))
    assert len(steps) == steps[0].steps == max(1, 4 * asked)
    for step in steps:
        assert torch.equal(step.latents[:, :, :frames], known.latents[:, :, :frames])
        assert torch.equal(step.clean[:, :, :frames], known.latents[:, :, :frames])
    assert steps[-1].latents.isfinite().all()


def test_later_blocks_see_what_is_known() -> None:
    net, noise, text = network(WAN), clip(1, 6), random(2, 1, 5, 20)

    def made(seed: int) -> Tensor:
        known = Known.nothing(noise.shape)
        known.start[:, :, :3] = 0
        known = Known(latents=clip(seed, 6), start=known.start)
        view = View(known=known, times=tuple(range(6)), shots=(0,) * 6, first=True)
        *_, step = denoise_causal(net, view, text, None, noise, steps=2)
        return step.latents[:, :, 3:]

    assert far(made(5), made(6)) > 1e-3


def test_each_shot_reads_its_own_text() -> None:
    net, noise = network(WAN), clip(1, 6)
    texts = random(2, 1, 2, 5, 20)

    def made(states: Tensor, shots: tuple[int, ...]) -> Tensor:
        known = Known.nothing(noise.shape)
        view = View(known=known, times=(0, 1, 2, 19, 20, 21), shots=shots, first=True)
        *_, step = denoise_causal(net, view, states, None, noise, steps=2)
        return step.latents

    both, first = made(texts, (0, 0, 0, 1, 1, 1)), made(texts[:, 0], (0,) * 6)
    assert far(both[:, :, :3], first[:, :, :3]) < 1e-5
    assert far(both[:, :, 3:], first[:, :, 3:]) > 1e-3
    second = made(torch.stack([texts[:, 0], texts[:, 0]], 1), (0, 0, 0, 1, 1, 1))
    assert far(second, first) < 1e-5


def test_weights_of_half_precision_make_nearly_the_same() -> None:
    """Latents stay fp32; only the network's products are rounded."""
    noise, text = clip(1, 6), random(2, 1, 5, 20)
    view = View(known=Known.nothing(noise.shape), times=tuple(range(6)), shots=(0,) * 6, first=True)
    exact, rough = network(WAN), network(WAN)
    for name, parameter in rough.named_parameters():
        if not any(part in name for part in EXACT):
            parameter.data = parameter.data.bfloat16()
    *_, expected = denoise_causal(exact, view, text, None, noise, steps=1)
    *_, found = denoise_causal(rough, view, text, None, noise, steps=1)
    assert found.latents.dtype == torch.float32
    assert 0 < far(found.latents, expected.latents) < 0.05


def test_fresh_noise_is_white() -> None:
    """What is drawn between levels has no share of the noise that the clip began with."""
    noise = random(0, 1, 8, 4, 32, 32)
    drawn = fresh(noise, torch.Generator().manual_seed(1))
    assert float(drawn.std()) == pytest.approx(1, abs=0.02)
    assert float((drawn * noise).mean()) == pytest.approx(0, abs=0.02)
    assert torch.equal(flow.interpolate(noise, drawn, torch.zeros(())), noise)
