"""Stories: who stays, what changes, what is held out, and what the words must say."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from worldreel.errors import WorldreelError
from worldreel.world import atlas, casting, words
from worldreel.world.acting import doings
from worldreel.world.config import WorldConfig
from worldreel.world.places import place
from worldreel.world.scene import is_held_out
from worldreel.world.story import sample_story

SMALL, FULL = WorldConfig.small(), WorldConfig.full()
LITTLE = [sample_story(seed, config=SMALL, shots=3) for seed in range(300)]
LARGE = [sample_story(seed, config=FULL, shots=3) for seed in range(200)]


def test_a_seed_is_a_story() -> None:
    for seed in range(20):
        assert sample_story(seed, config=FULL) == sample_story(seed, config=FULL)
    assert len({(s.hero.kind, s.hero.colour, s.scenes[0].place) for s in LARGE}) > 150
    seeds = [scene.seed for story in LITTLE for scene in story.scenes]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("stories", [LITTLE, LARGE])
def test_the_hero_and_the_film_stay(stories: list) -> None:
    for story in stories:
        assert len(story.scenes) == 3
        heroes = {(s.actors[0].kind, s.actors[0].colour, s.actors[0].feeling) for s in story.scenes}
        assert len(heroes) == 1
        assert len({scene.style for scene in story.scenes}) == 1
        for scene in story.scenes:  # nobody can be mistaken for the hero
            assert [c.kind for c in scene.actors].count(story.hero.kind) == 1


@pytest.mark.parametrize("stories", [LITTLE, LARGE])
def test_everything_else_changes_at_a_cut(stories: list) -> None:
    config = SMALL if stories is LITTLE else FULL
    cuts = [
        (a, b)
        for story in stories
        if len(casting.homes(atlas.kind(story.hero.kind), config)) > 1
        for a, b in pairwise(story.scenes)
    ]
    assert 0.65 < np.mean([a.place != b.place for a, b in cuts]) < 0.87
    assert all(a.variant == b.variant for a, b in cuts if a.place == b.place)
    for name, least in (("behaviour", 0.4), ("size", 0.8), ("facing", 0.4)):
        changed = [getattr(a.actors[0], name) != getattr(b.actors[0], name) for a, b in cuts]
        assert np.mean(changed) > least, name
    assert np.mean([a.camera.name != b.camera.name for a, b in cuts]) > 0.5


def test_friends_come_along_and_strangers_pass_by() -> None:
    back, new = 0, 0
    for story in LITTLE:
        seen = [{(c.kind, c.colour) for c in scene.actors[1:]} for scene in story.scenes]
        for before, after in pairwise(seen):
            back += bool(before & after)
            new += bool(after and not before & after)
    assert back > 60 and new > 60
    assert {len(scene.actors) for story in LITTLE for scene in story.scenes} == {1, 2}


def test_all_can_do_what_they_do_where_they_are() -> None:
    for stories, config in ((LITTLE, SMALL), (LARGE, FULL)):
        for scene in (scene for story in stories for scene in story.scenes):
            for cast in scene.actors:
                able = doings(atlas.kind(cast.kind), place(scene.place), config)
                assert (cast.behaviour, cast.medium) in {d[:2] for d in able}, (scene.place, cast)


def test_held_out_combinations() -> None:
    for story in (*LITTLE, *LARGE):
        assert not any(map(is_held_out, story.scenes))
    for seed in range(60):
        assert any(map(is_held_out, sample_story(seed, config=SMALL, split="unseen").scenes))
        assert not any(map(is_held_out, sample_story(seed, config=FULL, split="seen").scenes))


def test_every_shot_names_the_hero() -> None:
    """Each text is all that its shot's patches read: kind and colour are in every one."""
    again, numbered = 0, 0
    for story in LITTLE:
        told = story.captions(np.random.default_rng(story.seed))
        kind = atlas.kind(story.hero.kind)
        names = {n.lower() for n in (kind.noun, *kind.synonyms)}
        for index, captions in enumerate(told, 1):
            for text in (captions.prompt, captions.sentence, captions.dense):
                assert any(name in text.lower() for name in names), text
                if story.hero.colour:
                    shades = words.COLOUR_WORDS[story.hero.colour]
                    assert any(shade in text for shade in shades) or any(
                        shade in text.lower() for shade in shades
                    ), text
                marked = "shot" in text.lower().split()[0]
                assert not marked or text.lower().startswith((f"shot {index}: ", f"shot {index}. "))
                numbered += marked
                repeated = "the same " in text or " again " in text or "The same " in text
                assert not repeated or index > 1
                again += repeated
    assert 0.3 < numbered / (9 * len(LITTLE)) < 0.5
    assert 0.1 < again / (6 * len(LITTLE)) < 0.5


def test_the_whole_is_its_numbered_shots() -> None:
    for story in LITTLE[:50]:
        text = story.whole(np.random.default_rng(0))
        places = [text.index(f"Shot {number}") for number in (1, 2, 3)]
        assert places == sorted(places) and places[0] == 0


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_left_is_balanced_with_right(split: str) -> None:
    stories = LITTLE
    if split == "unseen":
        stories = [sample_story(seed, config=SMALL, split=split) for seed in range(300)]
    ways = [c.direction for s in stories for scene in s.scenes for c in scene.actors if c.travels]
    left, right = ways.count("left"), ways.count("right")
    assert abs(left - right) < 4 * np.sqrt(left + right)


def test_what_cannot_be_told() -> None:
    with pytest.raises(WorldreelError, match="train, seen, unseen"):
        sample_story(0, config=SMALL, split="test")
    with pytest.raises(WorldreelError, match="1 to 16 shots; the nearest is 16"):
        sample_story(0, config=SMALL, shots=99)
