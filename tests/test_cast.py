"""Characters: known before the video, never in it, and told by the recipe; on a small network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_generator import write_model

from worldreel.cast import AWAY, remember, renamed
from worldreel.decoding import encoded
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Step
from worldreel.errors import RequestError
from worldreel.generator import Finished, Generator, StepEvent
from worldreel.given import known_shown
from worldreel.models.model import View
from worldreel.recipe import Recipe
from worldreel.request import Character, KnownClip, Request
from worldreel.video import Video


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return Generator.load(str(folder))


def clip(frames: int = 12, seed: int = 0) -> Video:
    noise = torch.Generator().manual_seed(seed)
    return Video(
        torch.randint(0, 255, (frames, 64, 64, 3), dtype=torch.uint8, generator=noise), fps=12.0
    )


def member(name: str = "Mossy", about: str = "", frames: int = 12, seed: int = 0) -> Character:
    return Character(name=name, about=about, known=KnownClip(clip=clip(frames, seed)))


def test_a_clip_gives_its_middle_and_a_still_is_held(generator: Generator) -> None:
    model, (moving, still) = generator.model, (clip(), clip(1))
    cast = [member(), member("Rob", frames=1)]
    found = remember(model, cast, (64, 64))
    assert found is not None and found.latents.shape[2] == 2
    middle = encoded(model.codec, moving.frames[4:8], held=True)
    held = encoded(model.codec, still.frames.expand(4, -1, -1, -1), held=True)
    torch.testing.assert_close(found.latents, torch.cat([middle, held], 2))
    assert remember(model, [], (64, 64)) is None


def test_it_lies_before_the_video_and_is_taken_off_again(generator: Generator) -> None:
    found = remember(generator.model, [member(about="a green owl"), member("Rob")], (64, 64))
    assert found is not None and found.texts == ("a green owl", "")
    shape = (1, found.latents.shape[1], 5, *found.latents.shape[3:])
    view = View(
        known=Known.nothing(shape), times=(0.375, 1, 2, 3, 4), shots=(0, 0, 0, 1, 1), first=True
    )
    seen = found.before(view, texts=2)
    assert seen.times == (-2 * AWAY, -AWAY, 0.375, 1, 2, 3, 4)
    assert seen.shots == (2, 3, 0, 0, 0, 1, 1) and not seen.first
    assert bool((seen.known.start[:, :, :2] == 0).all() and (seen.known.start[:, :, 2:] == 1).all())
    assert torch.equal(seen.known.latents[:, :, :2], found.latents)
    whole = torch.arange(7.0)[None, None, :, None, None].expand(1, 4, 7, 2, 2)
    step = Step(number=1, steps=1, noise_level=0.0, latents=whole, clean=whole)
    assert found.without(step).latents[0, 0, :, 0, 0].tolist() == [2, 3, 4, 5, 6]
    assert found.noise(torch.ones(shape)).shape[2] == 7


def test_the_video_is_what_the_model_makes_with_the_cast_in_view(generator: Generator) -> None:
    """The same by hand: one window, the member in front of it, known throughout."""
    request = Request(prompt="Mossy runs", seed=3, cast=(member(about="a green owl"),))
    made = generator.generate(request)
    alone = generator.generate(replace(request, prompt="a green owl runs", cast=()))
    assert len(made) == len(alone) and not torch.equal(made.frames, alone.frames)

    model = generator.model
    cast = remember(model, request.cast, (64, 64))
    assert cast is not None and alone.latents is not None and made.latents is not None
    noise = torch.randn(alone.latents.tensor.shape, generator=torch.Generator().manual_seed(3))
    times = (0.375, *map(float, range(1, noise.shape[2])))
    view = View(known=Known.nothing(noise.shape), times=times, shots=(0,) * len(times), first=True)
    texts = [model.read(text) for text in ("a green owl runs", "a green owl", "")]
    settings = model.settings
    *_, last = model.denoise(
        cast.before(view, texts=1),
        texts[:2],
        texts[2],
        cast.noise(noise),
        steps=settings.steps,
        guidance=settings.guidance,
    )
    torch.testing.assert_close(made.latents.tensor, cast.without(last).latents.half())


def test_every_window_of_a_long_video_sees_it(generator: Generator) -> None:
    request = Request(prompt="Mossy runs", seed=3, seconds=4.0, cast=(member(),))
    events = list(generator.stream(request))
    assert isinstance(events[-2], StepEvent) and events[-2].windows > 1
    assert isinstance(events[-1], Finished) and len(events[-1].video) == 48
    other = generator.generate(replace(request, cast=(member(seed=1),)))
    half = len(other) // 2
    assert not torch.equal(other.frames[half:], events[-1].video.frames[half:])


def test_the_recipe_tells_and_makes_it_again(generator: Generator, tmp_path: Path) -> None:
    file = clip(1).save(tmp_path / "moss.png")
    shown = Character(name="Mossy", about="a green owl", known=known_shown(file))
    video = generator.generate(Request(prompt="Mossy runs", seed=3, cast=(shown,)))
    recipe = Recipe.from_dict(video.recipe or {})
    assert recipe.prompt == "Mossy runs" and len(recipe.cast) == 1
    entry = SimpleNamespace(**recipe.cast[0])
    assert (entry.name, entry.about, entry.file) == ("Mossy", "a green owl", "moss.png")
    assert entry.sha256 == shown.known.sha256 and len(entry.sha256) == 64
    again = generator.generate(replace(recipe.request(cast=(shown,)), model=generator.model.name))
    assert torch.equal(again.frames, video.frames)


def test_names_become_what_they_stand_for() -> None:
    cast = [member("Mossy", "a green owl"), member("Dr. No")]
    assert renamed("Mossy sees @mossy, Mossyland and dr. no.", cast) == (
        "a green owl sees a green owl, Mossyland and it."
    )
    assert renamed("a\\1 Mossy", [member("Mossy", "\\1")]) == "a\\1 \\1"


def test_who_is_not_named_is_told() -> None:
    with pytest.raises(RequestError, match="does not name"):
        Request(prompt="a dog runs", cast=(member(),))
    with pytest.raises(RequestError, match="two"):
        Request(prompt="Mossy runs", cast=(member(), member("mossy")))
    with pytest.raises(RequestError, match="there may be 4"):
        Request(prompt="Mossy runs", cast=tuple(member(f"m{n}") for n in range(5)))
    assert "Mossy a green owl" in Request(prompt="Mossy", cast=(member(about="a green owl"),)).texts
