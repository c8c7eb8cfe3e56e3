"""Sampler against flows whose solution is known.

For clean ~ N(m, diag(d²)) the probability flow is x(s) = (1-s) m + x(1) sqrt((1-s)² d² + s²),
so noise z must end at m + d z: a truth for every single sample, not just for their statistics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from worldreel.diffusion import flow
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Step, Velocity, guided, sample, schedule


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Data whose channels are independent Gaussians; its best velocity and its exact solution."""

    mean: Tensor
    deviation: Tensor

    def __call__(self, noisy: Tensor, noise_level: Tensor) -> Tensor:
        s = float(noise_level.flatten()[0])
        slope = (s - (1 - s) * self.deviation**2) / ((1 - s) ** 2 * self.deviation**2 + s**2)
        return -self.mean + slope * (noisy - (1 - s) * self.mean)

    def solution(self, noise: Tensor) -> Tensor:
        return self.mean + self.deviation * noise


def gaussian() -> Gaussian:
    mean = torch.tensor([1.5, -0.7, 0.2], dtype=torch.float64).view(1, 3, 1, 1, 1)
    deviation = torch.tensor([0.3, 0.8, 1.7], dtype=torch.float64).view(1, 3, 1, 1, 1)
    return Gaussian(mean=mean, deviation=deviation)


def noise_like(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def run(velocity: Velocity, noise: Tensor, levels: list[float]) -> list[Step]:
    return list(sample(velocity, noise, Known.nothing(tuple(noise.shape)), levels))


def euler(velocity: Velocity, noise: Tensor, levels: list[float]) -> Tensor:
    """The first-order method, for comparison."""
    x = noise
    for here, there in pairwise(levels):
        x = x + (there - here) * velocity(x, torch.full((1, 1), here, dtype=torch.float64))
    return x


def error(found: Tensor, truth: Tensor) -> float:
    return float((found - truth).square().mean().sqrt())


@pytest.mark.parametrize("steps", [1, 2, 12, 50])
@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
def test_the_schedule_falls_from_one_to_zero(steps: int, shift: float) -> None:
    levels = schedule(steps, shift=shift)
    assert len(levels) == steps + 1
    assert levels[0] == pytest.approx(1, abs=1e-12) and levels[-1] == 0
    assert all(a > b for a, b in pairwise(levels))
    expected = [flow.shift(torch.tensor(1 - i / steps), shift) for i in range(steps + 1)]
    assert levels == pytest.approx([float(x) for x in expected], abs=1e-6)


def test_samples_have_the_mean_and_the_covariance_of_the_data() -> None:
    data = gaussian()
    noise = noise_like(40, 3, 2, 16, 16, seed=1)
    found = run(data, noise, schedule(60))[-1].latents
    torch.testing.assert_close(found, data.solution(noise), atol=5e-3, rtol=0)
    values = found.transpose(0, 1).flatten(1)
    spread = 4 / math.sqrt(values.shape[1])  # four standard errors of a unit Gaussian's mean
    deviation = data.deviation.flatten()
    assert bool(((values.mean(1) - data.mean.flatten()).abs() < spread * deviation).all())
    allowed = 0.01 + 2 * spread * torch.outer(deviation, deviation)
    assert bool(((torch.cov(values) - torch.diag(deviation**2)).abs() < allowed).all())


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_twice_the_steps_quarter_the_error(shift: float) -> None:
    """Second order, on even and on uneven steps; Euler's method only halves the error."""
    data, noise = gaussian(), noise_like(1, 3, 1, 16, 16)
    truth = data.solution(noise)
    counts = (32, 64, 128, 256)
    errors = [error(run(data, noise, schedule(n, shift=shift))[-1].latents, truth) for n in counts]
    ratios = [a / b for a, b in pairwise(errors)]
    assert ratios[-1] == pytest.approx(4, rel=0.12), ratios
    plain = [error(euler(data, noise, schedule(n, shift=shift)), truth) for n in counts]
    assert plain[-2] / plain[-1] == pytest.approx(2, rel=0.12), plain
    assert all(a < b / 2 for a, b in zip(errors, plain, strict=True))


def test_the_first_step_is_eulers_and_the_rest_are_exact_on_a_line() -> None:
    """With velocity a + b s only the first step errs, by b h² / 2, whatever follows."""
    noise, (a, b) = noise_like(1, 2, 1, 2, 2), (0.7, -2.0)
    levels = [1.0, 0.9, 0.75, 0.3, 0.2, 0.0]

    def line(noisy: Tensor, noise_level: Tensor) -> Tensor:
        return (a + b * noise_level.double().view(-1, 1, 1, 1, 1)).expand_as(noisy)

    found = run(line, noise, levels)
    torch.testing.assert_close(found[0].latents, noise - 0.1 * (a + b))
    truth = noise - (a + b / 2)  # the integral from 1 down to 0
    expected = truth - b * 0.1**2 / 2
    torch.testing.assert_close(found[-1].latents, expected, atol=1e-7, rtol=0)


def test_one_point_is_reached_in_any_number_of_steps_and_foreseen_at_each() -> None:
    """Data at a single point: straight lines, so even one step is exact."""
    point, noise = noise_like(1, 4, 2, 4, 4, seed=5), noise_like(2, 4, 2, 4, 4)

    def velocity(noisy: Tensor, noise_level: Tensor) -> Tensor:
        return (noisy - point) / noise_level.double().view(-1, 1, 1, 1, 1)

    for steps in (1, 2, 7):
        for step in run(velocity, noise, schedule(steps, shift=2.0)):
            torch.testing.assert_close(step.clean, point.expand_as(noise), atol=1e-5, rtol=0)
        torch.testing.assert_close(step.latents, point.expand_as(noise), atol=1e-5, rtol=0)


def test_steps_count_and_say_where_they_are() -> None:
    levels = schedule(5, shift=3.0)
    steps = run(gaussian(), noise_like(1, 3, 1, 2, 2), levels)
    assert [s.number for s in steps] == [1, 2, 3, 4, 5] and {s.steps for s in steps} == {5}
    assert [s.noise_level for s in steps] == levels[1:]


def test_nothing_runs_until_asked_and_nothing_after_stopping() -> None:
    calls: list[float] = []

    def velocity(noisy: Tensor, noise_level: Tensor) -> Tensor:
        calls.append(float(noise_level[0, 0]))
        return noisy

    noise = noise_like(1, 2, 1, 2, 2)
    steps = sample(velocity, noise, Known.nothing(tuple(noise.shape)), schedule(4))
    assert calls == []
    next(steps)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert calls == [1.0, 0.75]  # one network call a step


def test_the_noise_is_left_as_it_was_and_the_result_repeats() -> None:
    noise = noise_like(1, 3, 1, 4, 4)
    before = noise.clone()
    first, second = (run(gaussian(), noise, schedule(6))[-1].latents for _ in range(2))
    assert torch.equal(first, second) and torch.equal(noise, before)


@pytest.mark.parametrize("guidance", [-0.5, 0.0, 0.5, 1.0, 4.0])
def test_guidance_is_a_line_through_both_velocities(guidance: float) -> None:
    x, level = noise_like(2, 3, 1, 2, 2), torch.full((2, 1), 0.4)
    with_text = torch.sin(x)
    without = x**2
    velocity = guided(lambda noisy, _: torch.sin(noisy), lambda noisy, _: noisy**2, guidance)
    torch.testing.assert_close(velocity(x, level), (1 - guidance) * without + guidance * with_text)


def test_guidance_one_never_asks_without_the_text() -> None:
    def never(noisy: Tensor, noise_level: Tensor) -> Tensor:
        raise AssertionError("the unconditional velocity is not needed")

    x = noise_like(1, 2, 1, 2, 2)
    assert torch.equal(guided(lambda noisy, _: 2 * noisy, never, 1.0)(x, torch.ones(1, 1)), 2 * x)


def test_guidance_of_equal_velocities_changes_nothing() -> None:
    data, noise = gaussian(), noise_like(1, 3, 1, 4, 4)
    plain = run(data, noise, schedule(8))[-1].latents
    both = run(guided(data, data, 6.0), noise, schedule(8))[-1].latents
    torch.testing.assert_close(both, plain)
