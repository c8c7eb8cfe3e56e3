"""Every task is a choice of what is known: what was given comes back, what was not is made.

On a small network with random weights: it knows nothing of the world, but what is given must be
in its place all the same, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from test_generator import write_model
from torch import Tensor

from worldreel import latents as store
from worldreel import tasks
from worldreel.canvas import lay_out
from worldreel.errors import DurationError, MediaError, RequestError
from worldreel.generator import Finished, Generator, StepEvent
from worldreel.given import known_clip, known_still
from worldreel.latents import Latents
from worldreel.request import KnownClip, Request, Shot
from worldreel.video import Video

SETTINGS = {"seed": 5, "steps": 2, "guidance": 2.0}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    path = tmp_path_factory.mktemp("model")
    write_model(path)
    return Generator.load(str(path))


def clip(frames: int, seed: int = 0, size: int = 64) -> Video:
    """A picture that slides, so that frames differ and neighbours are alike."""
    torch.manual_seed(seed)
    wide = torch.nn.functional.interpolate(
        torch.rand(1, 3, size // 8, 3 * size // 8), scale_factor=8, mode="bilinear"
    )[0]
    shown = [wide[:, :, i : i + size] for i in range(frames)]
    return Video((torch.stack(shown) * 255).byte().permute(0, 2, 3, 1), fps=12)


def coded(generator: Generator, frames: Tensor) -> Tensor:
    """Latents of frames `[n, H, W, 3]`, encoded whole: the oracle."""
    pixels = frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        return generator.model.codec.encode(pixels)[0].half()


def latents(video: Video) -> Tensor:
    assert isinstance(video.latents, Latents)
    return video.latents.tensor


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 11, 24])
def test_a_clip_of_any_length_is_known_whole_when_extended(
    generator: Generator, count: int
) -> None:
    video = clip(count)
    made = generator.generate(tasks.extend(KnownClip(clip=video), seconds=0.5, **SETTINGS))
    assert len(made) == count + 6
    held = (1 - count) % 4 if count > 1 else 0
    padded = torch.cat([video.frames[:1].expand(held, -1, -1, -1), video.frames])
    expected = coded(generator, padded)
    assert torch.allclose(latents(made)[:, :, : expected.shape[2]], expected, atol=2e-3)
    whole, _ = generator.model.codec.decode(expected.float())
    shown = ((whole[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 3, 0)
    difference = shown[held : held + count].int() - made.frames[:count].int()
    assert int(difference.abs().max()) <= 2  # latents are kept in half precision


@pytest.mark.parametrize("count", [5, 7, 12])
def test_what_comes_before_a_clip_ends_with_the_clip(generator: Generator, count: int) -> None:
    video = clip(count)
    request = tasks.extend(KnownClip(clip=video), seconds=1.0, before=True, **SETTINGS)
    made = generator.generate(request)
    assert len(made) == count + 12
    last = made.frames[-(count // 4 * 4) :].float()
    error = (last - video.frames[-len(last) :].float()).abs().mean()
    other = (last - video.frames[:1].float()).abs().mean()
    reconstruction = (
        (coded_frames(generator, video) - video.frames.float()).abs().mean()
    )  # random weights: the codec is poor, and so is what it gives back
    assert float(error) < float(reconstruction) + 3 or float(error) < float(other)


def coded_frames(generator: Generator, video: Video) -> Tensor:
    held = (1 - len(video)) % 4
    padded = torch.cat([video.frames[:1].expand(held, -1, -1, -1), video.frames])
    whole, _ = generator.model.codec.decode(coded(generator, padded).float())
    return ((whole[0].clamp(-1, 1) + 1) * 127.5).permute(1, 2, 3, 0)[held:]


def test_own_videos_go_on_from_their_latents_to_the_bit(generator: Generator) -> None:
    first = generator.generate(Request(prompt="a dog", seconds=0.75, **SETTINGS))
    given = latents(first)
    after = generator.generate(tasks.extend(KnownClip(clip=first), seconds=0.5, **SETTINGS))
    assert torch.equal(latents(after)[:, :, : given.shape[2]], given)
    before = generator.generate(
        tasks.extend(KnownClip(clip=first), seconds=0.5, before=True, **SETTINGS)
    )
    assert torch.equal(latents(before)[:, :, -given.shape[2] + 1 :], given[:, :, 1:])
    further = generator.generate(tasks.extend(KnownClip(clip=after), seconds=0.5, **SETTINGS))
    assert torch.equal(latents(further)[:, :, : given.shape[2]], given)


def test_a_while_is_filled_and_the_rest_stays(generator: Generator) -> None:
    video = clip(24)
    request = tasks.fill(KnownClip(clip=video), start=0.75, end=1.25, **SETTINGS)
    made = generator.generate(request)
    assert len(made) == 24
    # Nine frames come before what is to be made: they lie on the grid as they are, all known.
    expected = coded(generator, video.frames[:9])
    assert torch.allclose(latents(made)[:, :, :3], expected, atol=2e-3)
    again = generator.generate(replace(request, seed=6))
    same = (latents(made) == latents(again)).all(1)[0].flatten(1).all(1)
    assert same.tolist() == [True, True, True, False, False, True, True]


@pytest.mark.parametrize("seconds", [0.4, 0.5, 0.6, 0.75])
@pytest.mark.parametrize("count", [13, 14, 16, 23])
def test_results_begin_and_end_where_what_is_given_does(
    generator: Generator, count: int, seconds: float
) -> None:
    """Joins move to the grid, by two frames at most; what is given is never cut or shown twice."""
    first, second = clip(count), clip(count, seed=1)
    new = round(seconds * 12)
    known, other = KnownClip(clip=first), KnownClip(clip=second)
    before = generator.generate(tasks.extend(known, seconds=seconds, before=True, **SETTINGS))
    assert len(before) == count + new
    connected = generator.generate(tasks.connect(known, other, seconds=seconds, **SETTINGS))
    assert abs(len(connected) - 2 * count - new) <= 2
    canvas = lay_out(generator.model, tasks.connect(known, other, seconds=seconds), (64, 64),
                     2 * first.seconds + seconds)  # fmt: skip
    assert (canvas.first + len(connected) - count - 1) % 4 == 0  # the second begins a group
    looped = tasks.loop(known, seconds=seconds)
    canvas = lay_out(generator.model, looped, (64, 64), first.seconds + seconds)
    again = canvas.unknown.index(True) + sum(canvas.unknown)
    assert canvas.first + canvas.frames == 4 * (again - 1) + 1  # ends where it begins again


def test_outside_a_region_latents_are_equal_to_the_bit(generator: Generator) -> None:
    video, mask = clip(9), np.zeros((64, 64), np.bool_)
    mask[:30, 34:60] = True
    known = KnownClip(clip=video, unknown=mask)
    made = generator.generate(tasks.fill(known, "a cat", **SETTINGS))
    expected = coded(generator, video.frames)
    differs = (latents(made) != expected).any(1)[0]
    inside = torch.zeros(4, 4, dtype=torch.bool)
    inside[:2, 2:] = True  # patches of 32 pixels
    assert bool(differs[:, inside].all()) and not bool(differs[:, ~inside].any())
    partly = generator.generate(tasks.fill(known, "a cat", start=0.5, end=0.7, **SETTINGS))
    touched = (latents(partly) != expected).any(1)[0].flatten(1).any(1)
    assert touched.tolist() == [False, False, True]


def test_both_clips_frame_what_connects_them(generator: Generator) -> None:
    first, second = clip(13), clip(12, seed=1)
    request = tasks.connect(KnownClip(clip=first), KnownClip(clip=second), seconds=1.0, **SETTINGS)
    made, again = generator.generate(request), generator.generate(replace(request, seed=9))
    assert len(made) == 13 + 12 + 12
    same = (latents(made) == latents(again)).all(1)[0].flatten(1).all(1)
    assert same.tolist() == [True] * 4 + [False] * 3 + [True] * 3
    tail = coded(generator, torch.cat([second.frames[:1], second.frames]))[:, :, 1:]
    assert torch.allclose(latents(made)[:, :, -3:], tail, atol=2e-3)


def test_a_loop_sees_its_beginning_beyond_its_end_and_does_not_show_it(
    generator: Generator,
) -> None:
    video = clip(13)
    made = generator.generate(tasks.loop(KnownClip(clip=video), seconds=1.0, **SETTINGS))
    assert len(made) == 13 + 12
    assert latents(made).shape[2] > 1 + (len(made) - 1) // 4
    beyond = coded(generator, torch.cat([video.frames[:1], video.frames[:12]]))[:, :, 1:]
    assert torch.allclose(latents(made)[:, :, 7:10], beyond, atol=2e-3)


def test_strength_says_how_much_of_a_clip_stays(generator: Generator) -> None:
    video, far = clip(9), []
    for strength in (0.05, 0.5, 1.0):
        made = generator.generate(
            tasks.edit(KnownClip(clip=video), "a cat", strength=strength, **SETTINGS)
        )
        far.append(float((latents(made).float() - coded(generator, video.frames)).abs().mean()))
    assert far[0] < far[1] < far[2]
    alone = generator.generate(Request(prompt="a cat", seconds=0.75, **SETTINGS))
    assert torch.equal(latents(alone), latents(made))  # at 1 nothing of the clip is left


def test_stills_lie_at_their_times(generator: Generator) -> None:
    stills = [known_still(clip(1, seed=s), at=at) for s, at in ((0, 0.0), (1, 1.0))]
    request = tasks.animate(stills, "x", seconds=1.5, **SETTINGS)
    made, again = generator.generate(request), generator.generate(replace(request, seed=8))
    same = (latents(made) == latents(again)).all(1)[0].flatten(1).all(1)
    assert same.tolist() == [True, False, False, True, False, False]
    for still, where in zip(stills, (0, 3), strict=True):
        frame = still.clip.frames  # type: ignore[attr-defined]
        held = frame.expand(5, -1, -1, -1)
        expected = coded(generator, frame if where == 0 else held)[:, :, -1]
        assert torch.allclose(latents(made)[:, :, where], expected, atol=2e-3)


def test_a_cut_lies_within_two_frames_of_the_time_asked(generator: Generator) -> None:
    for seconds in (0.5, 0.6, 0.75, 0.9, 1.1):
        shots = [Shot(prompt="a red car", seconds=seconds), Shot(prompt="a dog", seconds=0.8)]
        request = tasks.storyboard(shots, **SETTINGS)
        canvas = lay_out(generator.model, request, (64, 64), request.seconds or 0.0)
        cut = canvas.shots.index(1)
        assert abs(4 * (cut - 1) + 1 - seconds * 12) <= 2


def test_each_shot_depends_on_its_own_words(generator: Generator) -> None:
    shots = [Shot(prompt="a red car", seconds=0.75), Shot(prompt="a dog", seconds=0.75)]
    one = generator.generate(tasks.storyboard(shots, **SETTINGS))
    two = generator.generate(
        tasks.storyboard([shots[0], Shot(prompt="snow", seconds=0.75)], **SETTINGS)
    )
    assert not torch.equal(latents(one)[:, :, 3:], latents(two)[:, :, 3:])


def interrupted(events: Iterator[StepEvent | Finished], windows: int) -> None:
    for event in events:
        if isinstance(event, StepEvent) and event.window > windows:
            return


def test_a_long_video_goes_on_where_it_was_interrupted(
    generator: Generator, tmp_path: Path
) -> None:
    request = Request(prompt="a dog runs", seconds=6.0, **SETTINGS)
    whole = generator.generate(request)
    assert len(whole) == 72
    kept = tmp_path / "unfinished"
    interrupted(generator.stream(request, unfinished=kept), 2)
    assert kept.exists()
    windows = set()
    for event in generator.stream(request, unfinished=kept):
        if isinstance(event, Finished):
            assert torch.equal(latents(event.video), latents(whole))
        else:
            windows.add(event.window)
    assert min(windows) == 3
    assert not kept.exists()


def test_an_interrupted_video_keeps_the_seed_that_was_drawn(
    generator: Generator, tmp_path: Path
) -> None:
    request = Request(prompt="a dog runs", seconds=6.0, steps=1, guidance=1.0)
    kept = tmp_path / "unfinished"
    interrupted(generator.stream(request, unfinished=kept), 1)
    made = [e for e in generator.stream(request, unfinished=kept) if isinstance(e, Finished)]
    recipe = made[0].video.recipe
    assert recipe is not None
    again = generator.generate(replace(request, seed=recipe["seed"]))
    assert torch.equal(latents(again), latents(made[0].video))


def test_another_request_does_not_take_up_what_is_there(
    generator: Generator, tmp_path: Path
) -> None:
    kept = tmp_path / "unfinished"
    interrupted(generator.stream(Request(prompt="a", seconds=6.0, **SETTINGS), unfinished=kept), 1)
    other = Request(prompt="b", seconds=6.0, **SETTINGS)
    first = next(iter(generator.stream(other, unfinished=kept)))
    assert isinstance(first, StepEvent) and first.window == 1


def test_the_store_gives_back_what_was_put_in_and_forgets_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLDREEL_HOME", str(tmp_path))
    kept = [
        Latents(
            tensor=torch.randn(1, 4, 3, 4, 4).half(),
            weights_sha256="ab",
            first=n,
            count=9,
            native=(64, 64),
        )
        for n in range(3)
    ]
    names = [store.keep(one) for one in kept]
    assert len(set(names)) == 3
    for name, one in zip(names, kept, strict=True):
        found = store.find(name)
        assert found is not None and torch.equal(found.tensor, one.tensor)
        assert (found.first, found.native) == (one.first, one.native)
    assert store.find("../../etc/passwd") is None and store.find("0" * 32) is None
    path = store.folder() / f"{names[1]}.safetensors"
    path.write_bytes(path.read_bytes()[:-7] + b"changed")
    assert store.find(names[1]) is None
    size = path.stat().st_size
    monkeypatch.setattr(store, "LIMIT", 2 * size)
    last = store.keep(replace(kept[0], first=9))
    assert store.find(last) is not None
    assert len(list(store.folder().glob("*.safetensors"))) <= 2


def test_a_saved_video_is_found_with_its_latents(
    generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLDREEL_HOME", str(tmp_path / "home"))
    made = generator.generate(Request(prompt="a dog", seconds=0.75, **SETTINGS))
    made.save(tmp_path / "a.mp4")
    given = known_clip(tmp_path / "a.mp4")
    assert torch.equal(latents(given.clip), latents(made))  # type: ignore[arg-type]
    after = generator.generate(tasks.extend(given, seconds=0.5, **SETTINGS))
    count = latents(made).shape[2]
    assert torch.equal(latents(after)[:, :, :count], latents(made))


def test_a_clip_that_was_painted_over_or_cut_is_not_taken_for_what_it_was(
    generator: Generator,
) -> None:
    made = generator.generate(Request(prompt="a dog", seconds=0.75, **SETTINGS))
    painted = replace(Video(torch.zeros_like(made.frames), fps=12), latents=made.latents)
    after = generator.generate(tasks.extend(KnownClip(clip=painted), seconds=0.5, **SETTINGS))
    assert not torch.equal(latents(after)[:, :, :3], latents(made))
    cut = replace(made[:0.5], latents=made.latents)
    after = generator.generate(tasks.extend(KnownClip(clip=cut), seconds=0.5, **SETTINGS))
    assert len(after) == 12 and not torch.equal(latents(after)[:, :, :3], latents(made))


def test_what_cannot_be_is_said_in_a_sentence() -> None:
    video = KnownClip(clip=clip(24))
    with pytest.raises(DurationError, match="which lasts 2"):
        tasks.fill(video, start=1.0, end=3.0)
    with pytest.raises(RequestError, match="say what is to be filled"):
        tasks.fill(video)
    with pytest.raises(DurationError, match="the whole clip"):
        tasks.fill(video, start=0.0, end=2.0)
    with pytest.raises(RequestError, match="strength is 2"):
        tasks.edit(video, "x", strength=2)
    with pytest.raises(RequestError, match=r"0\.5 seconds apart"):
        tasks.animate([known_still(clip(1), at=at) for at in (1.0, 1.2)], "x")
    with pytest.raises(DurationError, match="lasts 4 seconds"):
        tasks.animate([known_still(clip(1), at=9.0)], "x", seconds=4)
    with pytest.raises(MediaError, match="one frame"):
        tasks.loop(KnownClip(clip=clip(1)))
    with pytest.raises(DurationError, match="shot 2"):
        tasks.storyboard([Shot(prompt="a", seconds=1), Shot(prompt="b", seconds=0.1)])


def test_frames_flow_without_a_jump_where_windows_meet(generator: Generator) -> None:
    """Decoding is one stream: cutting it elsewhere gives the same frames."""
    made = generator.generate(Request(prompt="a dog runs", seconds=3.0, **SETTINGS))
    whole = made.frames
    pieces = [torch.cat(list(made.chunks(a, b))) for a, b in pairwise((0, 7, 20, 36))]
    assert torch.equal(torch.cat(pieces), whole)
