"""Scenes: determinism, balance, what is held out, and facts against timelines and pixels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from worldreel.errors import WorldreelError
from worldreel.world import atlas
from worldreel.world.camera import camera_path
from worldreel.world.cast import BEHAVIOURS, CAMERA_MOVES, EVENTS, CameraMove, Cast
from worldreel.world.dust import puffs
from worldreel.world.facts import boxes, facts
from worldreel.world.families import FAMILIES
from worldreel.world.motion import Stage, pose
from worldreel.world.places import place
from worldreel.world.places.window import HALF, SILL, TOP
from worldreel.world.scene import Scene, WorldConfig, is_held_out, pair_is_held_out, sample_scene

TIMES = np.arange(25) / 6
SMALL, FULL = WorldConfig.small(), WorldConfig.full()
SCENES = [sample_scene(seed, config=FULL) for seed in range(1500)]
LITTLE = [sample_scene(seed, config=SMALL) for seed in range(600)]


def _cast(**changes: object) -> Cast:
    base = Cast(kind="ball", size=0.4, width=0.4, feet=0.85, floor=0.85)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_a_seed_is_a_scene() -> None:
    for seed in range(20):
        first = sample_scene(seed, config=FULL)
        assert first == sample_scene(seed, config=FULL)
        lines = [first.timeline(TIMES, aspect=1.0) for _ in range(2)]
        np.testing.assert_array_equal(lines[0].position, lines[1].position)
    assert len({(s.place, s.actors) for s in SCENES}) > 0.98 * len(SCENES)


def test_a_timeline_is_a_function_of_time() -> None:
    """Every second moment of a finer timeline is the coarser timeline, whatever its rate."""
    for scene in SCENES[:200]:
        coarse = scene.timeline(TIMES[::2], aspect=1.0)
        fine = scene.timeline(TIMES, aspect=1.0)
        for name in ("camera", "position", "height", "flip", "angle", "phase", "squash"):
            np.testing.assert_allclose(
                getattr(fine, name)[::2], getattr(coarse, name), atol=1e-5, err_msg=name
            )


def test_held_out_pairs_are_never_in_training_and_always_in_unseen() -> None:
    assert not any(is_held_out(s) for s in SCENES)
    for seed in range(100):
        assert is_held_out(sample_scene(seed, config=FULL, split="unseen"))
        assert not is_held_out(sample_scene(seed, config=SMALL, split="seen"))
    pairs = [pair_is_held_out("place", k.name, p) for k in atlas.kinds() for p in FULL.places]
    assert 0.08 < np.mean(pairs) < 0.15
    with pytest.raises(WorldreelError, match="train, seen, unseen"):
        sample_scene(0, config=SMALL, split="test")


def test_every_factor_covers_its_whole_range() -> None:
    casts = [cast for scene in SCENES for cast in scene.actors]
    assert {c.behaviour for c in casts} == set(BEHAVIOURS)
    assert {s.camera.name for s in SCENES} == set(CAMERA_MOVES)
    assert {s.event for s in SCENES} == {*EVENTS, None}
    assert {s.place for s in SCENES} == set(FULL.places)
    more = [c for k in range(1500, 5000) for c in sample_scene(k, config=FULL).actors]
    assert {c.kind for c in (*casts, *more)} >= set(FULL.kinds)
    assert {c.colour for c in casts} == {*atlas.COLOURS, None}
    assert {len(s.actors) for s in SCENES if not s.family} == {1, 2, 3}
    small = [cast for scene in LITTLE for cast in scene.actors]
    assert {c.kind for c in small} == set(SMALL.kinds)
    assert {c.behaviour for c in small} <= set(SMALL.behaviours)
    assert {s.camera.name for s in LITTLE} == set(SMALL.cameras)


@pytest.mark.parametrize("scenes", [SCENES, LITTLE])
def test_left_is_balanced_with_right(scenes: list) -> None:
    """Directions, facings, pans and sides are fair coins: within 4 standard deviations."""
    casts = [c for s in scenes for c in s.actors]
    counts = [
        Counter(c.direction for c in casts if c.travels),
        Counter(c.facing for c in casts),
        Counter(s.camera.name for s in scenes),
        Counter("left" if c.slot < 0 else "right" for c in casts if not c.travels),
    ]
    for count, (a, b) in zip(
        counts,
        [("left", "right"), (-1, 1), ("pan left", "pan right"), ("left", "right")],
        strict=True,
    ):
        total = count[a] + count[b]
        assert abs(count[a] - count[b]) < 4 * np.sqrt(total), count


def test_colour_tells_nothing_of_kind() -> None:
    """Every recolourable kind of the small world wears all of its allowed colours."""
    worn = {(c.kind, c.colour) for s in LITTLE for c in s.actors if c.colour}
    worn |= {
        (c.kind, c.colour)
        for seed in range(600, 3000)
        for c in sample_scene(seed, config=SMALL).actors
        if c.colour
    }
    for name in SMALL.kinds:
        if atlas.kind(name).recolourable:
            allowed = {c for c in SMALL.colours if not pair_is_held_out("colour", name, c)}
            assert {c for k, c in worn if k == name} == allowed, name


@pytest.mark.parametrize("aspect", [9 / 16, 1.0, 16 / 9])
def test_actors_are_in_view_most_of_the_time(aspect: float) -> None:
    shares = []
    for scene in LITTLE[:200]:
        for actor in facts(scene, TIMES, aspect)["actors"]:
            assert actor["seen"] is not None, scene
            shares.append(np.mean(actor["in_view"]))
    assert np.mean(shares) > 0.85


def test_actors_face_where_they_go() -> None:
    for scene in SCENES[:500]:
        line = scene.timeline(TIMES, aspect=1.0)
        for index, cast in enumerate(scene.actors):
            if cast.directional and cast.travels and cast.direction in ("left", "right"):
                step = np.diff(line.position[:, index, 0])
                moving = np.abs(step) > 0.01
                flip = line.flip[:-1, index]
                # One step may straddle the moment of turning round.
                assert (np.sign(step) != flip)[moving].sum() <= 1, (scene.seed, cast)


def test_facts_say_the_direction_that_was_meant() -> None:
    for scene in LITTLE:
        for cast, actor in zip(scene.actors, facts(scene, TIMES, 1.0)["actors"], strict=True):
            if cast.travels and cast.behaviour != "leave":
                assert actor["direction"]["world"] == cast.direction, (scene.seed, cast)


def test_sizes_are_as_configured() -> None:
    longs = [max(c.size, c.width) for s in LITTLE for c in s.actors]
    assert min(longs) >= SMALL.sizes[0] - 1e-6
    assert max(longs) <= SMALL.sizes[1] + 1e-6
    larger = sample_scene(3, config=replace(SMALL, actor_scale=1.2))
    for big, normal in zip(larger.actors, sample_scene(3, config=SMALL).actors, strict=True):
        assert big.size == pytest.approx(1.2 * normal.size)


def test_pans_move_the_camera_by_their_name() -> None:
    def path(name: str, amount: float = 0.4) -> np.ndarray:
        move = CameraMove(name=name, amount=amount)
        return camera_path(move, TIMES, duration=4.0, aspect=1.0, followed=None)

    assert np.all(np.diff(path("pan right")[:24, 0]) > 0)
    np.testing.assert_allclose(path("pan left")[:, 0], -path("pan right")[:, 0])
    assert path("tilt up", 0.15)[-1, 1] < 0.5 < path("tilt down", 0.15)[-1, 1]
    assert path("zoom in")[-1, 2] == pytest.approx(np.exp(0.4))
    np.testing.assert_allclose(path("zoom out")[:25, 2], path("zoom in")[:25, 2][::-1], rtol=1e-5)


def test_the_view_stays_inside_the_painting() -> None:
    for scene in SCENES[:400]:
        camera = scene.timeline(TIMES, aspect=1.0).camera
        half = 0.5 / camera[:, 2]
        assert np.all(camera[:, 1] - half >= -0.2501) and np.all(camera[:, 1] + half <= 1.2501)


def test_rolling_is_without_slipping() -> None:
    cast = _cast(behaviour="roll", direction="right", reach=(-0.8, 0.8))
    rolled = pose(cast, TIMES[:24], Stage(aspect=1.0, duration=4.0))
    np.testing.assert_allclose(np.diff(rolled.angle) * 0.2, np.diff(rolled.x), atol=1e-6)


def test_a_fall_is_a_parabola_until_the_ground() -> None:
    cast = _cast(behaviour="fall", direction="down", phase=0.5)
    fallen = pose(cast, np.arange(0, 0.8, 0.1), Stage(aspect=1.0, duration=4.0))
    free = 0.20 + 0.5 * 0.8 * 1.7 * np.arange(0, 0.8, 0.1) ** 2
    np.testing.assert_allclose(fallen.y, free, atol=0.02)  # semi-implicit Euler at 60 Hz
    late = pose(cast, np.array([3.9]), Stage(aspect=1.0, duration=4.0))
    assert late.y[0] == pytest.approx(cast.feet, abs=0.01)


def test_a_bounce_comes_back_and_never_sinks_into_the_ground() -> None:
    cast = _cast(behaviour="bounce", size=0.4)
    bounced = pose(cast, np.arange(0, 4, 1 / 60), Stage(aspect=1.0, duration=4.0))
    assert bounced.y.max() <= cast.feet + 1e-9
    lows = (np.diff(np.sign(np.diff(bounced.y))) < 0).sum()
    assert 3 <= lows <= 12


def test_heads_without_bodies_do_not_walk() -> None:
    for scene in SCENES:
        for cast in scene.actors:
            if atlas.kind(cast.kind).group == "face":
                assert cast.behaviour not in ("walk", "run", "drive", "dance"), cast


def test_who_lives_where() -> None:
    for scene in SCENES:
        where = place(scene.place)
        media = set(where.media) | ({"water"} if where.water else set())
        for cast in scene.actors:
            assert cast.medium in media, (scene.place, cast)
            if atlas.kind(cast.kind).group == "boat":
                assert scene.place != "under water"


def test_boxes_of_a_resting_actor_are_its_content() -> None:
    """A ball of 0.4 at rest at (0, 0.85) in a still view is in a box known by hand."""
    scene = replace(
        LITTLE[0],
        camera=CameraMove(),
        actors=(_cast(behaviour="idle", medium="ground", phase=0.0, facing=1),),
    )
    line = scene.timeline([0.0], aspect=2.0)
    kind = atlas.kind("ball")
    half = 0.4 * kind.width / kind.height / 2
    box = boxes(scene, line, aspect=2.0)[0, 0]
    np.testing.assert_allclose(box, [0.5 - half / 2, 0.45, 0.5 + half / 2, 0.85], atol=1e-5)


def test_pixels_of_actors_lie_in_their_boxes() -> None:
    torch = pytest.importorskip("torch")
    render = pytest.importorskip("worldreel.world.render")
    renderer = render.Renderer(unit=64, side=48, variants=1)
    plain = [s for s in LITTLE if s.weather == "clear" and len(s.actors) == 1][:12]
    for scene in plain:
        side, frames = 64, 4
        rendered = renderer.render([scene], width=side, height=side, frames=frames, fps=1.0)
        covered = (rendered.coverage[0] > 0.3).numpy()
        line = scene.timeline(np.arange(frames), aspect=1.0)
        box = boxes(scene, line, aspect=1.0)[:, 0] * side
        for frame in range(frames):
            rows, columns = np.nonzero(covered[frame])
            left, top, right, bottom = box[frame]
            if len(rows):
                assert rows.min() >= top - 2 and rows.max() + 1 <= bottom + 2, scene
                assert columns.min() >= left - 2 and columns.max() + 1 <= right + 2, scene
    assert torch.isfinite(rendered.frames).all()


def test_passing_behind_is_seen_in_the_facts() -> None:
    passing = [s for s in SCENES if s.event == "pass"]
    hidden = [facts(s, TIMES, 1.0)["actors"][0]["occluded_at"] for s in passing]
    assert np.mean([bool(h) for h in hidden]) > 0.7


def _family(name: str) -> list[Scene]:
    config = replace(FULL, families=1.0)
    scenes = [sample_scene(seed, config=config) for seed in range(60)]
    return [s for s in scenes if s.family == name]


def test_a_steep_road_is_driven_up_and_wheels_stand_on_it() -> None:
    for scene in _family("white suv"):
        cast, aspect = scene.actors[0], 16 / 9
        sign = 1.0 if cast.direction == "right" else -1.0
        assert scene.slope * sign == pytest.approx(-0.24)  # y runs down
        line = scene.timeline(TIMES, aspect=aspect)
        aside = line.position[:, 0, 0] - line.camera[:, 0]
        np.testing.assert_allclose(line.ground[:, 0] - cast.feet, scene.slope * aside, atol=1e-5)
        assert np.all(np.abs(line.angle[:, 0] - np.arctan(scene.slope)) < 0.04)
    level = [s for s in SCENES if s.place != "dirt road among pines"]
    assert all(s.slope == 0 for s in level)


def test_dust_stays_where_it_was_raised() -> None:
    """Puffs are matter: between two moments they stay in place, but for being drawn along."""
    scene = next(s for s in _family("white suv") if s.weather == "clear")
    times = np.arange(0.02, 2, 0.04, dtype=np.float32)
    table = puffs([scene], times, aspect=1.0)
    assert table is not None and np.isfinite(table).all()
    x, opacity = table[0, ..., 0], table[0, ..., 3]
    wheels = scene.timeline(times, aspect=1.0).position[:, 0, 0]
    sign = 1.0 if scene.actors[0].direction == "right" else -1.0
    assert np.all(((wheels[:, None] - x) * sign)[opacity > 0.01] > 0)  # behind the car
    steps = np.diff(x[:, 3]) * sign  # the fourth youngest: an older puff, then the next one
    pace = (wheels[-1] - wheels[0]) / (times[-1] - times[0]) * sign
    assert np.median(steps) < 0.55 * pace * 0.04
    later = puffs([scene], times[10:], aspect=1.0)
    np.testing.assert_array_equal(later, table[:, 10:])
    assert puffs([replace(scene, weather="rain")], times, aspect=1.0) is None


def test_who_looks_out_of_a_window_is_seen_in_it() -> None:
    for scene in _family("burano dalmatian"):
        assert scene.window and "window" in scene.captions(np.random.default_rng(0)).sentence
        box = boxes(scene, scene.timeline([0.0], aspect=1.0), aspect=1.0)[0, 0]
        assert box[0] > 0.5 - HALF - 0.02 and box[2] < 0.5 + HALF + 0.02
        assert box[1] > TOP and SILL < box[3] < SILL + 0.09  # its paws are behind the flowers
    assert not any(s.window for s in LITTLE)


def test_each_family_is_shown() -> None:
    config = replace(FULL, families=1.0)
    shown = {sample_scene(seed, config=config).family for seed in range(60)}
    shown |= {sample_scene(seed, config=config, split="unseen").family for seed in range(20)}
    assert shown == set(FAMILIES)
