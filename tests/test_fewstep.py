"""Few-step weights and levels a frame: equal to the formulas of those who trained them, written
down again here in their own terms; known latents stay as they are; and which weights are which."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from worldreel.diffusion import fewsteps
from worldreel.diffusion.fewsteps import (
    dmd_schedule,
    few_steps,
    one_level,
    rcm_schedule,
    self_forcing_schedule,
)
from worldreel.diffusion.forcing import diffusion_forcing, wave
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Velocity
from worldreel.diffusion.solvers import Schedule, fixed, unipc, unipc_schedule
from worldreel.errors import RequestError
from worldreel.models.wan.kinds import Kind, few_schedule, kind_of, level_a_patch, rate_number
from worldreel.transformer.config import TransformerConfig

SHAPE = (1, 3, 4, 4, 6)


def random(seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def source(seed: int = 9) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bent(noisy: Tensor, level: Tensor) -> Tensor:
    """Some velocity that bends with place and level, alike for every patch."""
    s = level.double().mean().to(noisy.dtype)
    return torch.tanh(1.3 * noisy + noisy.roll(1, -1) * s) - 0.4 * noisy * (1 - s)


def last(steps: Any) -> Tensor:
    *_, step = steps
    found: Tensor = step.latents
    return found


def known_first(frames: int) -> Known:
    """The first frames are given, the rest is not."""
    known = Known.nothing(SHAPE)
    known.start[:, :, :frames] = 0
    return Known(latents=random(5), start=known.start)


# ---- lists of levels


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_dmd_is_fastvideos(steps: int) -> None:
    """Thousandths are told; the level is the nearest of a shifted grid of a thousand."""
    told = [1000, 757, 522][:steps]
    grid = [8 * s / (1 + 7 * s) for s in (k / 1000 for k in range(1000, 0, -1))]
    draw, x = source(), random(0)
    for i, thousandths in enumerate(told):
        sigma = min(grid, key=lambda s, t=thousandths: abs(1000 * s - t))  # type: ignore[misc]
        assert abs(sigma - thousandths / 1000) < 1e-3
        clean = x - sigma * bent(x, torch.full((1, 1), thousandths / 1000))
        x = clean
        if i + 1 < len(told):
            following = min(grid, key=lambda s, t=told[i + 1]: abs(1000 * s - t))  # type: ignore[misc]
            x = (1 - following) * clean + following * torch.randn(SHAPE, generator=draw)
    ours = few_steps(bent, random(0), Known.nothing(SHAPE), dmd_schedule(steps), generator=source())
    assert torch.allclose(last(ours), x, atol=1e-5)


def test_self_forcings_levels_are_those_of_its_scheduler() -> None:
    sigmas = torch.linspace(1.0, 0.0, 1001)[:-1]
    timesteps = 1000 * 5 * sigmas / (1 + 4 * sigmas)
    expected = timesteps[1000 - torch.tensor([1000, 750, 500, 250])] / 1000
    found = self_forcing_schedule()
    assert found.told == pytest.approx(expected.tolist(), abs=1e-6)
    assert found.levels == pytest.approx([*expected.tolist(), 0.0], abs=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
@pytest.mark.parametrize("largest", [80.0, 200.0])
def test_rcm_is_trigflow(steps: int, largest: float) -> None:
    """In its own terms: x = cos(a)·clean + sin(a)·noise, and the network wrapped by c_skip, c_out,
    c_in and c_noise."""
    angles = [*[math.atan(largest), 1.5, 1.4, 1.0][:steps], 0.0]
    draw = source()
    x = math.sin(angles[0]) * random(0).double()
    for angle, following in pairwise(angles):
        total = math.cos(angle) + math.sin(angle)
        c_skip, c_out, c_in = 1 / total, -math.sin(angle) / total, 1 / total
        c_noise = torch.tensor(1000 * math.sin(angle) / total).bfloat16().double() / 1000
        clean = c_skip * x + c_out * bent(c_in * x, c_noise.reshape(1, 1))
        x = clean
        if following:
            fresh = torch.randn(SHAPE, generator=draw)
            x = math.cos(following) * clean + math.sin(following) * fresh
    schedule = rcm_schedule(steps, largest=largest)
    ours = few_steps(bent, random(0), Known.nothing(SHAPE), schedule, generator=source())
    assert torch.allclose(last(ours).double(), x, atol=1e-5)


@pytest.mark.parametrize(("kind", "most"), [(Kind.DMD, 3), (Kind.SELF_FORCING, 4), (Kind.RCM, 4)])
def test_more_steps_than_were_trained_are_refused(kind: Kind, most: int) -> None:
    assert few_schedule(kind, most).steps == most
    for steps in (0, most + 1, 50):
        with pytest.raises(RequestError, match=f"1 to {most}; the nearest is"):
            few_schedule(kind, steps)


@pytest.mark.parametrize("schedule", [dmd_schedule(), rcm_schedule(), self_forcing_schedule()])
def test_what_is_known_stays(schedule: Schedule) -> None:
    known = known_first(2)
    for step in few_steps(bent, random(0), known, schedule):
        assert torch.equal(step.latents[:, :, :2], known.latents[:, :, :2])
        assert torch.equal(step.clean[:, :, :2], known.latents[:, :, :2])
        assert not torch.equal(step.latents[:, :, 2:], known.latents[:, :, 2:])


@pytest.mark.parametrize("schedule", [dmd_schedule(), rcm_schedule(), self_forcing_schedule()])
def test_where_all_clips_are_one_that_clip_is_found(schedule: Schedule) -> None:
    """Also from a picture that is to be changed, whose levels start in between; what stands where
    nothing is known plays no part."""
    clip = random(3)
    known = Known(latents=torch.full(SHAPE, 1e9), start=torch.ones(1, 1, *SHAPE[2:]))
    known.start[:, :, 1] = 0.5
    known.latents[:, :, 1] = clip[:, :, 1]

    def straight(noisy: Tensor, level: Tensor) -> Tensor:
        told = min(schedule.told, key=lambda one: abs(one - float(level.max())))
        exact = level * schedule.levels[schedule.told.index(told)] / told
        each = exact.reshape(1, 1, 4, 2, 3).repeat_interleave(2, 3).repeat_interleave(2, 4)
        return (noisy - clip) / each

    assert torch.allclose(last(few_steps(straight, random(0), known, schedule)), clip, atol=1e-4)


def test_the_same_noise_gives_the_same_clip() -> None:
    def made(seed: int) -> Tensor:
        return last(few_steps(bent, random(seed), Known.nothing(SHAPE), dmd_schedule()))

    assert torch.equal(made(0), made(0))
    first, second = (fewsteps.fresh(random(s), fewsteps.seeded(random(s))) for s in (0, 1))
    assert float((first * second).mean().abs()) < 0.3 * float(first.square().mean())


# ---- one level where a network takes no other


def test_a_network_that_takes_one_level_sees_everything_at_it() -> None:
    """Positions below it are noised up to exactly it; what comes back points from where they are
    to what the network expects."""
    shape = (1, 4, 3, 40, 60)
    clip, noise = random(1, shape), random(2, shape)
    start = torch.ones(1, 1, *shape[2:])
    start[:, :, 0], start[:, :, 1] = 0.0, 0.5
    known, top = Known(latents=clip, start=start), 0.8
    seen: list[Tensor] = []

    def network(noisy: Tensor, level: Tensor) -> Tensor:
        assert level.shape == (1, 1)
        assert float(level) == pytest.approx(top)
        seen.append(noisy)
        return (noisy - clip) / top

    noisy = (1 - top * start) * clip + top * start * noise
    velocity = one_level(network, known, source())(noisy, known.levels(top, (1, 2, 2)))
    for frame, level in enumerate((0.0, 0.4, 0.8)):
        added = (seen[0] - (1 - top) * clip)[:, :, frame] / top
        assert float(added.std()) == pytest.approx(1, abs=0.02)
        assert float(added.mean()) == pytest.approx(0, abs=0.03)
        expected = (noise - clip)[:, :, frame] if level else torch.zeros(())
        assert torch.allclose(velocity[:, :, frame], expected, atol=1e-4)
    assert torch.equal(seen[0][:, :, 2], noisy[:, :, 2])


def test_what_is_known_stays_at_one_level_too() -> None:
    known = known_first(1)
    velocity = one_level(bent, known, source())
    found = last(few_steps(velocity, random(0), known, self_forcing_schedule()))
    assert torch.equal(found[:, :, :1], known.latents[:, :, :1])
    assert found.isfinite().all()


# ---- levels a frame


def diffusers() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pytest.importorskip("diffusers")
        assert found.SkyReelsV2DiffusionForcingPipeline
    return found


CASES = [(5, 1, 0, 0), (6, 1, 0, 2), (6, 2, 3, 0), (6, 2, 3, 2), (8, 2, 5, 4), (9, 3, 1, 3)]
"""Latent frames, frames a block, lag, known frames."""


@pytest.mark.parametrize("steps", [1, 4, 7])
@pytest.mark.parametrize(("frames", "block", "lag", "ready"), CASES)
def test_the_wave_is_theirs(frames: int, block: int, lag: int, ready: int, steps: int) -> None:
    theirs = diffusers().SkyReelsV2DiffusionForcingPipeline
    template = torch.arange(steps, 0, -1)
    _, index, mask, _ = theirs.generate_timestep_matrix(
        None, frames, template, frames, lag, ready, block
    )
    rows = wave([i < ready // block for i in range(frames // block)], steps, lag)
    assert index[:, ::block].tolist() == [list(row) for row in rows]
    before = [0] * (frames // block)
    for row, moves in zip(rows, mask[:, ::block].tolist(), strict=True):
        moving = [p != b and 1 <= p <= steps for p, b in zip(row, before, strict=True)]
        assert moving == moves
        before = list(row)


def theirs_with_levels_a_frame(
    velocity: Velocity, noise: Tensor, known: Known, ready: int, steps: int, lag: int, block: int,
    haze: float, draw: torch.Generator,
) -> Tensor:  # fmt: skip
    """Their pipeline's loop: a scheduler of its own for every frame.

    But for one thing: theirs hands the scheduler a view of the latents that it then writes to, so
    that the second step is corrected from where the first ended instead of where it began.
    """
    library = diffusers()

    def scheduler() -> Any:
        made = library.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0
        )
        made.set_timesteps(steps)
        return made

    latents, frames = noise.clone(), noise.shape[2]
    latents[:, :, :ready] = known.latents[:, :, :ready]
    schedulers = [scheduler() for _ in range(frames)]
    matrix, _, mask, _ = library.SkyReelsV2DiffusionForcingPipeline.generate_timestep_matrix(
        None, frames, scheduler().timesteps, frames, lag, ready, block
    )
    for times, moves in zip(matrix, mask, strict=True):
        shown, told = latents.clone(), times.float()[None] / 1000
        if haze and ready:
            fresh = torch.randn(shown.shape, generator=draw)
            shown[:, :, :ready] = ((1 - haze) * shown + haze * fresh)[:, :, :ready]
            told[:, :ready] = haze
        area = noise.shape[3] * noise.shape[4] // 4
        slope = velocity(shown, told.repeat_interleave(area, 1))
        for frame in range(frames):
            if moves[frame]:
                here = latents[:, :, frame].clone()
                latents[:, :, frame] = schedulers[frame].step(
                    slope[:, :, frame], times[frame], here, return_dict=False
                )[0]
    return latents


def each(noisy: Tensor, level: Tensor) -> Tensor:
    """A velocity that depends on every frame's own level, and on its neighbours."""
    b, _, t, h, w = noisy.shape
    level = level.expand(b, t * h * w // 4).reshape(b, 1, t, h // 2, w // 2)
    s = level.repeat_interleave(2, 3).repeat_interleave(2, 4).to(noisy.dtype)
    return torch.tanh(noisy + 0.5 * noisy.roll(1, 2) * s) - 0.3 * noisy * (1 - s)


@pytest.mark.parametrize("haze", [0.0, 0.02])
@pytest.mark.parametrize(("frames", "block", "lag", "ready"), CASES)
def test_levels_a_frame_are_theirs(
    frames: int, block: int, lag: int, ready: int, haze: float
) -> None:
    steps, shape = 6, (1, 3, frames, 4, 4)
    noise, known = random(0, shape), Known.nothing(shape)
    known.start[:, :, :ready] = 0
    known = Known(latents=random(5, shape), start=known.start)
    expected = theirs_with_levels_a_frame(
        each, noise, known, ready, steps, lag, block, haze, source()
    )
    steps_of = diffusion_forcing(
        each, noise, known, unipc_schedule(steps, shift=8.0), lag=lag, block=block, haze=haze,
        generator=source(),
    )  # fmt: skip
    for step in steps_of:
        assert torch.equal(step.latents[:, :, :ready], known.latents[:, :, :ready])
    assert step.number == step.steps
    assert step.noise_level == 0
    assert torch.allclose(step.latents, expected, atol=2e-4)


def test_without_lag_it_is_the_plain_solver() -> None:
    """For a clip in which parts of a frame are known, too, and others are to be changed."""
    start = torch.ones(1, 1, *SHAPE[2:])
    start[..., :2, :2], start[:, :, 3] = 0.0, 0.6
    known, schedule = Known(latents=random(5), start=start), unipc_schedule(5, shift=8.0)
    plain = last(unipc(each, random(0), known, schedule))
    assert torch.equal(last(diffusion_forcing(each, random(0), known, schedule)), plain)


def test_what_is_known_in_the_middle_and_at_the_end_stays() -> None:
    start = torch.ones(1, 1, *SHAPE[2:])
    start[:, :, 1], start[:, :, 3] = 0, 0
    known = Known(latents=random(5), start=start)
    told: list[list[float]] = []

    def velocity(noisy: Tensor, level: Tensor) -> Tensor:
        told.append(level[0, ::6].tolist())
        return each(noisy, level)

    found = last(diffusion_forcing(velocity, random(0), known, fixed([1.0, 0.5]), lag=1))
    assert all(row[1] == row[3] == 0 for row in told)
    assert [row[0] for row in told] == [1.0, 0.5]
    assert torch.equal(found[:, :, 1::2], known.latents[:, :, 1::2])
    everything = Known(latents=random(5), start=torch.zeros(1, 1, *SHAPE[2:]))
    assert torch.equal(
        last(diffusion_forcing(each, random(0), everything, fixed([1.0]))), everything.latents
    )


# ---- which weights are which


@pytest.mark.parametrize(
    ("kind", "names", "config", "found", "index"),
    [
        (Kind.T2V, "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", {}, {}, {"_class_name": "WanPipeline"}),
        (Kind.T2V, "Wan-AI/Wan2.1-T2V-14B", {}, {"model_type": "t2v"}, {}),
        (Kind.I2V, "Wan-AI/Wan2.2-I2V-A14B", {"beside": 20}, {"model_type": "i2v"}, {}),
        (Kind.I2V, "my folder", {"beside": 20, "image_width": 1280}, {}, {}),
        (Kind.FLF2V, "x", {"beside": 20, "image_width": 1280, "image_places": 514}, {}, {}),
        (Kind.FLF2V, "x", {"beside": 20, "image_width": 1280}, {"model_type": "flf2v"}, {}),
        (Kind.TI2V, "Wan-AI/Wan2.2-TI2V-5B", {"channels": 48}, {"model_type": "ti2v"}, {}),
        (Kind.TI2V, "tiny", {}, {}, {"expand_timesteps": True}),
        (Kind.DF, "renamed", {"rates": 2}, {}, {}),
        (Kind.DF, "Skywork/SkyReels-V2-DF-14B-540P", {}, {"model_type": "t2v"}, {}),
        (Kind.DF, "x", {}, {}, {"_class_name": "SkyReelsV2DiffusionForcingPipeline"}),
        (Kind.T2V, "Skywork/SkyReels-V2-T2V-14B-540P", {}, {}, {}),
        (Kind.DMD, "FastVideo/FastWan2.2-TI2V-5B-FullAttn-Diffusers", {"channels": 48}, {}, {}),
        (Kind.DMD, "x", {}, {}, {"_class_name": "WanDMDPipeline"}),
        (Kind.SELF_FORCING, "gdhe17/Self-Forcing/self_forcing_dmd.pt", {}, {}, {}),
        (Kind.SELF_FORCING, "x", {}, {}, {"_class_name": "WanCausalDMDPipeline"}),
        (Kind.RCM, "rCM_Wan2.1_T2V_1.3B_480p", {}, {}, {}),
        (Kind.RCM, "worstcoder/rcm-Wan", {}, {}, {}),
    ],
)
def test_kinds(
    kind: Kind, names: str, config: dict[str, Any], found: dict[str, Any], index: dict[str, Any]
) -> None:
    made = TransformerConfig(**config)
    assert kind_of(made, found, names=names, index=index) is kind
    expected = kind in (Kind.TI2V, Kind.DF) or "FastWan2.2-TI2V" in names
    assert level_a_patch(kind, made) is expected


def test_frame_rates_have_numbers() -> None:
    assert [rate_number(fps) for fps in (16, 16.0, 24, 12)] == [0, 0, 1, 1]
