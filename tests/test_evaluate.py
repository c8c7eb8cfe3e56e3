"""The benchmark against generators whose score is known: one that always shows the truth, one
that always shows something else. And the judges' lessons against the pixels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from worldreel.codec.model import Codec, CodecConfig
from worldreel.errors import WeightsError
from worldreel.evaluate import bench, codec, gallery, judge, lessons, prompts
from worldreel.evaluate.judge import Judges, view
from worldreel.evaluate.report import tables
from worldreel.evaluate.world import judged_world
from worldreel.request import Request
from worldreel.train import judge as train_judge
from worldreel.video import Video
from worldreel.world import words
from worldreel.world.render import Renderer
from worldreel.world.scene import Scene, is_held_out


class Renders:
    """Stands in for a generator: knows the scenes by their prompts and renders one of them."""

    def __init__(self, asked: Sequence[prompts.Question], *, wrong: bool) -> None:
        scenes = [q.scene for q in asked]
        shown = scenes[7:] + scenes[:7] if wrong else scenes
        self.scenes = {q.prompt: s for q, s in zip(asked, shown, strict=True)}
        self.renderer = Renderer(unit=128, side=64, variants=3)

    def generate(self, request: Request) -> Video:
        scene = self.scenes[request.prompt]
        made = self.renderer.render([scene], width=128, height=128, frames=25, fps=12.0)
        frames = (made.frames[0].permute(1, 2, 3, 0) * 127.5 + 127.5).round().to(torch.uint8)
        return Video(frames, fps=12.0)


def ask(count: int) -> list[prompts.Question]:
    return [
        q
        for split in ("seen", "unseen")
        for q in prompts.questions(judged_world(), split=split, count=count)
    ]


@pytest.mark.parametrize("wrong", [False, True])
def test_bench_tells_truth_from_chance(wrong: bool) -> None:
    count = 12
    generator = Renders(ask(count), wrong=wrong)
    result = bench.evaluate(generator, quick=True, count=count, with_words=False)
    json.dumps(result)
    assert set(result["dimensions"]) == set(prompts.DIMENSIONS)
    shares = {name: (row["seen"] + row["unseen"]) / 2 for name, row in result["dimensions"].items()}
    if wrong:
        assert all(share <= 0.5 for share in shares.values()), shares
    else:
        assert sum(shares.values()) / len(shares) >= 0.95, shares
        for row in result["dimensions"].values():  # PNG-depth frames judge as the renders do
            n = row["n"]
            assert abs((row["seen"] + row["unseen"]) / 2 - row["judge_on_renders"]) <= 3 / n
    assert tables(result) is not None


def test_questions_are_fixed_balanced_and_leave_nothing_open() -> None:
    asked = prompts.questions(judged_world(), split="unseen", count=50)
    assert asked == prompts.questions(judged_world(), split="unseen", count=50)
    assert all(is_held_out(q.scene) for q in asked)
    assert sum(len(q.scene.actors) == 2 for q in asked) == 15
    assert sum("colour" in q.asks for q in asked) >= 20
    for q in asked:
        text = q.prompt.lower()
        cast = q.scene.actors[0]
        if cast.direction in ("left", "right") and len(q.scene.actors) == 1:
            assert re.search(cast.direction, text), text
        assert any(w in text for w in words.CAMERA_PHRASES[q.scene.camera.name]), text
        assert not words.held_out_word(text)


def test_seen_and_unseen_ask_alike() -> None:
    """No dimension is easier in one split because of what happens to be asked there."""
    for name in prompts.DIMENSIONS:
        counts = [
            sum(name in q.asks for q in prompts.questions(judged_world(), split=s, count=60))
            for s in ("seen", "unseen")
        ]
        assert min(counts) >= 12 and max(counts) <= 1.6 * min(counts), (name, counts)


def test_word_pairs_differ_in_one_word() -> None:
    pairs = prompts.word_pairs(judged_world(), each=1)
    assert len({p.word for p in pairs}) >= 12
    for pair in pairs:
        known = words.HELD_OUT_WORDS[pair.word]
        assert pair.word in pair.held_out.prompt
        assert known in pair.seen.prompt and pair.word not in pair.seen.prompt
        strip = re.compile(rf"\b(an?|An?|{known}|{pair.word})\b")
        assert strip.sub("", pair.seen.prompt) == strip.sub("", pair.held_out.prompt)
        assert pair.seen.seed == pair.held_out.seed


def _scenes(count: int) -> list[Scene]:
    return lessons.scenes_of(judged_world(), 123, count)


def test_lesson_cells_hold_the_actors_paint() -> None:
    """In cells said to be a painted actor's, the paint's channel order shows in the pixels."""
    lesson = next(lessons.lessons(judged_world(), batch=48, start=11))
    names = lessons.vocabulary(judged_world()).colours
    pooled = torch.nn.functional.avg_pool2d(lesson.clips.flatten(0, 1), 4).permute(0, 2, 3, 1)
    colour = lesson.colour.flatten(0, 1)
    for name, strong, weak in (("red", 0, 2), ("blue", 2, 0), ("green", 1, 0)):
        pixels = pooled[colour == names.index(name)]
        assert len(pixels) > 20
        assert (pixels[:, strong] - pixels[:, weak]).mean() > 0.25
    assert ((lesson.kind > 0) >= (colour.view_as(lesson.kind) >= 0)).all()


def test_mirror_and_reverse_are_involutions_and_keep_truth_with_picture() -> None:
    lesson = next(lessons.lessons(judged_world(), batch=4, start=5))
    vocabulary = lessons.vocabulary(judged_world())
    for change in (lessons.mirrored, lessons.backwards):
        twice = change(change(lesson, vocabulary), vocabulary)
        for name in ("clips", "kind", "colour", "direction", "camera"):
            assert torch.equal(getattr(twice, name), getattr(lesson, name)), name
    flipped = lessons.mirrored(lesson, vocabulary)
    left, right = (judge.DIRECTIONS.index(d) + 1 for d in ("left", "right"))
    assert (flipped.direction == left).sum() == (lesson.direction == right).sum()


def test_judges_time_reversal_turns_the_verdict() -> None:
    """Motion is read off the pixels' motion, not off where an actor faces."""
    judges = Judges.load()
    scenes = [
        s for s in _scenes(60) if len(s.actors) == 1 and s.actors[0].direction in ("left", "right")
    ][:12]
    shown = Renderer(unit=128, side=64, variants=3).render(
        scenes, width=128, height=128, frames=25, fps=12.0
    )
    back = judges.judge(view(shown.frames.flip(2)))
    opposite = {"left": "right", "right": "left"}
    right = [j.motion == opposite[s.actors[0].direction] for j, s in zip(back, scenes, strict=True)]
    assert np.mean(right) >= 0.75


@lru_cache(maxsize=1)
def _learned() -> lessons.Lesson:
    return lessons.seen(next(lessons.stills(judged_world(), batch=48, start=31)))


def test_most_of_what_look_learns_from_has_two_actors() -> None:
    scenes = lessons.scenes_of(judged_world(), 7, 300, single=0.43)
    assert 0.55 <= np.mean([len(s.actors) == 2 for s in scenes]) <= 0.75


def test_turned_hues_keep_light_and_ask_for_shape_alone() -> None:
    lesson = _learned()
    grey = replace(lesson, clips=lesson.clips[:, :, :1].expand_as(lesson.clips))
    assert torch.allclose(lessons.hued(grey, 1.0).clips, grey.clips, atol=1e-5)
    turned = lessons.hued(lesson, 1.0)
    for name in ("colour", "place", "time"):
        assert (getattr(turned, name) == -1).all()
    assert torch.equal(turned.kind, lesson.kind)
    assert (turned.clips - lesson.clips).abs().mean() > 0.05
    assert torch.equal(lessons.hued(lesson, 0.0).clips, lesson.clips)


def test_blobs_hide_actors_and_nothing_else() -> None:
    lesson, vocabulary = _learned(), lessons.vocabulary(judged_world())
    blobs = lessons.blobbed(lesson, vocabulary, 1.0)
    hidden = (blobs.kind != lesson.kind).flatten(1).any(1)
    assert hidden.any() and not hidden.all()
    assert (blobs.kind[hidden] <= 0).all()
    balls = (lesson.kind == vocabulary.kinds.index("ball") + 1).flatten(1).any(1)
    assert balls.any() and not (balls & hidden).any()
    assert torch.equal(blobs.clips[~hidden], lesson.clips[~hidden])
    near = torch.nn.functional.max_pool2d((lesson.kind != 0).float(), 5, 1, 2)
    far = near.repeat_interleave(4, -1).repeat_interleave(4, -2)[:, :, None] == 0
    assert ((blobs.clips - lesson.clips).abs() * far).max() < 1e-2


def test_judges_go_by_shape() -> None:
    """Kinds are told with all hues turned, and blobs in an actor's colour are none of them."""
    judges, lesson = Judges.load(), _learned()
    vocabulary = judges.vocabulary
    plain = (lesson.kind > 0).flatten(2).sum(2).amin(1) >= 8
    alone = plain & torch.tensor([len(set(k[k > 0].tolist())) == 1 for k in lesson.kind])
    asked = lesson.kind.flatten(1).amax(1)[alone] - 1

    def presence(changed: lessons.Lesson) -> torch.Tensor:
        kind = judges.look(changed.clips[alone].flatten(0, 1))[0]
        return judge.presences(kind).unflatten(0, (int(alone.sum()), -1)).mean(1)

    torch.manual_seed(0)
    turned = presence(lessons.hued(lesson, 1.0))
    assert (turned.argmax(1) == asked).float().mean() >= 0.9
    blobs = lessons.blobbed(lesson, vocabulary, 1.0)
    hidden = (blobs.kind != lesson.kind).flatten(1).any(1)[alone]
    rows = torch.arange(len(asked))
    before, after = presence(lesson)[rows, asked][hidden], presence(blobs)[rows, asked][hidden]
    assert before.mean() > 0.7 and after.mean() < 0.4


def test_a_kind_hardly_seen_is_nothing_clear() -> None:
    kinds = ("ball", "cat", "dog")
    ordered = judge._ordered(kinds, torch.tensor([0.08, 0.6, 0.02]))
    assert list(ordered) == ["cat", judge.NOTHING, "ball", "dog"]
    assert next(iter(judge._ordered(kinds, torch.zeros(3)))) == judge.NOTHING


def test_replay_draws_from_few_lessons_and_every_third_from_the_kept() -> None:
    lesson = _learned()
    kept = replace(lesson, place=torch.full_like(lesson.place, 99))
    made: list[int] = []

    def fresh() -> Iterator[lessons.Lesson]:
        while True:
            made.append(1)
            yield lesson

    drawn = train_judge.replayed(fresh(), kept, batch=8, uses=4, size=2)
    batches = [next(drawn) for _ in range(12)]
    assert [bool((b.place == 99).all()) for b in batches] == [False, False, True] * 4
    assert len(made) == 3 and all(len(b.clips) == 8 for b in batches)


def test_presence_loss_falls_with_the_truth() -> None:
    truth = torch.zeros(1, 16, 16, dtype=torch.long)
    truth[0, 2:6, 2:6], truth[0, 9:12, 9:12] = 1, 3
    right = 12.0 * torch.nn.functional.one_hot(truth, 5).permute(0, 3, 1, 2).float()
    wrong = right.roll(1, 1)
    good, bad = (float(train_judge._presence_loss(x, truth)) for x in (right, wrong))
    assert good == pytest.approx(np.log(2), abs=0.02) and bad > 3
    assert float(train_judge._presence_loss(right, 0 * truth)) == 0


def test_view_picks_first_and_last_moment() -> None:
    frames = torch.zeros(25, 128, 128, 3, dtype=torch.uint8)
    frames[-1] = 255
    seen = view(frames)
    assert seen.shape == (1, 9, 3, 64, 64)
    assert seen[0, -1].min() == 1 and seen[0, :-1].max() == -1


def test_damaged_judges_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    source = judge.files("worldreel.evaluate") / "assets"
    (tmp_path / "assets").mkdir()
    blob = bytearray((source / judge.WEIGHTS).read_bytes())
    blob[-7] ^= 1
    (tmp_path / "assets" / judge.WEIGHTS).write_bytes(blob)
    (tmp_path / "assets" / judge.CHECKSUM).write_text((source / judge.CHECKSUM).read_text())
    monkeypatch.setattr(judge, "files", lambda _: tmp_path)
    judge._shipped.cache_clear()
    with pytest.raises(WeightsError, match="checksum"):
        Judges.load()
    judge._shipped.cache_clear()


def test_codec_psnr_of_a_known_error() -> None:
    error = torch.full((2, 3, 8, 8), 0.04)  # mean squared error 0.04 of a range of 2: 20 dB
    assert codec.psnr(error, torch.ones_like(error)) == pytest.approx(20.0)
    report = codec.measure_codec(
        Codec(CodecConfig(scale=2)), clips=1, styles=("plain",), size=(64, 64), frames=5
    )
    assert set(report["plain"]) == {"psnr", "psnr_weighted", "psnr_actors", "clips"}


def test_gallery_prompts_are_fixed() -> None:
    asked = gallery.gallery_prompts()
    assert len(asked) == 24 == len(set(asked))
    assert asked == gallery.gallery_prompts()
