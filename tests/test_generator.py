"""The generator and model folders, on a small network with random weights."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from worldreel.codec.model import Codec, CodecConfig
from worldreel.errors import RequestError, WeightsError
from worldreel.generator import Finished, Generator, StepEvent
from worldreel.models import storage
from worldreel.models.embedded import CARD, CODEC, TRANSFORMER, save_model
from worldreel.models.load import load_model
from worldreel.models.model import Settings
from worldreel.recipe import Recipe
from worldreel.request import Request
from worldreel.text.encoder import TextConfig
from worldreel.train.transformer import Learner
from worldreel.transformer.config import TransformerConfig

SETTINGS = Settings(natives=((64, 64), (96, 64)), fps=12, seconds=0.75, longest=2.0, steps=3)


def write_model(folder: Path) -> None:
    """A model folder with random weights that change what they are given."""
    torch.manual_seed(0)
    codec_config = CodecConfig(channels=4, fine=16, deep=24, finer=8, scale=2)
    text = TextConfig(width=32, layers=1, heads=2)
    config = TransformerConfig(width=64, layers=2, heads=2, hidden=64, channels=4, text_width=32)
    codec, learner = Codec(codec_config), Learner(text, config)
    for parameter in [*codec.parameters(), *learner.parameters()]:
        if parameter.ndim > 1:  # the zeroed layers too, or nothing would depend on the text
            torch.nn.init.normal_(parameter, std=0.08)
    save_model(
        folder,
        codec=codec.state_dict(),
        learner=learner.state_dict(),
        codec_config=codec_config,
        text_config=text,
        config=config,
        settings=SETTINGS,
        training={},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    write_model(path)
    return path


@pytest.fixture(scope="module")
def generator(folder: Path) -> Generator:
    return Generator.load(str(folder))


def test_stream_counts_its_steps_and_ends_with_the_video(generator: Generator) -> None:
    events = list(generator.stream(Request(prompt="a red ball", seed=1, steps=3)))
    steps = [e.number for e in events if isinstance(e, StepEvent)]
    assert steps == [1, 2, 3]
    assert isinstance(events[-1], Finished)
    assert events[-1].native == (64, 64)
    assert tuple(events[-1].video.frames.shape) == (9, 64, 64, 3)


@pytest.mark.parametrize(("seconds", "frames"), [(0.01, 1), (0.5, 6), (1.0, 12), (2.0, 24)])
def test_a_video_lasts_as_long_as_was_asked(
    generator: Generator, seconds: float, frames: int
) -> None:
    video = generator.generate(Request(prompt="a ball", seed=1, steps=1, seconds=seconds))
    assert len(video) == frames


def test_longer_than_the_model_is_made_in_windows(generator: Generator) -> None:
    events = list(generator.stream(Request(prompt="a ball", seconds=5, steps=2)))
    steps = [e for e in events if isinstance(e, StepEvent)]
    assert steps[-1].windows > 1 and steps[-1].window == steps[-1].windows
    assert [e.number for e in steps] == list(range(1, steps[-1].steps + 1))
    assert isinstance(events[-1], Finished) and len(events[-1].video) == 60


def test_size_and_rate_are_resampled_from_the_nearest_native(generator: Generator) -> None:
    request = Request(prompt="a ball", seed=1, steps=1, width=300, height=200, fps=24)
    event = list(generator.stream(request))[-1]
    assert isinstance(event, Finished)
    assert event.native == (96, 64)
    assert (event.video.width, event.video.height, event.video.fps) == (300, 200, 24)
    assert len(event.video) == 18


def test_same_seed_same_frames_and_another_seed_other_ones(generator: Generator) -> None:
    def make(seed: int) -> torch.Tensor:
        return generator.generate(Request(prompt="a ball", seed=seed)).frames

    assert torch.equal(make(5), make(5))
    assert not torch.equal(make(5), make(6))


def test_the_recipe_makes_the_same_frames_again(generator: Generator) -> None:
    video = generator.generate(Request(prompt="a ball", seconds=1, width=128, height=100, fps=8))
    assert video.recipe is not None
    again = generator.generate(Recipe.from_dict(video.recipe).request())
    assert torch.equal(video.frames, again.frames)


def test_given_noise_replaces_the_seed(generator: Generator) -> None:
    noise = torch.randn(1, 4, 3, 4, 4)
    one, other = (Request(prompt="a ball", seed=seed) for seed in (1, 2))
    first = generator.generate(one, noise=noise)
    assert torch.equal(first.frames, generator.generate(other, noise=noise).frames)
    with pytest.raises(RequestError, match=r"\(1, 4, 3, 4, 4\)"):
        generator.generate(one, noise=noise[:, :, :2])


def test_prompt_negative_and_guidance_matter(generator: Generator) -> None:
    def make(**changes: object) -> torch.Tensor:
        values = {"prompt": "a red ball", "seed": 3, "steps": 3, "guidance": 4.0} | changes
        return generator.generate(Request(**values)).frames.float()  # type: ignore[arg-type]

    plain = make()
    for changes in ({"prompt": "a whale"}, {"negative": "a whale"}, {"guidance": 1.0}):
        assert (make(**changes) - plain).abs().max() > 1, changes


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(folder, tmp_path / "copy")
    yield tmp_path / "copy"


@pytest.mark.parametrize("name", [CODEC, TRANSFORMER])
def test_one_flipped_bit_is_refused(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        load_model(str(copy))


@pytest.mark.parametrize("name", [CODEC, TRANSFORMER, CARD])
def test_a_missing_file_is_refused(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(WeightsError):
        load_model(str(copy))


def test_a_card_of_another_model_is_refused(copy: Path) -> None:
    card = (copy / CARD).read_text().replace('"width": 64', '"width": 128')
    (copy / CARD).write_text(card)
    with pytest.raises(WeightsError):
        load_model(str(copy))


def test_eight_bits_are_within_half_a_step_of_the_weights() -> None:
    weights = {"a": torch.randn(40, 70) * torch.rand(40, 1) * 3, "b": torch.randn(9)}
    back = storage.restore(storage.quantise(weights))
    step = weights["a"].abs().amax(1, keepdim=True) / 127
    # Half a step of rounding, and the scale itself is rounded to fp16 (2^-11 of 127 steps).
    assert bool(((back["a"] - weights["a"]).abs() <= step * (0.5 + 127 * 2.0**-11)).all())
    assert torch.allclose(back["b"], weights["b"], atol=2e-3)


def test_a_preview_becomes_the_video(generator: Generator) -> None:
    events = list(generator.stream(Request(prompt="a ball", seed=1)))
    steps = [event for event in events if isinstance(event, StepEvent)]
    looks = [event.preview() for event in steps if event.preview is not None]
    assert len(looks) == len(steps) and {tuple(look.shape) for look in looks} == {(64, 64, 3)}
    assert isinstance(events[-1], Finished)
    shown = events[-1].video.frames[4]  # the last of the first group
    away = [float((look.float() - shown.float()).abs().mean()) for look in looks]
    assert away[-1] < 1.0 and away[-1] <= away[0]
