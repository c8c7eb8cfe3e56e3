"""Pictures from elsewhere are held: what lies between them starts from them, not from noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_generator import write_model
from test_tasks import SETTINGS, clip, latents

from worldreel import tasks
from worldreel.canvas import lay_out
from worldreel.generator import Generator
from worldreel.holding import HELD, between, held, surprise
from worldreel.request import KnownClip


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    path: Path = tmp_path_factory.mktemp("model")
    write_model(path)
    return Generator.load(str(path))


def test_between_two_sides_is_a_mixture_by_distance() -> None:
    left, right = torch.zeros(1, 2, 1, 2, 2), torch.ones(1, 2, 1, 2, 2)
    sides = [(2, left), (6, right)]
    assert [float(between(sides, i).mean()) for i in (0, 1, 3, 4, 5, 7)] == [
        0,
        0,
        0.25,
        0.5,
        0.75,
        1,
    ]


def test_surprise_is_that_of_the_network_on_noised_latents(generator: Generator) -> None:
    """A network that says zero guesses the noisy latents themselves: s²·(1 + |x|²) on average."""
    model = generator.model
    blank = replace(model, transformer=_silent(model.transformer))
    frames = clip(6).frames
    pixels = frames.permute(0, 3, 1, 2)[:, :, None].float() / 127.5 - 1
    size = model.codec.encode(pixels)[0].square().mean((1, 2, 3, 4))
    expected = 0.25 * (1 + size)
    assert torch.allclose(surprise(blank, frames), expected, rtol=0.35)


def _silent(transformer: torch.nn.Module) -> torch.nn.Module:
    class Silent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config, self.somewhere = transformer.config, torch.nn.Parameter(torch.zeros(1))

        def forward(self, noisy: torch.Tensor, *rest: object, **named: object) -> torch.Tensor:
            return torch.zeros_like(noisy)

    return Silent()


def test_only_pictures_from_elsewhere_are_held_and_only_above_the_bound(
    generator: Generator,
) -> None:
    model = generator.model
    found = float(surprise(model, clip(8).frames[[0, 4, -1]]).mean())
    for bound, foreign, steady, expected in (
        (found * 0.9, True, None, True),
        (found * 1.1, True, None, False),
        (found * 0.9, False, None, False),
        (found * 0.9, True, False, False),
        (None, False, True, True),
        (None, True, None, False),
    ):
        known = KnownClip(clip=clip(8), foreign=foreign)
        request = tasks.extend(known, seconds=0.5, steady=steady)
        settings = replace(model.settings, familiar=bound)
        canvas = lay_out(replace(model, settings=settings), request, (64, 64), request.seconds or 0)
        assert canvas.held is expected
        assert bool((canvas.start == 1).any()) is not expected


def test_a_held_picture_stays(generator: Generator) -> None:
    known = KnownClip(clip=clip(1), foreign=True)
    request = tasks.animate([known], "x", seconds=1.0, steady=True, **SETTINGS)
    made = latents(generator.generate(request)).float()
    still = held(generator.model, clip(1).frames[0])
    free = latents(generator.generate(replace(request, steady=False))).float()
    away = [float((x[:, :, 1:] - still).abs().mean()) for x in (made, free)]
    assert away[0] < 2 * HELD * away[1]
