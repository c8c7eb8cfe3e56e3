"""The figures of tasks on makers whose score is known: one that shows the truth, one that lets it
run backward; and each measure on pictures for which the answer is known by construction."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest
import torch
from test_generator import write_model
from torch import Tensor

from worldreel.canvas import Canvas
from worldreel.evaluate import continuing, minute, probe, shots, sizes, steady
from worldreel.evaluate.examples import Example, page
from worldreel.evaluate.figures import Exam, Figure, changes, psnr, reconstructed
from worldreel.evaluate.judge import Judges
from worldreel.evaluate.report import task_tables
from worldreel.evaluate.tasks import Counts, evaluate_tasks
from worldreel.evaluate.world import judged_world
from worldreel.generator import Generator
from worldreel.request import Request
from worldreel.video import Video
from worldreel.world.facts import facts
from worldreel.world.scene import Scene


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """A small model with random weights."""
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    return Generator.load(str(folder))


@dataclass(frozen=True, kw_only=True)
class Truth(Exam):
    """Makes what the scene of the request's seed really shows, or that with time turned round."""

    backward: bool = False

    def make(self, request: Request) -> Video:
        assert request.width and request.height and request.seconds
        scene = self.scene(request.seed or 0)
        count = round(request.seconds * self.fps)
        frames = self.clip(scene, (request.width, request.height), count).frames
        if self.backward:  # after the given frames, as they came
            join = round(continuing.GIVEN * self.fps)
            frames = torch.cat([frames[:join], frames[2 * join - count : join].flip(0)])
        return Video(frames, fps=self.fps)

    def scene(self, seed: int) -> Scene:
        return next(s for s in steady.held_out(self.world, start=seed))


def figures(found: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in found}


def square(at: int) -> Tensor:
    """A grey frame with a bright square whose left edge is `at`."""
    frame = torch.full((64, 96, 3), 60, dtype=torch.uint8)
    frame[24:40, at : at + 16] = 230
    return frame


def exam(generator: Generator, **settings: object) -> Exam:
    return Exam(
        generator=generator, judges=Judges.load(), world=judged_world(), steps=1, **settings
    )


def test_a_target_is_reached_from_its_own_side() -> None:
    told = {"group": "seams", "name": "x", "unit": "dB", "n": 3}
    assert Figure(**told, value=2.0, target=2.0).reached is True
    assert Figure(**told, value=1.9, target=2.0).reached is False
    assert Figure(**told, value=1.3, target=1.2, at_least=False).reached is False
    assert Figure(**told, value=1.1, target=1.2, at_least=False).reached is True
    assert Figure(**told, value=None, target=1.2).reached is None
    assert Figure(**told, value=1.0).reached is None


def test_psnr_and_changes_of_known_differences() -> None:
    black = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    assert psnr(black, black) == pytest.approx(100)
    assert psnr(black, black + 255) == pytest.approx(0, abs=1e-4)
    assert psnr(black, black + 51) == pytest.approx(20 * np.log10(5), abs=1e-4)
    steps = torch.tensor([0, 10, 40, 40], dtype=torch.uint8)
    assert changes(steps[:, None, None, None].expand(4, 2, 2, 3)).tolist() == [10, 30, 0]


@pytest.mark.parametrize("speed", steady.SPEEDS)
def test_the_speed_of_a_continuation_is_found(speed: float) -> None:
    truth = torch.stack([square(2 * i) for i in range(36)])
    ahead = speed * torch.arange(1, 13)
    made = torch.stack([square(2 * int(23 + step)) for step in ahead.round().long()])
    assert steady.best_speed(made, truth, 24) == speed


@pytest.mark.parametrize(("asked", "cut"), [(18, 18), (18, 20), (18, 13), (3, 1), (30, 31)])
def test_a_cut_is_found_where_it_is(asked: int, cut: int) -> None:
    frames = torch.stack([square(i) for i in range(34)])
    frames[cut:] = 255 - frames[cut:]
    assert shots.found_cut(frames, asked) == cut


def test_a_seam_is_the_jump_over_the_usual_change() -> None:
    steps = torch.tensor([0, 2, 4, 6, 12, 14, 16, 18], dtype=torch.uint8)
    frames = steps[:, None, None, None].expand(-1, 4, 4, 3)
    assert continuing._at_joins(frames, [4]) == pytest.approx([3.0])
    assert continuing._at_joins(frames, [4], loops=True) == pytest.approx([3.0, 9.0])
    pulse = torch.tensor([0, 1, 2, 8, 9, 10, 22, 23, 24, 30, 31], dtype=torch.uint8)
    frames = pulse[:, None, None, None].expand(-1, 4, 4, 3)
    assert continuing._at_joins(frames, [6], every=3) == pytest.approx([2.0])


def test_guesses_hold_the_nearest_and_fade_across() -> None:
    levels = torch.tensor([0, 30, 60, 90, 120], dtype=torch.uint8)
    frames = levels[:, None, None, None].expand(-1, 2, 2, 3)
    nearest, faded = (guess[:, 0, 0, 0].tolist() for guess in continuing._guesses(frames, 1, 4))
    assert nearest == [0, 0, 120]  # the middle is as near to both
    assert faded == pytest.approx([30, 60, 90])


def test_known_frames_are_those_of_groups_without_anything_to_make() -> None:
    start = torch.ones(1, 1, 4, 2, 2)
    start[:, :, 0] = start[:, :, 2] = 0
    start[:, :, 3, 0] = 0  # a part of it
    canvas = Canvas(
        latents=torch.zeros(1, 4, 4, 2, 2), start=start, texts=("",), shots=(0,) * 4, first=0,
        frames=13,
    )  # fmt: skip
    known = continuing.known_frames(canvas, 4)
    assert known.nonzero()[:, 0].tolist() == [0, 5, 6, 7, 8]


def test_steady_scenes_move_and_nobody_leaves_the_picture() -> None:
    world, times = judged_world(), np.arange(36) / 12
    found = list(islice((s for s in steady.held_out(world) if steady.steady(s, times, 1.0)), 8))
    for scene in found:
        assert len(scene.actors) == 1 and scene.camera.name != "follow"
        assert scene.camera.name != "static" or scene.actors[0].direction != "none" or (
            scene.actors[0].behaviour == "bounce"
        )  # fmt: skip


@pytest.mark.parametrize("backward", [False, True])
def test_the_truth_goes_on_forward_and_its_reverse_does_not(
    generator: Generator, backward: bool
) -> None:
    told = Truth(generator=generator, judges=Judges.load(), world=judged_world(), backward=backward)
    tally = continuing._Tally()
    for case in continuing._cases(told, 4):  # as if the codec, here of random weights, were good
        continuing._extend(told, replace(case, again=case.truth.frames), tally)
    assert len(tally.speeds) >= 3
    assert all(speed < 0 if backward else speed == 1 for speed in tally.speeds)
    assert all((gain > 20) is not backward for gain in tally.gains)


def test_sight_is_right_on_renders_of_every_size(generator: Generator) -> None:
    told = exam(generator)
    scenes = continuing.plain_scenes(told, 4)
    for size in ((128, 128), (160, 96), (96, 160)):
        clips = [told.clip(scene, size, 24).frames for scene in scenes]
        seen = [sizes.sight(told.judges, clip) for clip in clips]
        assert sum(a.place == s.place for a, s in zip(seen, scenes, strict=True)) >= 3
        assert sum(a.kind == s.actors[0].kind for a, s in zip(seen, scenes, strict=True)) >= 3


def test_an_actor_that_the_frame_cuts_is_not_inside(generator: Generator) -> None:
    told, times = exam(generator), np.arange(24) / 12

    def stays(scene: Scene) -> bool:
        actor = facts(scene, times, 1.0)["actors"][0]
        box = np.asarray(actor["boxes"])
        return bool((box[:, 0] > 0.2).all() and (box[:, 2] < 0.8).all())

    whole, cut = [], []
    for scene in continuing.plain_scenes(told, 6, stays):
        frames = told.clip(scene, (128, 128), 24).frames
        whole += sizes.sight(told.judges, frames).inside
        # through the middle of where it stays, half as wide
        cut += sizes.sight(told.judges, frames[:, :, 64:]).inside
    assert np.mean(whole) > 0.85 and np.mean(cut) < 0.35


def test_stories_show_their_hero_in_its_colour() -> None:
    for story in islice(shots.stories(judged_world(), split="seen", shots=3), 3):
        assert story.hero.colour and len(story.scenes) == 3
        assert {(s.actors[0].kind, s.actors[0].colour) for s in story.scenes} == {
            (story.hero.kind, story.hero.colour)
        }


def test_a_model_is_examined_in_everything(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shots, "SHOTS", (2,))
    counts = Counts(
        settled=1,
        stills=1,
        masked=2,
        seams=1,
        minutes=0,
        probes=0,
        stories=1,
        sizes=1,
        characters=1,
    )
    result = evaluate_tasks(generator, counts=counts, steps=1)
    json.dumps(result)
    found = {figure["name"]: figure for figure in result["tasks"]}
    # A causal codec shows a beginning as if nothing came after it, whatever its weights are.
    assert found["extend: PSNR minus the codec's own"]["value"] == pytest.approx(0, abs=0.01)
    assert found["animate: PSNR minus the codec's own"]["value"] == pytest.approx(0, abs=0.01)
    assert found["outside a masked region: latents bit-equal"]["value"] == 100
    assert {figure["group"] for figure in result["tasks"]} == {
        "given", "settled", "seams", "shots", "sizes", "characters",
    }  # fmt: skip
    assert len(task_tables(result).renderables) == 7


def test_a_long_video_is_judged_at_both_ends(generator: Generator) -> None:
    found = figures(minute.lasting(exam(generator), videos=1, seconds=9))
    assert len(found) == 3
    assert found["drift of the mean colour"].value is not None


def test_reconstruction_keeps_the_frames_in_their_places(generator: Generator) -> None:
    video = Video(torch.randint(0, 255, (6, 64, 64, 3), dtype=torch.uint8), fps=12)
    assert reconstructed(generator.model, video).shape == video.frames.shape


def test_the_peak_of_memory_knows_what_was_touched() -> None:
    before = probe.peak_mb()
    held = torch.ones(int(before * 2**20 / 4) + (64 << 18))  # more than ever before
    assert probe.peak_mb() - before > 40
    del held


def test_the_page_has_a_row_a_command() -> None:
    videos = [Video(torch.zeros(n, 32, 48, 3, dtype=torch.uint8), fps=12) for n in (1, 30)]
    made = [Example(command="do it", video=v, given=torch.ones(len(v))) for v in videos]
    assert page(made).height > page(made[:1]).height > 100
