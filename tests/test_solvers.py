"""Schedules and solvers: equal to diffusers' step by step, exact on flows whose solution is known,
and known latents stay as they are."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from worldreel.diffusion.known import Known
from worldreel.diffusion.solvers import (
    Schedule,
    Solver,
    euler,
    euler_schedule,
    fixed,
    unipc,
    unipc_schedule,
)

SHAPE = (2, 3, 2, 4, 6)
STEPS = (1, 2, 3, 4, 7, 20, 50)


def noise(seed: int = 0) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def bent(noisy: Tensor, level: Tensor) -> Tensor:
    """Some velocity that bends with place and level."""
    s = level.mean()
    return torch.tanh(1.3 * noisy + noisy.roll(1, -1) * s) - 0.4 * noisy * (1 - s)


def theirs(kind: str, shift: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diffusers = pytest.importorskip("diffusers")
    if kind == "euler":
        return diffusers.FlowMatchEulerDiscreteScheduler(shift=shift)
    return diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0, 12.0])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("kind", ["euler", "unipc"])
def test_every_step_is_theirs(kind: str, steps: int, shift: float) -> None:
    scheduler = theirs(kind, shift)
    scheduler.set_timesteps(steps)
    make, solver = (euler_schedule, euler) if kind == "euler" else (unipc_schedule, unipc)  # type: tuple[Any, Solver]
    schedule = make(steps, shift=shift)
    expected_levels = scheduler.sigmas.double()
    assert torch.tensor(schedule.levels).double() == pytest.approx(expected_levels, abs=1e-7)
    told = torch.tensor(schedule.told, dtype=torch.float64) * 1000
    assert told == pytest.approx(scheduler.timesteps.double(), abs=1e-4)
    latents = noise()
    known = Known.nothing(SHAPE)
    for step, time in zip(solver(bent, noise(), known, schedule), scheduler.timesteps, strict=True):
        velocity = bent(latents, torch.full((2, 1), float(time) / 1000))
        latents = scheduler.step(velocity, time, latents, return_dict=False)[0]
        error = (step.latents - latents).abs().max() / latents.abs().max()
        assert float(error) < 1e-4, (step.number, float(error))


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0, 7.0, 8.0])
def test_what_is_told_is_theirs_for_any_number_of_steps(shift: float) -> None:
    scheduler = theirs("unipc", shift)
    for steps in range(1, 101):
        scheduler.set_timesteps(steps)
        told = [round(1000 * s) for s in unipc_schedule(steps, shift=shift).told]
        assert told == scheduler.timesteps.tolist(), steps


def white(noisy: Tensor, level: Tensor) -> Tensor:
    """The velocity of white data: noisy latents keep their direction, their size is
    sqrt(s² + (1 − s)²)."""
    s = level.reshape(level.shape[0], 1, 2, 2, 3) if level.shape[1] > 1 else level[..., None, None]
    s = s.repeat_interleave(2, -1).repeat_interleave(2, -2) if s.ndim == 5 else s[..., None]
    return noisy * (2 * s - 1) / (s**2 + (1 - s) ** 2)


def size(s: Tensor | float) -> Tensor:
    s = torch.as_tensor(s)
    return (s**2 + (1 - s) ** 2).sqrt()


@pytest.mark.parametrize("start", [1.0, 0.6])
def test_unipc_is_of_second_order(start: float) -> None:
    """On white data the end is known; twice the steps, a quarter of the error or less."""
    known = Known(latents=noise(1).double(), start=torch.full((2, 1, *SHAPE[2:]), start).double())
    begun = known.begin(noise().double())
    truth = begun * size(0.0) / size(start)

    def error(steps: int, solver: Solver) -> float:
        schedule = fixed(torch.linspace(1, 0, steps + 1, dtype=torch.float64)[:-1].tolist())
        *_, last = solver(white, noise().double(), known, schedule)
        return float((last.latents - truth).abs().max())

    assert math.log2(error(20, unipc) / error(40, unipc)) > 1.7
    assert error(20, unipc) < 0.3 * error(20, euler)


def test_each_position_starts_at_its_own_level() -> None:
    """Without attention positions do not see each other: each comes out as in a clip that starts
    at its level throughout."""
    levels = torch.tensor([0.0, 0.3, 1.0])
    g = torch.Generator().manual_seed(5)
    which = torch.randint(3, (2, 1, 2, 2, 3), generator=g)
    which = which.repeat_interleave(2, -1).repeat_interleave(2, -2)
    given = noise(1)
    schedule = unipc_schedule(6, shift=3.0)
    *_, mixed = unipc(white, noise(), Known(latents=given, start=levels[which]), schedule)
    for i, level in enumerate(levels):
        same = Known(latents=given, start=torch.full_like(levels[which], float(level)))
        *_, alone = unipc(white, noise(), same, schedule)
        there = (which == i).expand(SHAPE)
        assert torch.allclose(mixed.latents[there], alone.latents[there], atol=1e-6)


@pytest.mark.parametrize("solver", [euler, unipc])
def test_known_latents_stay_bit_for_bit(solver: Solver) -> None:
    given, start = noise(1), torch.ones(2, 1, *SHAPE[2:])
    start[:, :, 0] = 0
    for step in solver(bent, noise(), Known(latents=given, start=start), unipc_schedule(5)):
        assert torch.equal(step.latents[:, :, 0], given[:, :, 0])
        assert torch.equal(step.clean[:, :, 0], given[:, :, 0])
        assert step.latents.isfinite().all()


@pytest.mark.parametrize("solver", [euler, unipc])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_straight_flow_is_solved_in_any_number_of_steps(solver: Solver, steps: int) -> None:
    clean, begun = noise(2), noise()

    def straight(noisy: Tensor, level: Tensor) -> Tensor:
        return begun - clean

    *_, last = solver(straight, begun, Known.nothing(SHAPE), fixed([1.0, 0.9, 0.5, 0.2][:steps]))
    assert torch.allclose(last.latents, clean, atol=1e-5)
    assert last.number == last.steps == steps and last.noise_level == 0


def test_levels_must_fall() -> None:
    with pytest.raises(AssertionError):
        Schedule(levels=(0.5, 0.6, 0.0), told=(0.5, 0.6))
    with pytest.raises(AssertionError):
        Schedule(levels=(0.5, 0.0), told=(0.5, 0.2))
