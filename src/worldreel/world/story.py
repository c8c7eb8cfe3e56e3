"""A story: several shots of one clip, in which the cast and the film stay and the rest changes.

A hero (a kind and a colour) is in every shot; a friend may come along, and strangers pass by.
Place, time of day, weather, camera, behaviour, direction and size are drawn anew at every cut,
by the same rules as a scene's. A shot is a `Scene` of its own, so that renderer, facts and
captions know nothing of stories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from worldreel.errors import WorldreelError, message
from worldreel.world import atlas, casting
from worldreel.world import captions as wording
from worldreel.world.acting import Random, doings, pick
from worldreel.world.captions import Captions
from worldreel.world.cast import Cast
from worldreel.world.config import WorldConfig
from worldreel.world.places import place
from worldreel.world.scene import SPLITS, VARIANTS, Scene, is_held_out, pair_is_held_out

MOST_SHOTS = 16
MOVES = 0.8
"""Share of cuts that go to another place, where there is one."""
_FRIEND, _COMES, _STRANGER = 0.5, 0.6, 0.15
_STREAM = 71
"""Apart from the streams of single scenes."""
_AGAIN = ("the same {}", "the same {}", "the {}", "the {} again")

Player = tuple[str, str | None]
"""A kind and the colour it wears."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """Scenes one after another; actor 0 of every scene is the hero."""

    seed: int
    scenes: tuple[Scene, ...]

    @property
    def hero(self) -> Cast:
        """Who is in every shot, as in the first one: kind, colour and feeling stay."""
        return self.scenes[0].actors[0]

    def captions(self, rng: Random) -> tuple[Captions, ...]:
        """One wording of each shot, which stands alone: it always names the hero's kind and
        colour. A share is numbered, and a share says that the hero is the one seen before."""
        number = pick(rng, ("", "Shot {}: ", "Shot {}. "), (3.0, 1.0, 1.0))
        told = []
        for index, scene in enumerate(self.scenes):
            again = pick(rng, _AGAIN) if index and rng.random() < 0.5 else ""
            told.append(_numbered(wording.caption(scene, rng, again=again), number, index + 1))
        return tuple(told)

    def whole(self, rng: Random) -> str:
        """The whole clip in one text, its shots numbered."""
        number = pick(rng, ("Shot {}: ", "Shot {}. "))
        return " ".join(
            _numbered(
                wording.caption(scene, rng, again=pick(rng, _AGAIN) if index else ""),
                number,
                index + 1,
            ).sentence
            for index, scene in enumerate(self.scenes)
        )


def _numbered(captions: Captions, number: str, shot: int) -> Captions:
    head = number.format(shot)
    return Captions(
        prompt=head.lower() + captions.prompt,
        sentence=head + captions.sentence,
        dense=head + captions.dense,
    )


def sample_story(seed: int, *, config: WorldConfig, split: str = "train", shots: int = 2) -> Story:
    """Draws a story of `shots` shots; the same arguments give the same story.

    No shot of `train` and `seen` holds a held-out combination, one of `unseen` does at least.

    Raises:
        WorldreelError: an unknown split, no shots or too many, or a config without such a story.
    """
    if split not in SPLITS:
        raise WorldreelError(f"Split {split!r} is unknown; use one of {', '.join(SPLITS)}.")
    if not 1 <= shots <= MOST_SHOTS:
        nearest = min(max(shots, 1), MOST_SHOTS)
        raise WorldreelError(
            message(f"A story of {shots} shots", f"1 to {MOST_SHOTS} shots", nearest=nearest)
        )
    rng = np.random.default_rng([seed, SPLITS.index(split), _STREAM, shots])
    for _ in range(400):
        scenes = _draw(rng, config, split, shots)
        if len(scenes) < shots or any(map(is_held_out, scenes)) != (split == "unseen"):
            continue
        numbers = range(seed * MOST_SHOTS, seed * MOST_SHOTS + shots)
        return Story(
            seed=seed,
            scenes=tuple(replace(s, seed=n) for s, n in zip(scenes, numbers, strict=True)),
        )
    raise WorldreelError(f"No {split} story fits this world of {len(config.kinds)} kinds.")


def _draw(rng: Random, config: WorldConfig, split: str, shots: int) -> list[Scene]:
    """Shots until one does not fit the split."""
    kind = atlas.kind(pick(rng, config.kinds))
    homes = casting.homes(kind, config)
    if not homes:
        return []
    where, style = pick(rng, homes), casting.film(rng, config)
    hero = _player(rng, kind.name, config, split)
    others = casting.companions(rng, kind, place(where), config) if config.max_actors > 1 else []
    friend = None
    if others and rng.random() < _FRIEND:
        friend = _player(rng, others[0].name, config, split)
    scenes: list[Scene] = []
    for index in range(shots):
        elsewhere = [home for home in homes if home != where]
        if not index:
            scene = _shot(rng, hero, friend, [where], style, config, split)
        elif elsewhere and rng.random() < MOVES:
            scene = _shot(rng, hero, friend, elsewhere, style, config, split)
        else:
            scene = _shot(rng, hero, friend, [where], style, config, split)
            if scene is not None:  # another look at the same spot
                scene = replace(scene, variant=scenes[-1].variant)
        if scene is None:
            break
        scenes.append(scene)
        where = scene.place
    return scenes


def _player(rng: Random, kind: str, config: WorldConfig, split: str) -> Player:
    """A kind in a colour that it may wear in `split`, or in the colours it was drawn in."""
    if not atlas.kind(kind).recolourable or rng.random() > 0.85:
        return kind, None
    colours = [
        c for c in config.colours if split == "unseen" or not pair_is_held_out("colour", kind, c)
    ]
    return kind, pick(rng, colours) if colours else None


def _shot(
    rng: Random,
    hero: Player,
    friend: Player | None,
    homes: Sequence[str],
    style: str,
    config: WorldConfig,
    split: str,
) -> Scene | None:
    """A shot at one of `homes`; None where all that was drawn is held out."""
    for _ in range(30):
        where = place(pick(rng, homes))
        players = [hero, *_company(rng, hero, friend, where.name, config, split)]
        draft = casting.shot(rng, players, where, config)
        scene = Scene(
            seed=0,
            place=draft.place,
            variant=int(rng.integers(VARIANTS)),
            time=draft.time,
            weather=draft.weather,
            style=style,
            camera=draft.camera,
            actors=draft.actors,
            duration=config.seconds,
        )
        if split == "unseen" or not is_held_out(scene):
            return scene
    return None


def _company(
    rng: Random,
    hero: Player,
    friend: Player | None,
    where: str,
    config: WorldConfig,
    split: str,
) -> list[Player]:
    """Who is there besides the hero: the friend, a stranger, or nobody."""
    if friend and rng.random() < _COMES and doings(atlas.kind(friend[0]), place(where), config):
        return [friend]
    if config.max_actors > 1 and rng.random() < _STRANGER:
        kinds = casting.companions(rng, atlas.kind(hero[0]), place(where), config)
        strange = [kind.name for kind in kinds if not friend or kind.name != friend[0]]
        return [_player(rng, name, config, split) for name in strange[:1]]
    return []
