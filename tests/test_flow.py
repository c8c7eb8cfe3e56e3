"""Flow: the sign convention, the noise levels' distribution, and Gaussian data in closed form.

For clean ~ N(m, S) and noise ~ N(0, 1) everything is jointly Gaussian, so the best prediction of
the velocity from the noisy latents is linear and known exactly.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from worldreel.diffusion import flow


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Clean latents and noise, in double precision."""
    generator = seeded(seed)
    clean = 2 + 0.5 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return clean, torch.randn(shape, generator=generator, dtype=torch.float64)


def test_the_sign_convention() -> None:
    """noisy = (1 - s) clean + s noise; velocity = noise - clean = d noisy / d s."""
    clean, noise = pair(2, 3, 2, 4, 4)
    for level in (0.0, 0.25, 0.7, 1.0):
        s = torch.tensor(level, dtype=torch.float64)
        noisy = flow.interpolate(clean, noise, s)
        torch.testing.assert_close(noisy, (1 - level) * clean + level * noise)
        later = flow.interpolate(clean, noise, s + 0.1)
        torch.testing.assert_close((later - noisy) / 0.1, flow.velocity(clean, noise))
    assert torch.equal(flow.interpolate(clean, noise, torch.tensor(0.0)), clean)  # known: untouched


def test_the_clean_latents_are_found_again_at_any_level_of_any_patch() -> None:
    clean, noise = pair(2, 3, 2, 4, 4)
    level = torch.rand(2, 1, 2, 4, 4, generator=seeded(1), dtype=torch.float64)
    noisy = flow.interpolate(clean, noise, level)
    torch.testing.assert_close(flow.clean_of(noisy, flow.velocity(clean, noise), level), clean)


def test_shifting_multiplies_the_ratio_of_noise_to_signal() -> None:
    """s / (1 - s) is multiplied by the amount: so shifts compose, and 1 / a undoes a."""
    s = torch.linspace(0, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(flow.shift(s, 1.0), s)
    for a in (0.4, 1.5, 3.0, 12.0):
        moved = flow.shift(s, a)
        assert moved[0] == 0 and float(moved[-1]) == pytest.approx(1)
        assert bool((moved.diff() > 0).all())
        inner, moved_inner = s[1:-1], moved[1:-1]
        torch.testing.assert_close(moved_inner / (1 - moved_inner), a * inner / (1 - inner))
        torch.testing.assert_close(flow.shift(moved, 1 / a), s)
        torch.testing.assert_close(flow.shift(moved, 2.0), flow.shift(s, 2 * a))


@pytest.mark.parametrize("amount", [0.5, 1.0, 3.0, 5.0])
def test_drawn_levels_follow_the_shifted_logit_normal(amount: float) -> None:
    """logit(level) ~ N(log amount, 1): the empirical distribution within Kolmogorov's bound."""
    count = 20_000
    drawn = flow.draw_levels((count,), amount=amount, generator=seeded(3)).double().sort().values
    assert bool(((drawn >= 0) & (drawn <= 1)).all())
    z = torch.logit(drawn) - math.log(amount)
    expected = 0.5 * (1 + torch.erf(z / math.sqrt(2)))
    above = torch.arange(1, count + 1, dtype=torch.float64) / count - expected
    gap = max(float(above.max()), float(1 / count - above.min()))
    assert gap < 1.95 / math.sqrt(count)  # exceeded by chance once in a thousand


def test_drawn_levels_have_the_shape_and_the_seed_asked_for() -> None:
    a, b = (flow.draw_levels((4, 7), generator=seeded(5)) for _ in range(2))
    assert a.shape == (4, 7) and torch.equal(a, b)
    assert not torch.equal(a, flow.draw_levels((4, 7), generator=seeded(6)))


def test_the_loss_is_a_weighted_mean() -> None:
    target = torch.zeros(1, 2, 1, 1, 3)
    predicted = torch.tensor([[1.0, 2.0, 9.0], [3.0, 0.0, 9.0]]).view(1, 2, 1, 1, 3)
    weight = torch.tensor([1.0, 3.0, 0.0]).view(1, 1, 1, 1, 3)
    # Positions: (1 + 9) / 2 = 5 with weight 1, (4 + 0) / 2 = 2 with weight 3, the last is known.
    assert float(flow.loss(predicted, target, weight)) == pytest.approx((5 + 3 * 2) / 4)
    assert float(flow.loss(predicted, target, 7 * weight)) == pytest.approx((5 + 3 * 2) / 4)


def test_equal_weights_give_the_mean_squared_error() -> None:
    clean, noise = pair(3, 4, 2, 4, 6)
    weight = torch.full((3, 1, 2, 4, 6), 0.3)
    expected = torch.nn.functional.mse_loss(clean.float(), noise.float())
    torch.testing.assert_close(flow.loss(clean, noise, weight), expected)


def test_known_patches_get_no_gradient() -> None:
    clean, noise = pair(2, 3, 2, 4, 4)
    predicted = clean.float().requires_grad_()
    weight = torch.ones(2, 1, 2, 4, 4)
    weight[:, :, 0] = 0
    flow.loss(predicted, noise, weight).backward()
    assert predicted.grad is not None
    assert bool((predicted.grad[:, :, 0] == 0).all())
    assert bool((predicted.grad[:, :, 1] != 0).all())


def test_a_clip_that_is_wholly_known_has_no_loss() -> None:
    clean, noise = pair(2, 3, 2, 4, 4)
    assert float(flow.loss(clean, noise, torch.zeros(2, 1, 2, 4, 4))) == 0


@pytest.mark.parametrize("level", [0.15, 0.5, 0.9])
def test_regressing_the_velocity_finds_the_closed_form(level: float) -> None:
    """E[velocity | noisy] = -m + (s - (1-s) S) ((1-s)² S + s²)⁻¹ (noisy - (1-s) m)."""
    mean = torch.tensor([1.0, -0.5], dtype=torch.float64)
    root = torch.tensor([[0.9, 0.0], [0.5, 0.4]], dtype=torch.float64)
    cover, eye = root @ root.T, torch.eye(2, dtype=torch.float64)
    draws = torch.randn(2, 200_000, 2, generator=seeded(8), dtype=torch.float64)
    clean, noise = mean + draws[0] @ root.T, draws[1]

    s = torch.tensor(level, dtype=torch.float64)
    noisy = flow.interpolate(clean, noise, s)
    design = torch.cat([noisy, torch.ones(len(noisy), 1, dtype=torch.float64)], 1)
    found = torch.linalg.lstsq(design, flow.velocity(clean, noise)).solution.T

    spread = (1 - s) ** 2 * cover + s**2 * eye
    slope = (s * eye - (1 - s) * cover) @ torch.linalg.inv(spread)
    offset = -mean - slope @ ((1 - s) * mean)
    torch.testing.assert_close(found, torch.cat([slope, offset[:, None]], 1), atol=0.03, rtol=0)
