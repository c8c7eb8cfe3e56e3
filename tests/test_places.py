"""Places: periodic, resolution-free, deterministic, opaque where they must be, and told apart."""

from __future__ import annotations

import numpy as np
import pytest

from worldreel.world.places import Layers, paint, place, places
from worldreel.world.places.brush import Canvas, waves

MINIMUM = {
    "beach",
    "meadow",
    "forest",
    "desert",
    "snowy mountains",
    "city street",
    "neon city street",
    "dirt road among pines",
    "art gallery",
    "canal",
    "under water",
    "space",
    "kitchen table",
}


def flat(layers: Layers) -> np.ndarray:
    """The layers laid over one another: float32 [3, H, W] in 0..255."""
    picture = layers.sky[:3].astype(np.float32)
    for layer in (layers.middle, layers.ground):
        picture = layer[:3] + picture * (1 - layer[3:].astype(np.float32) / 255)
    return picture


def shrink(picture: np.ndarray, factor: int) -> np.ndarray:
    c, h, w = picture.shape
    return picture.reshape(c, h // factor, factor, w // factor, factor).mean((2, 4))


def first_time(name: str) -> str:
    return place(name).times[0]


def test_catalogue_is_whole() -> None:
    known = places()
    assert {p.name for p in known} >= MINIMUM
    assert len({p.name for p in known}) == len(known)
    assert sum(p.rank == 1 for p in known) == 8
    for p in known:
        assert len(p.phrases) >= 5 and len(p.description) >= 3
        assert p.times and set(p.times) <= {"day", "dusk", "night"}
        assert p.weathers and set(p.weathers) <= {"clear", "rain", "snow", "fog"}
        assert p.media and p.media <= {"ground", "air", "water"}
        assert all(0.2 < v < 1.1 for t in p.times for v in p.lit[t])


def test_no_phrase_names_two_places() -> None:
    phrases = [phrase for p in places() for phrase in p.phrases]
    assert len(set(phrases)) == len(phrases)


@pytest.mark.parametrize("name", [p.name for p in places()])
def test_layers(name: str) -> None:
    for time in place(name).times:
        layers = paint(name, time=time, variant=1, unit=32)
        for layer in (layers.sky, layers.middle, layers.ground):
            assert layer.shape == (4, 48, 128) and layer.dtype == np.uint8
            assert (layer[:3] <= layer[3:]).all(), "premultiplied colour above its alpha"
        assert (layers.sky[3] == 255).all()
        # Below y = 0.78 there is ground under the feet, with no crack in it.
        assert (layers.ground[3, round(1.03 * 32) : round(1.5 * 32)] == 255).all()
        # Above the horizon the sky or the wall behind it must show a picture, not one colour.
        assert flat(layers).std() > 8


@pytest.mark.parametrize("name", [p.name for p in places()])
def test_period_has_no_seam(name: str) -> None:
    layers = paint(name, time=first_time(name), variant=2, unit=48)
    picture = flat(layers)
    steps = np.abs(np.diff(picture, axis=2)).mean((0, 1))
    seam = np.abs(picture[:, :, 0] - picture[:, :, -1]).mean()
    assert seam <= steps.max() * 1.05


@pytest.mark.parametrize("name", [p.name for p in places()])
def test_same_picture_at_any_unit(name: str) -> None:
    time = first_time(name)
    small = flat(paint(name, time=time, variant=0, unit=48))
    large = shrink(flat(paint(name, time=time, variant=0, unit=96)), 2)
    error = np.abs(small - large).mean()
    other = np.abs(small - flat(paint(name, time=time, variant=2, unit=48))).mean()
    assert error < 5.0
    assert error < 0.5 * other


def test_deterministic() -> None:
    for p in places()[::4]:
        first, again = (paint(p.name, time=p.times[0], variant=4, unit=32) for _ in range(2))
        for layer in ("sky", "middle", "ground"):
            assert np.array_equal(getattr(first, layer), getattr(again, layer))


def test_times_differ_in_brightness() -> None:
    for p in places()[::2]:
        if {"day", "night"} <= set(p.times):
            day, night = (
                flat(paint(p.name, time=t, variant=0, unit=32)).mean() for t in ("day", "night")
            )
            assert day > 1.25 * night, p.name


def test_nearest_neighbour_tells_places_apart() -> None:
    """Colours on a coarse grid, averaged along x, already name the place of unseen variants."""

    def signature(name: str, time: str, variant: int) -> np.ndarray:
        picture = flat(paint(name, time=time, variant=variant, unit=32))[:, 8:40]
        return np.concatenate([picture.mean(2).ravel(), picture.std(2).ravel()])

    names = [p.name for p in places() if p.rank == 1]
    known = {n: signature(n, place(n).times[0], 0) for n in names}
    for name in names:
        fresh = signature(name, place(name).times[0], 7)
        best = min(known, key=lambda n: float(np.abs(known[n] - fresh).mean()))
        assert best == name


def test_shapes_have_their_area_at_any_unit() -> None:
    """An ellipse and a triangle cover pi r1 r2 and half base times height, seam or no seam."""
    for unit in (32, 96):
        for x in (0.0, 1.95):
            canvas = Canvas(unit, (1.0, 1.0, 1.0))
            canvas.ellipse(x, 0.5, 0.3, 0.2, "ffffff")
            area = canvas.pixels[..., 3].sum() / unit**2
            assert area == pytest.approx(np.pi * 0.06, rel=0.02)
            canvas = Canvas(unit, (1.0, 1.0, 1.0))
            canvas.facet([(x - 0.2, 0.8), (x + 0.2, 0.8), (x, 0.2)], "ffffff")
            assert canvas.pixels[..., 3].sum() / unit**2 == pytest.approx(0.12, rel=0.02)


def test_waves_are_periodic() -> None:
    curve = waves(np.random.default_rng(0), 0.5, 0.1, 2, 7)
    x = np.linspace(-2, 2, 50, dtype=np.float32)
    assert np.allclose(curve(x), curve(x + 4), atol=1e-4)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="beach"):
        paint("moonbase", time="day", variant=0, unit=32)
    with pytest.raises(ValueError, match="night"):
        paint("space", time="day", variant=0, unit=32)
    with pytest.raises(ValueError, match="variant"):
        paint("beach", time="day", variant=-1, unit=32)
    with pytest.raises(ValueError, match="unit"):
        paint("beach", time="day", variant=0, unit=7)
