"""The model in the package: it loads, it ships small, it shows what was asked, it is repeatable."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import worldreel
from worldreel.evaluate.judge import Judges, view
from worldreel.generator import Generator
from worldreel.models.embedded import ASSETS, EMBEDDED
from worldreel.recipe import Recipe, extract
from worldreel.request import Request
from worldreel.video import Video

PLACES = ("under water", "desert", "space", "meadow", "snowy mountains", "beach")


@pytest.fixture(scope="module")
def generator() -> Generator:
    return worldreel.load()


def test_shipped_weights_stay_small() -> None:
    size = sum(path.stat().st_size for path in (ASSETS / EMBEDDED).iterdir())
    assert size < 45e6


def test_it_shows_the_place_that_was_asked_for(generator: Generator) -> None:
    """The judge names the place of a still; by chance one in eight would be right."""
    judges, right = Judges.load(), 0
    prompts = {
        "under water": "a fish swims under water",
        "desert": "a ball in the desert",
        "space": "a rocket flies in space",
        "meadow": "a horse in a meadow by day",
        "snowy mountains": "a penguin in the snowy mountains",
        "beach": "a car on the beach",
    }
    for seed, name in enumerate(PLACES):
        still = generator.generate(
            Request(prompt=prompts[name], seed=seed, seconds=0.01, steps=8)
        ).frames
        clip = still.expand(25, -1, -1, -1)
        right += judges.judge(view(clip))[0].place == name
    assert right >= 4, f"{right} of {len(PLACES)}"


def test_rerun_gives_equal_frames(generator: Generator, tmp_path: Path) -> None:
    video = generator.generate(Request(prompt="a red car", seed=3, seconds=0.5, steps=2))
    path = video.save(tmp_path / "car.mp4")
    recipe = Recipe.from_dict(extract(path))
    assert recipe.weights_sha256 == generator.model.sha256
    again = generator.generate(recipe.request())
    assert torch.equal(again.frames, video.frames)
    assert len(Video.open(path)) == len(video) == 6
