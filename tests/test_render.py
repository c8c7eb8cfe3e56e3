"""The renderer against what is known without it: facts, closed forms, and itself at other sizes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from worldreel.world import weather
from worldreel.world.cast import CameraMove, Cast
from worldreel.world.config import WorldConfig
from worldreel.world.facts import boxes
from worldreel.world.layout import lay_out, union
from worldreel.world.render import PARALLAX, Renderer, Rendering
from worldreel.world.scene import Scene, sample_scene

FULL = WorldConfig.full()
SIDE, FPS = 64, 4.0


@cache
def _renderer() -> Renderer:
    return Renderer(unit=64, side=48, variants=1)


@cache
def _scenes(count: int = 10) -> tuple[Scene, ...]:
    return tuple(sample_scene(seed, config=FULL) for seed in range(count))


def _render(*scenes: Scene, frames: int = 3, side: int = SIDE) -> Rendering:
    return _renderer().render(scenes, width=side, height=side, frames=frames, fps=FPS)


def _cast(**changes: object) -> Cast:
    ball = Cast(kind="ball", colour="red", size=0.4, width=0.4, feet=0.85, floor=0.85)
    return replace(ball, directional=False, **changes)  # type: ignore[arg-type]


def _scene(*actors: Cast, camera: str = "static", amount: float = 0.0, **changes: str) -> Scene:
    move = CameraMove(name=camera, amount=amount)
    plain = replace(_scenes()[0], place="meadow", time="day", weather="clear", style="plain")
    return replace(plain, variant=0, camera=move, actors=actors, family=None, **changes)  # type: ignore[arg-type]


def _pages(rendering: Rendering) -> Tensor:
    """[T, 3, H, W] in 0..1 of the only clip."""
    return (rendering.frames[0].transpose(0, 1) + 1) / 2


def test_shapes_ranges_and_determinism() -> None:
    first = _render(*_scenes())
    fresh = Renderer(unit=64, side=48, variants=1)
    again = fresh.render(_scenes()[:3], width=SIDE, height=SIDE, frames=3, fps=FPS)
    assert first.frames.shape == (10, 3, 3, SIDE, SIDE) and first.frames.is_contiguous()
    assert first.coverage.shape == (10, 3, SIDE, SIDE)
    assert first.frames.abs().max() <= 1 + 1e-6 and first.coverage.min() >= 0
    assert torch.equal(first.frames[:3], again.frames)
    assert torch.equal(first.coverage[:3], again.coverage)


def test_a_batch_equals_its_scenes_and_later_starts_its_later_frames() -> None:
    together = _render(*_scenes(), frames=9)
    for index, scene in enumerate(_scenes()):
        torch.testing.assert_close(together.frames[index], _render(scene, frames=9).frames[0])
    plain = [s for s in _scenes() if s.style == "plain"]
    late = _renderer().render(plain, width=SIDE, height=SIDE, frames=2, fps=FPS, start=1.0)
    whole = _render(*plain, frames=6)
    torch.testing.assert_close(late.frames, whole.frames[:, :, 4:], atol=1e-3, rtol=0)


def test_large_pieces_equal_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """How a GPU cuts the work (all clips and frames at once) makes the same pictures."""
    small = _render(*_scenes(), frames=8)
    monkeypatch.setattr(Renderer, "_chunks", lambda self, layout: [slice(0, len(layout.scenes))])
    monkeypatch.setattr(Renderer, "_spans", lambda self, layout: [slice(0, len(layout.times))])
    large = _render(*_scenes(), frames=8)
    torch.testing.assert_close(small.frames, large.frames, atol=1e-3, rtol=0)
    torch.testing.assert_close(small.coverage, large.coverage, atol=1e-4, rtol=0)


def test_resolution_free() -> None:
    """A large picture, averaged down, is about the small one."""
    for scene in [s for s in _scenes() if s.style == "plain"][:3]:
        small = _pages(_render(scene, frames=2))
        renderer = Renderer(unit=128, side=96, variants=1)
        large = renderer.render([scene], width=128, height=128, frames=2, fps=FPS)
        difference = F.avg_pool2d(_pages(large), 2) - small
        assert difference.abs().mean() < 0.025, scene
        blurred = F.avg_pool2d(difference, 8)
        assert blurred.abs().max() < 0.09, scene


def test_a_known_ball_covers_its_disc() -> None:
    """A ball of 0.4 stands at (0, 0.85): its disc's centre is 0.65 down, its area π·0.2²."""
    covered = _render(_scene(_cast())).coverage[0]
    expected = torch.pi * (0.2 * SIDE) ** 2
    assert abs(float(covered[0].sum()) / expected - 1) < 0.08
    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    weight = covered[0] / covered[0].sum()
    assert abs(float((weight * x).sum()) - 0.5 * SIDE) < 0.8
    assert abs(float((weight * y).sum()) - 0.65 * SIDE) < 0.8
    red = _pages(_render(_scene(_cast())))[0, :, int(0.6 * SIDE), SIDE // 2]
    assert red[0] > red[1] + 0.2 and red[0] > red[2] + 0.2


def test_coverage_lies_in_the_boxes_of_the_facts() -> None:
    times = np.arange(3) / FPS
    for scene in (s for s in _scenes() if s.actors and s.style != "step-printing"):
        covered = (_render(scene).coverage[0] > 0.3).numpy()
        allowed = np.zeros_like(covered)
        box = boxes(scene, scene.timeline(times, aspect=1.0), aspect=1.0) * SIDE
        for frame in range(3):
            for left, top, right, bottom in np.nan_to_num(box[frame]):
                low = np.clip(np.floor([top, left]) - 2, 0, SIDE).astype(int)
                high = np.clip(np.ceil([bottom, right]) + 2, 0, SIDE).astype(int)
                allowed[frame, low[0] : high[0], low[1] : high[1]] = True
        assert not (covered & ~allowed).any(), scene


def test_nothing_is_drawn_outside_its_window() -> None:
    """Windows save work and must not show: with the whole frame as window all stays the same."""
    layout = lay_out(_scenes(), width=SIDE, height=SIDE, times=np.arange(3, dtype=np.float32))
    whole = np.broadcast_to([0, 0, SIDE, SIDE], layout.windows.shape)
    everywhere = replace(layout, windows=whole, shades=whole)
    expected, found = _renderer().draw(everywhere), _renderer().draw(layout)
    torch.testing.assert_close(found.frames, expected.frames, atol=4e-3, rtol=0)
    torch.testing.assert_close(found.coverage, expected.coverage, atol=4e-3, rtol=0)
    assert union(np.zeros((2, 3, 4), np.int64)) is None
    assert union(np.array([[3, 4, 9, 8], [0, 0, 0, 0]])) == (slice(4, 8), slice(3, 9))


def test_pan_right_moves_the_ground_left_by_the_cameras_way() -> None:
    """Ground has parallax 1: frame t is frame 0 shifted by whole pixels, sky by 0.15 of it."""
    scene = _scene(camera="pan right", amount=1.0, place="forest")
    # The camera goes from -0.5 to 0.5 in 4 s: 0.25 world units, 16 pixels, in a second.
    pages = _pages(_render(scene, frames=5))
    ground = slice(int(0.9 * SIDE), SIDE)
    torch.testing.assert_close(
        pages[4, :, ground, :-16], pages[0, :, ground, 16:], atol=5e-3, rtol=0
    )
    assert (pages[4, :, ground, 16:] - pages[0, :, ground, :-16]).abs().mean() > 5e-3
    back = _pages(_render(replace(scene, camera=CameraMove(name="pan left", amount=1.0)), frames=5))
    torch.testing.assert_close(back[4, :, ground, 16:], back[0, :, ground, :-16], atol=5e-3, rtol=0)
    assert PARALLAX["sky"] < PARALLAX["middle"] < PARALLAX["ground"]


def test_a_slope_lowers_each_column_of_the_ground_by_its_own_amount() -> None:
    """4 pixels down where the frame is 16.5 pixels right of its middle, and up on the left."""
    layout = lay_out([_scene()], width=SIDE, height=SIDE, times=np.zeros(1, np.float32))
    sloped = replace(layout, slope=np.asarray([4 / 16.5], np.float32))
    level, steep = (_renderer().draw(one).frames[0, :, 0] for one in (layout, sloped))
    low = slice(int(0.8 * SIDE), SIDE - 4)
    lower = slice(low.start + 4, low.stop + 4)
    torch.testing.assert_close(steep[:, lower, 48], level[:, low, 48], atol=5e-3, rtol=0)
    torch.testing.assert_close(steep[:, low, 15], level[:, lower, 15], atol=5e-3, rtol=0)


def test_nearer_actors_cover_farther_ones() -> None:
    red, blue = _cast(lane=0.2), _cast(lane=0.8, colour="blue")
    middle = (slice(None), int(0.62 * SIDE), SIDE // 2)
    for actors in ((red, blue), (blue, red)):
        pixel = _pages(_render(_scene(*actors)))[0][middle]
        assert pixel[2] > pixel[0], "the nearer ball is blue, whatever the order of the cast"
    farther = [replace(red, lane=0.9), blue]
    assert _pages(_render(_scene(*farther)))[0][middle].argmax() == 0


def test_black_and_white_is_grey_and_keeps_the_order_of_light() -> None:
    plain = _pages(_render(_scene(_cast())))
    grey = _pages(_render(_scene(_cast(), style="black and white")))
    assert (grey.amax(1) - grey.amin(1)).max() < 1e-5
    luma = torch.einsum("c,tchw->thw", torch.tensor([0.299, 0.587, 0.114]), plain)
    pair = torch.stack([luma.flatten(), grey[:, 0].flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.98


def test_grain_changes_from_frame_to_frame_and_averages_out() -> None:
    still = _scene()
    pages = _pages(_render(replace(still, style="grain"), frames=40))
    noise = pages - pages.mean(0)
    assert 0.008 < float(noise.std()) < 0.05
    a, b = noise[0].flatten(), noise[1].flatten()
    assert abs(float((a * b).mean() / (a.std() * b.std()))) < 0.1
    corner, middle = pages[:, :, :6, :6].mean(), pages[:, :, 20:44, 20:44].mean()
    plain = _pages(_render(still, frames=1))
    assert corner / plain[:, :, :6, :6].mean() < middle / plain[:, :, 20:44, 20:44].mean()


def test_watercolour_is_flatter_than_life_and_on_paper() -> None:
    scene = _scene(_cast())
    plain = _pages(_render(scene, frames=1))[0]
    painted = _pages(_render(replace(scene, style="watercolour"), frames=1))[0]
    assert painted[:, 0].min() > 0.9, "the rim of the sheet is bare paper"
    inner = (slice(None), slice(6, -6), slice(6, -6))
    pair = torch.stack([plain[inner].flatten(), painted[inner].flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.85
    assert painted[inner].std() < plain[inner].std()


def test_step_printing_holds_its_pictures() -> None:
    scene = _scene(_cast(behaviour="bounce"), style="step-printing")
    pages = _pages(_renderer().render([scene], width=SIDE, height=SIDE, frames=12, fps=12.0))
    for hold in range(4):
        torch.testing.assert_close(pages[3 * hold], pages[3 * hold + 2])
    changes = (pages[3::3] - pages[:-3:3]).abs().amax((1, 2, 3))
    assert (changes > 0.1).all()


@pytest.mark.parametrize("kind", ["rain", "snow"])
def test_drops_fall_and_come_round(kind: str) -> None:
    """What one depth shows at t is what it showed before, moved down by its speed."""
    side = 96
    v = (torch.arange(side) + 0.5) / side - 0.5
    loop, scene = weather.LOOP[kind], _scene(weather=kind)
    near = weather.DEPTHS[kind][-1]
    speed = near.down / loop * near.size * side  # pixels a second
    moment = 0.5 + 6 / speed  # six pixels later

    def drops(*times: float) -> Tensor:
        picture = torch.zeros(1, 3, len(times), side, side)
        weather.fall(picture, [scene], torch.tensor(times), v, v)
        return picture[0, 0]

    now, later, round_again = drops(0.5, moment, 0.5 + loop)
    torch.testing.assert_close(now, round_again, atol=2e-2, rtol=0)
    assert now.mean() > 0.01

    def likeness(shift: int) -> float:
        """Best agreement over small sideways moves when `now` is moved down by `shift`."""
        return max(
            float((now.roll((shift, aside), (0, 1)) * later).mean()) for aside in range(-3, 4)
        )

    best = max(range(-9, 10), key=likeness)
    assert 3 <= best <= 7, best


def test_fog_hides_the_place_more_than_the_actor() -> None:
    clear = _pages(_render(_scene(_cast()), frames=1))[0]
    foggy = _pages(_render(_scene(_cast(), weather="fog"), frames=1))[0]
    assert foggy[:, :32].std() < 0.8 * clear[:, :32].std()
    middle = (slice(None), int(0.62 * SIDE), SIDE // 2)
    assert foggy[middle][0] - foggy[middle][2] > 0.25, "the ball is still red"
