"""Known latents: bit for bit the same after sampling, at noise level 0 while it goes on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import sample, schedule
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer, patchify

PATCH = (1, 2, 2)
SHAPE = (2, 4, 3, 4, 6)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_mask(seed: int, share: float = 0.5) -> Tensor:
    """`[B, 1, t, h, w]`, constant over each patch of 1×2×2."""
    batch, _, t, h, w = SHAPE
    coarse = torch.rand(batch, 1, t, h // 2, w // 2, generator=seeded(seed)) < share
    return coarse.repeat_interleave(2, 3).repeat_interleave(2, 4)


def given(seed: int = 0, share: float = 0.5) -> Known:
    latents = torch.randn(SHAPE, generator=seeded(100 + seed))
    return Known(latents=latents, start=(~random_mask(seed, share)).float())


def first_frame() -> Known:
    start = torch.ones(2, 1, *SHAPE[2:])
    start[:, :, 0] = 0
    return Known(latents=torch.randn(SHAPE, generator=seeded(9)), start=start)


def tiny_transformer() -> Transformer:
    torch.manual_seed(0)
    config = TransformerConfig(
        width=24, layers=2, heads=2, hidden=32, channels=4, text_width=8, frequencies=16
    )
    model = Transformer(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def test_nothing_known_begins_with_noise_and_has_one_level_a_clip() -> None:
    known, noise = Known.nothing(SHAPE), torch.randn(SHAPE, generator=seeded(1))
    assert torch.equal(known.begin(noise), noise)
    assert torch.equal(known.levels(0.3, PATCH), torch.full((2, 1), 0.3))


@pytest.mark.parametrize("seed", range(6))
def test_known_latents_are_put_in_their_places_only(seed: int) -> None:
    known, noise = given(seed), torch.randn(SHAPE, generator=seeded(200 + seed))
    found, mask = known.begin(noise), (known.start == 0).expand(SHAPE)
    assert torch.equal(found[mask], known.latents[mask])
    assert torch.equal(found[~mask], noise[~mask])


def test_a_middle_level_begins_on_the_line_between_picture_and_noise() -> None:
    latents, noise = (torch.randn(SHAPE, generator=seeded(s)) for s in (1, 2))
    known = Known(latents=latents, start=torch.full((2, 1, *SHAPE[2:]), 0.6))
    assert torch.allclose(known.begin(noise), 0.4 * latents + 0.6 * noise, atol=1e-6)
    assert torch.allclose(known.levels(0.5, PATCH), torch.full((2, 1), 0.3))


def test_sampling_from_a_middle_level_is_exact_on_a_straight_flow() -> None:
    """Where the true flow is straight (one clean clip), every position arrives at it, whatever
    level it starts from, in any number of steps."""
    target, noise = (torch.randn(SHAPE, generator=seeded(s)) for s in (3, 4))
    start = torch.rand(2, 1, *SHAPE[2:], generator=seeded(5)).clamp_min(0.05)
    start[:, :, 0], start[:, :, 1] = 0, 1
    known = Known(latents=target, start=start)

    def velocity(noisy: Tensor, noise_level: Tensor) -> Tensor:
        return noise - target

    for step in sample(velocity, noise, known, schedule(3, shift=2.0)):
        expected = target + step.noise_level * start * (noise - target)
        assert torch.allclose(step.latents, expected, atol=1e-5)
        assert torch.allclose(step.clean, target, atol=1e-5)
    assert step.noise_level == 0


@pytest.mark.parametrize("seed", range(6))
def test_levels_are_in_the_order_of_the_patches(seed: int) -> None:
    """Cutting the mask into patches as the transformer cuts latents must say the same."""
    known = given(seed)
    assert bool((known.start == 0).any())
    cut = patchify(known.start, PATCH)
    expected = torch.where((cut == 0).all(-1), 0.0, 0.7)
    assert torch.equal(known.levels(0.7, PATCH), expected)


def test_a_clip_without_known_latents_beside_one_with_some() -> None:
    known = first_frame()
    known.start[1] = 1
    levels = known.levels(0.6, PATCH)
    assert bool((levels[1] == torch.tensor(0.6)).all())
    assert bool((levels[0, :6] == 0).all()) and bool((levels[0, 6:] > 0).all())


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_known_latents_come_back_untouched_from_every_step(share: float) -> None:
    """Through a transformer with random weights: whatever it says, what was given stays."""
    model, known = tiny_transformer(), given(3, share)
    text, mask = torch.randn(2, 5, 8, generator=seeded(4)), torch.ones(2, 5, dtype=torch.bool)
    noise = torch.randn(SHAPE, generator=seeded(5))

    def velocity(noisy: Tensor, noise_level: Tensor) -> Tensor:
        with torch.no_grad():
            return model(noisy, noise_level, text, mask)  # type: ignore[no-any-return]

    where = (known.start == 0).expand(SHAPE)
    steps = list(sample(velocity, noise, known, schedule(5, shift=3.0)))
    assert len(steps) == 5
    for step in steps:
        assert torch.equal(step.latents[where], known.latents[where])
        assert torch.equal(step.clean[where], known.latents[where])
        assert not bool((step.latents[~where] == noise[~where]).any())


def test_the_velocity_sees_known_latents_clean_and_at_level_zero() -> None:
    known = first_frame()
    seen: list[tuple[Tensor, Tensor]] = []

    def velocity(noisy: Tensor, noise_level: Tensor) -> Tensor:
        seen.append((noisy, noise_level))
        return torch.randn(SHAPE, generator=seeded(len(seen)))

    list(sample(velocity, torch.randn(SHAPE, generator=seeded(6)), known, schedule(4)))
    frame = 2 * 3  # patches of a latent frame of 4 × 6
    for (noisy, levels), level in zip(seen, (1.0, 0.75, 0.5, 0.25), strict=True):
        assert torch.equal(noisy[:, :, 0], known.latents[:, :, 0])
        assert levels.shape == (2, 3 * frame)
        assert bool((levels[:, :frame] == 0).all()) and bool((levels[:, frame:] == level).all())


def test_what_lies_under_the_noise_of_known_places_does_not_matter() -> None:
    known, noise = first_frame(), torch.randn(SHAPE, generator=seeded(7))
    other = noise.clone()
    other[:, :, 0] = 1e6

    def velocity(noisy: Tensor, noise_level: Tensor) -> Tensor:
        return noisy.mean((1, 2, 3, 4), keepdim=True) + noisy

    a, b = (list(sample(velocity, x, known, schedule(6)))[-1].latents for x in (noise, other))
    assert torch.equal(a, b)


def test_half_precision_keeps_its_type() -> None:
    known = first_frame()
    noisy = torch.zeros(SHAPE, dtype=torch.bfloat16)
    assert known.begin(noisy).dtype == torch.bfloat16
