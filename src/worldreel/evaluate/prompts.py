"""What the benchmark asks: prompts in the grammar of captions that leave nothing open.

A training caption may leave out the direction or the camera; a question must not, or a right
answer could be marked wrong. So the sentence always says colour, place, time, direction and the
camera's move. Scenes whose truth the eye cannot tell are not asked: an actor mostly hidden or out
of view, or a pan that goes along with the only actor (which looks like a follow).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from worldreel.evaluate.lessons import clear_camera, moments
from worldreel.world import captions, words
from worldreel.world.config import WorldConfig
from worldreel.world.facts import facts
from worldreel.world.places import place
from worldreel.world.scene import Scene, sample_scene
from worldreel.world.words import article, seen

__all__ = ["DIMENSIONS", "Question", "WordPair", "questions", "word_pairs"]

DIMENSIONS = ("place", "colour", "kind", "motion", "camera", "binding")
TWO = 0.3
"""Share of questions about two actors; only they ask for binding, only the others for kind,
colour and motion."""
PAINTED = 0.6
"""Share of the one-actor questions that ask for a colour (in the world it is a third)."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt, the scene that it describes, and the seed of the noise to answer it from."""

    scene: Scene
    prompt: str
    seed: int

    @property
    def asks(self) -> tuple[str, ...]:
        """The dimensions that this prompt settles."""
        always = ("place", "camera") if clear_camera(self.scene) else ("place",)
        if len(self.scene.actors) > 1:
            return (*always, "binding")
        cast = self.scene.actors[0]
        colour = ("colour",) if cast.colour else ()
        motion = ("motion",) if cast.direction != "none" else ()
        return (*always, "kind", *colour, *motion)


@dataclass(frozen=True, kw_only=True)
class WordPair:
    """One scene asked twice with the same noise: with a word seen in training and with its
    held-out synonym. `asks` is what the word decides."""

    word: str
    asks: str
    seen: Question
    held_out: Question


def sentence(scene: Scene, rng: np.random.Generator, *, plain: bool = False) -> str:
    """A caption that states every factor; `plain` takes the first wording of each."""
    order = [0] if plain or len(scene.actors) == 1 else rng.permutation(len(scene.actors))
    clauses = []
    for index in order:
        cast = scene.actors[int(index)]
        who = captions.noun(cast, rng, plain=1.0 if plain else 0.6)
        does = captions.verb(cast, rng, gerund=False, direction=1.0)
        clauses.append(f"{article(who)} {does}")
    where = _worded(place(scene.place).phrases, rng, plain)
    when = "" if len(place(scene.place).times) == 1 else _worded(
        words.TIME_PHRASES[scene.time], rng, plain
    )  # fmt: skip
    setting = where if not when or when.split()[-1] in where.split() else f"{where} {when}"
    view = _worded(words.CAMERA_PHRASES[scene.camera.name], rng, plain)
    text = f"{' and '.join(clauses)} {setting}"
    return f"{text[:1].upper()}{text[1:]}. {view[:1].upper()}{view[1:]}."


def _worded(options: tuple[str, ...], rng: np.random.Generator, plain: bool) -> str:
    allowed = seen(options)
    return allowed[0 if plain else int(rng.integers(len(allowed)))]


def visible(scene: Scene) -> bool:
    """Whether every actor is mostly in view and mostly in front at most judged moments."""
    for actor in facts(scene, moments(), 1.0)["actors"]:
        shown = np.asarray(actor["in_view"])
        hidden = np.asarray(actor["occluded"])
        if float(shown.mean()) < 0.55 or float(((shown > 0.5) & (hidden < 0.4)).mean()) < 0.6:
            return False
    return True


def questions(world: WorldConfig, *, split: str, count: int, start: int = 0) -> list[Question]:
    """`count` questions on scenes of `split` ("seen" or "unseen"), always the same ones."""
    two = round(TWO * count)
    painted = round(PAINTED * (count - two))
    room = {"two": two, "painted": painted, "unpainted": count - two - painted}
    chosen: list[Question] = []
    for scene in _scenes(world, split, start):
        if len(chosen) == count:
            break
        group = "unpainted"
        if len(scene.actors) > 1:
            group = "two"
        elif scene.actors[0].colour:
            group = "painted"
        if room[group] > 0 and visible(scene):
            room[group] -= 1
            text = sentence(scene, np.random.default_rng([scene.seed, 5]))
            chosen.append(Question(scene=scene, prompt=text, seed=scene.seed))
    return chosen


def _scenes(world: WorldConfig, split: str, start: int) -> Iterator[Scene]:
    seed = start
    while True:
        yield sample_scene(seed, config=world, split=split)
        seed += 1


_COLOURS = ("crimson", "azure", "violet", "emerald")
_PLACES = ("seaside", "prairie")
_VERBS = ("strolls", "sprints")


def asked_by(word: str) -> str:
    """What a held-out word decides: colour, place, motion, time or kind; "" if nothing judged."""
    if word in _COLOURS:
        return "colour"
    if word in _PLACES:
        return "place"
    if word in _VERBS:
        return "motion"
    return "time" if word == "nighttime" else "" if word == "leaps" else "kind"


def word_pairs(world: WorldConfig, *, each: int, start: int = 1_000_000) -> list[WordPair]:
    """For every held-out word that this world can show, `each` pairs of prompts on seen
    combinations with one actor; they differ in this one word (and its article)."""
    room = {w: each for w in words.HELD_OUT_WORDS if asked_by(w)}
    pairs: list[WordPair] = []
    for index, scene in enumerate(_scenes(world, "seen", start)):
        if not room or index > 4000:
            break
        if len(scene.actors) != 1 or not visible(scene):
            continue
        text = sentence(scene, np.random.default_rng([scene.seed, 6]), plain=True)
        for word in sorted(room):
            other = _with(word, text)
            if other is None or not _decides(word, scene):
                continue
            first = Question(scene=scene, prompt=text, seed=scene.seed)
            second = replace(first, prompt=other)
            pairs.append(WordPair(word=word, asks=asked_by(word), seen=first, held_out=second))
            room[word] -= 1
            if not room[word]:
                del room[word]
            break
    return pairs


def _with(word: str, text: str) -> str | None:
    """`text` with the held-out `word` for its seen synonym; None where that does not occur."""
    known = words.HELD_OUT_WORDS[word]
    swapped = re.sub(rf"\b{known}\b", word, text)
    swapped = re.sub(r"\b([Aa])n? (?=[aeio])", r"\1n ", swapped)
    swapped = re.sub(r"\b([Aa])n (?=[^aeio ])", r"\1 ", swapped)
    return None if word not in swapped else swapped


def _decides(word: str, scene: Scene) -> bool:
    """Whether the scene's truth hangs on the word (a "red fox" is no question of colour)."""
    asks, cast = asked_by(word), scene.actors[0]
    if asks == "colour":
        return cast.colour == words.HELD_OUT_WORDS[word]
    if asks == "motion":
        return cast.direction in ("left", "right")
    return True
