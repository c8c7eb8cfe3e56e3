"""Captions: they name the truth, vary, keep held-out words out, and have their articles right."""

from __future__ import annotations

import re

import numpy as np
import pytest

from worldreel.world import atlas, words
from worldreel.world.places import place
from worldreel.world.scene import WorldConfig, sample_scene
from worldreel.world.words import HELD_OUT_WORDS, article, held_out_word, with_held_out

FULL = WorldConfig.full()
SCENES = [sample_scene(seed, config=FULL) for seed in range(400)]
RNG = np.random.default_rng
WORDED = [(scene, scene.captions(RNG(scene.seed))) for scene in SCENES]


def test_the_same_generator_words_a_scene_the_same_way() -> None:
    for scene in SCENES[:20]:
        assert scene.captions(RNG(1)) == scene.captions(RNG(1))
        assert len({scene.captions(RNG(k)).prompt for k in range(30)}) > 2


def test_held_out_words_never_occur() -> None:
    for _, captions in WORDED:
        for text in (captions.prompt, captions.sentence, captions.dense):
            assert not held_out_word(text), text


@pytest.mark.parametrize("length", ["prompt", "sentence"])
def test_every_actor_is_named_with_its_colour(length: str) -> None:
    for scene, captions in WORDED:
        if scene.family and length == "prompt":
            continue
        text = getattr(captions, length).lower()
        for cast in scene.actors:
            kind = atlas.kind(cast.kind)
            assert any(name in text for name in (kind.noun, *kind.synonyms)), (text, kind.name)
            if cast.colour:
                assert any(c in text for c in words.COLOUR_WORDS[cast.colour]), (text, cast.colour)


def test_no_other_colour_is_said_of_a_coloured_actor() -> None:
    for scene, captions in WORDED:
        if len(scene.actors) == 1 and scene.actors[0].colour and not scene.family:
            colour = scene.actors[0].colour
            places = " ".join(place(scene.place).phrases)
            for other in words.COLOUR_WORDS:
                if (
                    other != colour
                    and other not in places
                    and other
                    not in (
                        "white",
                        "orange",  # "black and white" film, "tangerine orange"
                    )
                ):
                    shades = words.COLOUR_WORDS[colour]
                    text = captions.prompt
                    for shade in shades:
                        text = text.replace(shade, "")
                    assert not re.search(rf"\b{other}\b", text), (captions.prompt, colour)


def test_direction_words_have_the_right_sign() -> None:
    """A prompt about one traveller never names the other side, but for pans and ‘from … to’."""
    for scene, captions in WORDED:
        if len(scene.actors) != 1 or scene.camera.name.startswith("pan") or scene.family:
            continue
        cast = scene.actors[0]
        if cast.travels and cast.behaviour != "leave" and cast.direction in ("left", "right"):
            wrong = {"left": r"to the right\b|rightwards", "right": r"to the left\b|leftwards"}
            assert not re.search(wrong[cast.direction], captions.prompt), captions.prompt


def test_camera_phrases_are_of_the_camera() -> None:
    for scene, captions in WORDED:
        said = [p for p in words.CAMERA_PHRASES[scene.camera.name] if p in captions.dense.lower()]
        assert said, captions.dense


def test_dense_is_longer_than_the_sentence_and_says_where() -> None:
    for scene, captions in WORDED:
        assert len(captions.dense) > len(captions.sentence)
        assert any(
            p in captions.sentence.lower() for p in map(str.lower, place(scene.place).phrases)
        )
        assert captions.sentence[0].isupper() and captions.sentence.endswith(".")
        assert "  " not in captions.dense and ",," not in captions.prompt


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("apple", "an apple"),
        ("red car", "a red car"),
        ("unicorn", "a unicorn"),
        ("ufo", "a ufo"),
        ("umbrella", "an umbrella"),
        ("orange cat", "an orange cat"),
        ("hourglass", "an hourglass"),
    ],
)
def test_articles(phrase: str, expected: str) -> None:
    assert article(phrase) == expected


def test_articles_in_captions() -> None:
    for _, captions in WORDED:
        for text in (captions.prompt, captions.sentence):
            assert not re.search(r"\ba [aeio]", text.replace("a one", "")), text
            assert not re.search(r"\ban [bcdfgjklmnpqrstvwxyz]", text), text


def test_held_out_words_can_be_put_in_for_evaluation() -> None:
    assert (
        with_held_out("a red car drives to the left") == "a crimson automobile drives to the left"
    )
    assert with_held_out("a blue bird") == "an azure bird"
    assert with_held_out("a tiger") is None
    assert 12 <= len(HELD_OUT_WORDS) <= 20


def test_every_wording_list_keeps_something_when_held_out_words_go() -> None:
    for options in (*words.COLOUR_WORDS.values(), *words.DIRECTIONS.values()):
        assert words.seen(options)
    for known in FULL.places:
        assert words.seen(place(known).phrases) and words.seen(place(known).description)
    for pairs in (*words.VERBS.values(), *words.GROUP_VERBS.values()):
        assert words.seen(p[0] for p in pairs) and words.seen(p[1] for p in pairs)
