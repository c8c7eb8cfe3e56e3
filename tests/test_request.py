"""Requests, recipes and the arithmetic of shapes: what is asked for, before any network."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from worldreel import shapes
from worldreel.errors import (
    DurationError,
    MediaError,
    ModelError,
    PromptError,
    RecipeError,
    RequestError,
    SizeError,
    WorldreelError,
    shown,
)
from worldreel.recipe import Recipe, pack, unpack
from worldreel.request import MAX_PROMPT, MAX_SEED, Request

NATIVES = [(128, 128), (176, 96), (96, 176)]


def test_light_modules_import_no_torch() -> None:
    code = (
        "import sys, worldreel.errors, worldreel.shapes, worldreel.request, worldreel.recipe;"
        "print(sorted({'torch', 'av', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("temporal", [1, 2, 4, 8])
def test_frames_and_latents_are_inverse(temporal: int) -> None:
    for latents in range(1, 40):
        frames = shapes.frames_of_latents(latents, temporal=temporal)
        assert shapes.latent_frames(frames, temporal=temporal) == latents
        # The nearest count to a duration that fits exactly is that count, at any rate.
        for fps in (7.5, 12, 29.97):
            assert shapes.nearest_frames(frames / fps, fps, temporal=temporal) == frames


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.4, 1, 2.03, 4, 7.77, 60])
def test_nearest_frames_is_nearest(seconds: float) -> None:
    best = min(range(1, 2000, 4), key=lambda n: (abs(n - seconds * 12), -n))
    assert shapes.nearest_frames(seconds, 12) == best


def test_the_spine_has_832_patches() -> None:
    latents = shapes.latent_shape(49, 128, 128)
    assert latents == (13, 16, 16)
    assert shapes.patch_grid(latents) == (13, 8, 8)
    assert shapes.patch_count(latents) == 832


@pytest.mark.parametrize("bad", [(48, 128, 128), (49, 127, 128), (49, 128, 4), (0, 8, 8)])
def test_shapes_that_do_not_fit_are_a_bug(bad: tuple[int, int, int]) -> None:
    with pytest.raises(AssertionError):
        shapes.latent_shape(*bad)


def test_native_size_is_nearest_in_aspect_and_symmetric() -> None:
    assert shapes.native_size(1280, 720, NATIVES) == (176, 96)
    assert shapes.native_size(720, 1280, NATIVES) == (96, 176)
    assert shapes.native_size(512, 512, NATIVES) == (128, 128)
    for width in range(64, 1920, 97):
        for height in range(64, 1920, 89):
            w, h = shapes.native_size(width, height, NATIVES)
            assert shapes.native_size(height, width, NATIVES) == (h, w)
    # Equal aspects: the nearer area.
    assert shapes.native_size(250, 250, [(128, 128), (256, 256)]) == (256, 256)


def test_whatever_does_not_fit_has_a_nearest_that_does() -> None:
    for width in (0, 1, 63, 64, 65, 333, 640, 1919, 1920, 1921, 10**9):
        for height in (0, 1, 63, 64, 65, 333, 640, 1919, 1920, 1921, 10**9):
            fitted = shapes.fit_size(width, height)
            assert shapes.check_size(*fitted) == fitted
            try:
                assert shapes.check_size(width, height) == fitted
            except SizeError as error:
                assert f"the nearest is {fitted[0]}x{fitted[1]}" in str(error)


@pytest.mark.parametrize("area", [128 * 128, 512 * 512, 2**20])
@pytest.mark.parametrize("aspect", [1 / 3, 0.5625, 1, 1.5, 16 / 9, 2.39, 3])
def test_aspect_size(aspect: float, area: int) -> None:
    width, height = shapes.aspect_size(aspect, area=area)
    assert width % 2 == height % 2 == 0
    assert shapes.check_size(width, height) == (width, height)
    assert width / height == pytest.approx(aspect, rel=0.035)


@pytest.mark.parametrize(
    ("text", "size"), [("1280x720", (1280, 720)), (" 64X64 ", (64, 64)), ("300×200", (300, 200))]
)
def test_sizes_as_people_type_them(text: str, size: tuple[int, int]) -> None:
    assert shapes.parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "x", "1280", "1280x", "-64x64", "1e3x64", "64x63", "9999999999x64", "64.5x64"]
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(SizeError):
        shapes.parse_size(text)


def test_aspects() -> None:
    assert shapes.parse_aspect("16:9") == shapes.parse_aspect("16/9") == 16 / 9
    assert shapes.parse_aspect("2.39") == 2.39
    assert shapes.parse_aspect("3:1") == 3
    assert shapes.parse_aspect("1:3") == 1 / 3
    for bad in ("", "wide", "16:0", "0:9", "4:1", "1:3.1", "-1:1", "nan", "1:2:3"):
        with pytest.raises(SizeError):
            shapes.parse_aspect(bad)


BAD: list[tuple[dict[str, Any], type[WorldreelError]]] = [
    ({"prompt": ""}, PromptError),
    ({"prompt": " \n\t"}, PromptError),
    ({"prompt": "\u200b\u200e"}, PromptError),
    ({"prompt": "a" * (MAX_PROMPT + 1)}, PromptError),
    ({"prompt": "a\x00b"}, PromptError),
    ({"prompt": "a\x1b[31mred"}, PromptError),
    ({"prompt": "a \ud800 surrogate"}, PromptError),
    ({"prompt": 7}, PromptError),
    ({"negative": "\x07"}, PromptError),
    ({"seconds": 0}, DurationError),
    ({"seconds": -1}, DurationError),
    ({"seconds": 10_000}, DurationError),
    ({"seconds": math.nan}, DurationError),
    ({"seconds": math.inf}, DurationError),
    ({"seconds": 10**400}, DurationError),
    ({"seconds": "4"}, DurationError),
    ({"seconds": True}, DurationError),
    ({"fps": 0}, DurationError),
    ({"fps": 61}, DurationError),
    ({"width": 63, "height": 64}, SizeError),
    ({"width": 1921, "height": 1080}, SizeError),
    ({"width": 1920, "height": 600}, SizeError),
    ({"width": 128.5, "height": 128}, SizeError),
    ({"aspect": "16:9", "width": 128, "height": 128}, SizeError),
    ({"aspect": "10:1"}, SizeError),
    ({"aspect": 0.0}, SizeError),
    ({"aspect": math.nan}, SizeError),
    ({"aspect": 1e-30}, SizeError),
    ({"seed": -1}, RequestError),
    ({"seed": MAX_SEED + 1}, RequestError),
    ({"seed": 10**5000}, RequestError),
    ({"seed": 1.0}, RequestError),
    ({"steps": 0}, RequestError),
    ({"steps": 201}, RequestError),
    ({"guidance": -0.1}, RequestError),
    ({"guidance": 31}, RequestError),
    ({"count": 0}, RequestError),
    ({"model": ""}, ModelError),
    ({"model": "a\nb\0"}, ModelError),
]


@pytest.mark.parametrize(("values", "error"), BAD)
def test_bad_requests_get_one_clear_sentence(
    values: dict[str, Any], error: type[WorldreelError]
) -> None:
    with pytest.raises(error) as caught:
        Request(**{"prompt": "a red ball"} | values)
    text = str(caught.value)
    assert text.endswith(".") and text.isprintable() and len(text) < 250
    assert isinstance(caught.value, ValueError)


def test_good_requests_keep_what_was_said() -> None:
    prompt = "女性がネオンの街を歩く 👩‍🎤 — «café»"
    request = Request(prompt=f"  {prompt}\n", seconds=1, width=64, height=1920 // 10, seed=MAX_SEED)
    assert request.prompt == prompt
    assert request.seconds == 1.0 and isinstance(request.seconds, float)
    assert Request(prompt="a" * MAX_PROMPT).prompt == "a" * MAX_PROMPT


def test_sizes_follow_the_natives() -> None:
    ask = Request(prompt="a")
    assert ask.sizes(NATIVES) == ((128, 128), (128, 128))
    assert replace(ask, width=1280, height=720).sizes(NATIVES) == ((1280, 720), (176, 96))
    assert replace(ask, aspect="1:1").sizes(NATIVES) == ((128, 128), (128, 128))
    size, native = replace(ask, aspect="9:16").sizes(NATIVES)
    assert native == (96, 176)
    assert size[0] / size[1] == pytest.approx(9 / 16, rel=0.02)
    assert size[0] * size[1] == pytest.approx(96 * 176, rel=0.03)
    assert replace(ask, width=640, aspect="16:9").sizes(NATIVES)[0] == (640, 360)
    assert replace(ask, height=360, aspect=16 / 9).sizes(NATIVES)[0] == (640, 360)
    assert replace(ask, width=200).sizes(NATIVES) == ((200, 200), (128, 128))
    with pytest.raises(SizeError):
        replace(ask, height=1920, aspect="3:1").sizes(NATIVES)


def test_seeds_are_drawn_once_and_counted_on() -> None:
    drawn = Request(prompt="a", count=3).seeded()
    assert drawn.seed is not None and drawn.seeded() is drawn
    assert [one.seed for one in drawn.each()] == [drawn.seed + i for i in range(3)]
    assert [one.seed for one in replace(drawn, seed=MAX_SEED).each()] == [MAX_SEED, 0, 1]
    assert all(one.count == 1 for one in drawn.each())


def recipe() -> Recipe:
    return Recipe(
        model="embedded",
        weights_sha256="ab" * 32,
        prompt='a "red" ball 🎈 \\ rolls',
        seed=MAX_SEED,
        seconds=49 / 12,
        width=640,
        height=360,
        native_width=176,
        native_height=96,
        fps=12,
        steps=8,
        guidance=4.5,
        version="0.1.0",
    )


def test_recipes_survive_json_exactly() -> None:
    one = recipe()
    assert Recipe.from_json(one.to_json()) == one
    assert Recipe.from_dict(unpack(pack(one.to_dict())) or {}) == one
    assert pack(one.to_dict()).isascii()
    request = one.request()
    assert (request.prompt, request.seed, request.width) == (one.prompt, MAX_SEED, 640)
    assert request.seconds == one.seconds


def test_recipes_from_strangers_are_checked() -> None:
    values = recipe().to_dict()
    later = values | {"added_later": 1}
    assert Recipe.from_dict(later) == Recipe.from_dict(values)
    for name, bad in [("seed", "1"), ("prompt", 3), ("fps", True), ("steps", 2.5), ("seed", 2**70)]:
        with pytest.raises(RecipeError):
            Recipe.from_dict(values | {name: bad})
    for name in ("model", "seed", "weights_sha256"):
        with pytest.raises(RecipeError):
            Recipe.from_dict({k: v for k, v in values.items() if k != name})
    for text in ("", "[]", "null", "{", "[" * 10_000, "x" * 300_000):
        with pytest.raises(RecipeError):
            Recipe.from_json(text)
        assert unpack(text) is None
    assert unpack('{"somebody": "else"}') is None
    assert unpack(json.dumps({"worldreel": 3})) is None
    assert issubclass(RecipeError, MediaError)


def test_messages_show_anything_safely() -> None:
    for value in ("\x1b[2J", "a\nb", "\u2028", "x" * 10_000, "\ud800", b"\0", object()):
        assert shown(value).isprintable() and len(shown(value)) <= 42
