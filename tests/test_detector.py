"""The detector's numbers against pictures whose waves, steps and changes are known, and its fitting
against clips that can be told apart by construction."""

from __future__ import annotations

import math
from importlib.resources import files

import numpy as np
import pytest
import torch
from test_watermark import picture
from torch import Tensor

from worldreel.provenance import detector
from worldreel.provenance.detector import Head, head, likeness, measured, windows
from worldreel.video import Video

WAVES, GRID, CHANGES = 0, 63 + 10 + 5, 63 + 10 + 5 + 32
"""Where the numbers of each kind begin."""


def levels(plane: Tensor) -> Tensor:
    """Grey frames `[n, 3, h, w]` of planes `[n, h, w]`."""
    return plane[:, None].expand(-1, 3, -1, -1).float()


def test_a_wave_shows_in_its_own_number() -> None:
    x = (torch.arange(128) % 8 + 0.5) / 8
    for down, across in ((0, 3), (5, 0), (2, 2)):
        wave = torch.outer(torch.cos(math.pi * down * x), torch.cos(math.pi * across * x))
        numbers = measured(levels((128 + 60 * wave)[None]))
        assert int(numbers[WAVES : WAVES + 63].argmax()) == 8 * down + across - 1


def test_steps_at_every_sixteenth_column_show_at_their_place() -> None:
    steps = (torch.arange(128) // 16 * 12.0).expand(1, 128, -1)
    numbers = measured(levels(steps + torch.rand(1, 128, 128, generator=torch.manual_seed(0))))
    across, down = numbers[GRID : GRID + 16], numbers[GRID + 16 : GRID + 32]
    assert across.argmax() == 0 and across[0] > 2
    assert np.abs(down).max() < 0.3


def test_changes_at_every_fourth_frame_show_in_their_phase() -> None:
    held = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3])  # changes into frames 3, 7, 11
    frames = (60 + 40 * held)[:, None, None] + 30 * torch.rand(1, 128, 128)
    phases = measured(levels(frames))[CHANGES + 10 : CHANGES + 14]
    assert phases.argmax() == 2 and phases[2] > 1
    assert not measured(levels(frames[:1]))[CHANGES : CHANGES + 15].any()


def test_windows_are_of_native_size_and_show_something() -> None:
    for size, native in (((256, 256), (128, 128)), ((270, 480), (96, 160)), ((60, 30), (160, 96))):
        made = windows(picture(*size, frames=30))
        assert [tuple(w.shape) for w in made] == [(13, 3, *native)] * 3
    assert windows(torch.full((20, 96, 96, 3), 9, dtype=torch.uint8)) == []
    still = windows(picture(128, 128, frames=1))
    assert len(still) == 1 and measured(still[0]).shape == measured(made[0]).shape


def test_odds_are_sums_over_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    x, z, w = rng.normal(size=(4, 6)), rng.normal(size=(5, 6)), rng.normal(size=5)
    x[0] = 100  # held at 6
    values = {"mean": np.ones(6), "deviation": np.full(6, 2.0), "points": z, "weights": w}
    odds = Head(values | {"width": 0.1, "scale": 3.0, "offset": 0.5}).odds(x)
    for row, told in zip(x, odds, strict=True):
        y = [min(6.0, (v - 1) / 2) for v in row]
        near = [
            math.exp(-0.1 * sum((a - b) ** 2 for a, b in zip(y, one, strict=True))) for one in z
        ]
        assert told == pytest.approx(3 * (sum(n * v for n, v in zip(near, w, strict=True)) - 0.5))


def test_what_ships_is_small_and_fits_the_numbers() -> None:
    file = files("worldreel.provenance") / "data" / "detector.npz"
    assert len(file.read_bytes()) < 1_000_000
    assert head().values["mean"].shape == measured(windows(picture(128, 128))[0]).shape
    score = likeness(Video(picture(90, 120, frames=40), fps=24.0))
    assert score is not None and 0 <= score <= 1
    assert likeness(Video(torch.zeros(3, 64, 64, 3, dtype=torch.uint8), fps=12.0)) is None


def test_of_long_videos_three_windows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(detector, "head", lambda: Counting(looked))
    frames = torch.zeros(200, 64, 64, 3, dtype=torch.uint8)
    assert likeness(Video(frames, fps=12.0)) == 0.5
    assert looked == [13, 13, 13]


class Counting:
    def __init__(self, looked: list[int]) -> None:
        self.looked = looked

    def score(self, frames: Tensor) -> float:
        self.looked.append(len(frames))
        return 0.5


def test_fitting_finds_what_was_put_in_and_keeps_to_its_false_alarms() -> None:
    from worldreel.train.detector import Table, fit, part_of, told

    rng = np.random.default_rng(0)
    count = 900
    ours = rng.random(count) < 0.3
    numbers = rng.normal(size=(count, 8))
    numbers[ours, :3] += 3
    source = np.array([f"s{i // 3}" for i in range(count)])
    table = Table(
        numbers=numbers,
        kind=np.where(ours, "ours", "real"),
        source=source,
        variant=np.full(count, "clean"),
        part=np.array([part_of(one) for one in source]),
    )
    odds = fit(table).odds(numbers)
    test = table.part == "test"
    assert (odds[test & ours] > 0).mean() > 0.9
    assert (odds[test & ~ours] > 0).mean() < 0.05
    clean = told(table, odds, "test")["clean"]
    assert isinstance(clean, dict)
    assert clean["found"][0] == round(100 * float((odds[test & ours] > 0).mean()), 1)
    assert clean["found"][1] <= clean["found"][0] <= clean["found"][2]


def test_a_source_is_always_in_the_same_part() -> None:
    from worldreel.train.detector import part_of

    parts = [part_of(f"source {i}") for i in range(600)]
    assert 340 < parts.count("train") < 440 and set(parts) == {"train", "test"}
    assert part_of("source 7") == parts[7]
    assert part_of("gpl-7.png", ("gpl",)) == "test"


@pytest.mark.slow
def test_our_videos_are_told_from_renders_of_the_world() -> None:
    from worldreel.generator import Generator
    from worldreel.request import Request
    from worldreel.train.detector import renders

    generator = Generator.load()
    prompts = ("a red car on a beach", "a penguin in the snow at night", "a bus in a neon street")
    scores = [
        likeness(generator.generate(Request(prompt=p, seed=90 + i, seconds=1.08, steps=8)))
        for i, p in enumerate(prompts * 2)
    ]
    assert sum(s is not None and s >= detector.LIKELY for s in scores) >= 5
    drawn = [likeness(Video(clip.frames, fps=12.0)) for clip in renders(0, 12)]
    assert sum(s is not None and s >= detector.LIKELY for s in drawn) <= 1
