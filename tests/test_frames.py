"""Frame review: which frames are looked at, what stops a video, and that failing shows nothing.

The oracle of the mechanism is a stand-in: a harmless sprite is declared forbidden, put into single
frames of renders of the world, and must be found.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from stand_ins import sprite
from torch import Tensor

from worldreel.safety.frames import Chooser, blurred
from worldreel.safety.policy import PolicyError
from worldreel.safety.reviewing import FAILED, FrameReview, ReviewPolicy, Use, frame_policy

FPS = 12.0


HIGH, MIDDLE, LOW = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def grey(frames: int, marks: dict[int, tuple[int, int, int]] | None = None) -> Tensor:
    """Grey frames; those in `marks` have a corner of that colour."""
    video = torch.full((frames, 32, 48, 3), 90, dtype=torch.uint8)
    for index, colour in (marks or {}).items():
        video[index, :4, :4] = torch.tensor(colour, dtype=torch.uint8)
    return video


def chosen(video: Tensor, chunk: int, **settings: float) -> list[int]:
    chooser = Chooser(fps=FPS, **settings)
    numbers = []
    for part in video.split(chunk):
        some, frames = chooser.choose(part)
        assert torch.equal(frames, video[some])
        numbers += some
    last, frame = chooser.end()
    assert frame is None or torch.equal(frame, video[last])
    assert chooser.chosen == len(numbers + last) and chooser.seen == len(video)
    return numbers + last


@pytest.mark.parametrize("fps", [1.0, 7.5, 12.0, 24.0, 29.97, 60.0])
def test_still_video_is_seen_four_times_a_second(fps: float) -> None:
    chooser = Chooser(fps=fps)
    numbers = chooser.choose(grey(100))[0] + chooser.end()[0]
    assert numbers[0] == 0 and numbers[-1] == 99
    gaps = np.diff(numbers)
    assert gaps.max() == max(1, int(fps / 4 + 1e-6))
    assert len(set(gaps[:-1])) <= 1


@pytest.mark.parametrize("chunk", [1, 2, 5, 40])
def test_changes_are_seen_whatever_the_chunks(chunk: int) -> None:
    video = grey(40)
    video[17:] = 200  # a cut
    video[30, 8:10, 8:12] = 255  # something small, for one frame
    numbers = chosen(video, chunk)
    assert {0, 17, 30, 31, 39} <= set(numbers)
    assert chosen(video, chunk, change=0.0) == sorted(set(numbers)) == numbers


def test_slow_change_is_measured_from_the_last_frame_chosen() -> None:
    # 1/255 a frame: no two neighbours differ by 0.02, but every sixth from the one before.
    video = torch.arange(60, dtype=torch.uint8).view(60, 1, 1, 1).expand(60, 16, 16, 3) + 50
    chooser = Chooser(fps=600.0, change=0.02)
    assert chooser.choose(video)[0] == list(range(0, 60, 6))


def test_blurred_hides_all_but_sixteen_colours_across() -> None:
    chance = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (2, 96, 128, 3), dtype=torch.uint8, generator=chance)
    soft = blurred(frames).float()
    assert soft.shape == frames.shape
    assert (soft[:, 1:] - soft[:, :-1]).abs().max() < 40  # the noise itself jumps by 255
    means = torch.nn.functional.adaptive_avg_pool2d(frames.permute(0, 3, 1, 2).float(), 16)
    # What is shown is a function of the 16×16 means alone.
    shuffled = frames.view(2, 16, 6, 16, 8, 3).flip(2, 4).reshape(frames.shape)
    assert torch.equal(blurred(shuffled), blurred(frames)) and means.shape[-1] == 16


CORNER = Use(factory="stand_ins:Corner")


@pytest.fixture(scope="module")
def corner() -> Iterator[FrameReview]:
    with FrameReview([CORNER]) as review:
        yield review


def test_nothing_found_is_allowed(corner: FrameReview) -> None:
    none = corner.review(grey(30).split(7), FPS)
    assert none.allowed and none.category is None and not none.evidence
    assert (none.seen, none.reviewed) == (30, 11)  # every third frame of twelve a second, the last
    assert none.reviewers == {"corner": "7"} and none.failed is None


def test_one_of_high_confidence_stops(corner: FrameReview) -> None:
    high = corner.review(grey(30, {8: HIGH}).split(7), FPS)
    assert (high.allowed, high.category, high.frames) == (False, "corner", (8,))
    assert high.failed is None and high.seen < 30  # the rest is not looked at
    last = corner.review(grey(12, {11: HIGH}).split(5), FPS)
    assert last.frames == (11,)


def test_two_of_middle_confidence_stop(corner: FrameReview) -> None:
    one = corner.review(grey(30, {8: MIDDLE}).split(7), FPS)
    assert one.allowed and [e.finding.frame for e in one.evidence] == [8]
    assert one.evidence[0].moment == 8 / FPS and one.evidence[0].by == "corner"
    two = corner.review(grey(30, {8: MIDDLE, 20: MIDDLE}).split(7), FPS)
    assert (two.allowed, two.frames) == (False, (8, 20))
    low = corner.review(grey(30, {8: LOW, 14: LOW, 20: LOW}).split(7), FPS)
    assert low.allowed and len(low.evidence) == 3


def test_what_comes_must_be_frames(corner: FrameReview) -> None:
    empty = corner.review(iter(()), FPS)
    assert not empty.allowed and empty.failed == "there were no frames"
    wrong = corner.review([torch.zeros(2, 3, 8, 8)], FPS)
    assert not wrong.allowed and wrong.failed == "what came is no frames"
    assert corner.review([grey(3)], FPS).allowed  # the next video is its own affair


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "the reviewer broken failed (KeyError)"),
        ("dies", "the reviewers broke down"),
        ("hangs", "the reviewers took more than 1 seconds"),
        ("lies", "makes no sense"),
        ("at birth", "could not be made (RuntimeError)"),
    ],
)
def test_whatever_fails_shows_nothing(how: str, said: str) -> None:
    uses = [CORNER, Use(factory="stand_ins:Broken", settings={"how": how})]
    with FrameReview(uses, ReviewPolicy(seconds=1.0)) as review:
        began = time.monotonic()
        result = review.review(grey(20).split(7), FPS)
        assert time.monotonic() - began < 60
    assert not result.allowed and result.category == FAILED
    assert result.failed is not None and said in result.failed


def test_a_policy_tolerates_and_a_closed_review_begins_anew() -> None:
    policy = ReviewPolicy(tolerated=frozenset({"corner"}))
    with FrameReview([CORNER], policy) as review:
        review.close()
        result = review.review([grey(12, {5: HIGH})], FPS)
    assert result.allowed and [e.finding.frame for e in result.evidence] == [5]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([], "a mapping is needed"),
        ({"rate": 1}, "4 to 240"),
        ({"seconds": True}, "1 to 3600"),
        ({"change": float("nan")}, "0 to 0.25"),
        ({"faces_allowed": "yes"}, "true or false"),
        ({"tolerated": "nudity"}, "list"),
        ({"tolerate": []}, "the nearest is tolerated"),
    ],
)
def test_policies_that_make_no_sense(told: object, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        frame_policy(told)


def test_a_policy_tightens() -> None:
    policy = frame_policy({"rate": 24, "tolerated": ["symbols in context"], "faces_allowed": True})
    assert policy.rate == 24 and policy.faces_allowed
    assert policy.tolerated == {"symbols in context"}
    with FrameReview([], policy, uploaded=True) as review:
        assert review.uses == ()
    with FrameReview([], uploaded=True) as review:
        assert [use.factory for use in review.uses] == ["faces"]


def scenes(count: int, *, frames: int, seed: int = 0) -> Iterator[Tensor]:
    """Renders of the world uint8 [frames, 128, 160, 3] without the forbidden sprite."""
    from stand_ins import FORBIDDEN

    from worldreel.video.pixels import shown
    from worldreel.world.config import WorldConfig
    from worldreel.world.render import Renderer
    from worldreel.world.scene import sample_scene

    renderer = Renderer(unit=96, side=48)
    while count:
        scene = sample_scene(seed, config=WorldConfig.full())
        seed += 1
        if all(actor.kind != FORBIDDEN for actor in scene.actors):
            made = renderer.render([scene], width=160, height=128, frames=frames, fps=FPS)
            yield shown(made.frames[0])
            count -= 1


def with_sprite(video: Tensor, chance: np.random.Generator) -> tuple[Tensor, int]:
    """The video with the sprite in one frame; letterboxed, tinted, small, or all of it."""
    video = video.clone()
    if chance.random() < 0.5:
        bar = int(chance.integers(8, 24))
        video[:, :bar] = video[:, -bar:] = 0
    at = int(chance.integers(len(video)))
    side = int(chance.integers(16, 42))
    y, x = int(chance.integers(24, 104 - side + 1)), int(chance.integers(0, 160 - side + 1))
    rgba = sprite(side).permute(1, 2, 0)
    spot = video[at, y : y + side, x : x + side]
    spot[:] = (spot * (1 - rgba[..., 3:]) + 255 * rgba[..., :3]).round().to(torch.uint8)
    if chance.random() < 0.5:
        tint = torch.from_numpy(chance.uniform(0.5, 1.0, 3).astype(np.float32))
        video = (video * tint).to(torch.uint8)
    return video, at


def found_share(trials: int, frames: int) -> float:
    """How often one frame with the sprite is found, and in that frame."""
    chance = np.random.default_rng(1)
    found = 0
    with FrameReview([Use(factory="stand_ins:SpriteReviewer")]) as review:
        for video in scenes(trials, frames=frames, seed=1000):
            assert review.review(video.split(16), FPS).allowed
            changed, at = with_sprite(video, chance)
            result = review.review(changed.split(16), FPS)
            assert result.failed is None
            found += result.frames == (at,)
    return found / trials


def test_a_forbidden_sprite_in_one_frame_is_found() -> None:
    assert found_share(2, 24) == 1.0


@pytest.mark.slow
def test_a_forbidden_sprite_in_ten_seconds_is_found() -> None:
    assert found_share(100, 120) >= 0.98
