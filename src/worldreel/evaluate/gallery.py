"""The gallery: 24 prompts at fixed seeds on one page, none picked by hand afterwards.

Half are in the grammar of captions, about combinations held out of training; half are typed as a
person would type them. Number i uses seed i, always: what the page shows is what you would get.
`python -m worldreel.evaluate.gallery OUT.png [--steps N]` makes the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from worldreel.evaluate.bench import Makes
from worldreel.evaluate.prompts import visible
from worldreel.evaluate.world import judged_world
from worldreel.request import Request
from worldreel.video import Video
from worldreel.video.sheet import contact_sheet
from worldreel.world.scene import sample_scene

__all__ = ["TYPED", "gallery", "gallery_prompts", "page"]

TYPED = (
    "a penguin waddles across the snow at night",
    "crimson automobile driving along the beach",
    "a white rabbit hopping through a green forest",
    "elephant walking in the desert at sunset, camera follows",
    "a woman strolling down a neon street",
    "ufo hovering over a meadow at night, slow zoom in",
    "little yellow fish swimming to the left under the sea",
    "a t-rex running through the desert",
    "pink balloon floating up over the mountains",
    "a blue ball bouncing on the beach",
    "rocket flying among the stars",
    "a puppy and a snowman in the snow",
)
"""Typed freely, within what the shipped model's world has."""
_GRAMMAR = 12
_FIRST_SEED = 7_000_000


def gallery_prompts() -> tuple[str, ...]:
    """The 24 prompts: 12 captions of unseen combinations (the first 12 scenes that show their
    actors, one for each actor first met), then `TYPED`."""
    captions: list[str] = []
    met: set[str] = set()
    seed = _FIRST_SEED
    world = judged_world()
    while len(captions) < _GRAMMAR:
        scene = sample_scene(seed, config=world, split="unseen")
        kinds = {cast.kind for cast in scene.actors}
        if visible(scene) and not kinds & met:
            met |= kinds
            captions.append(scene.captions(np.random.default_rng(seed)).prompt)
        seed += 1
    return (*captions, *TYPED)


def gallery(
    generator: Makes,
    *,
    prompts: Sequence[str] | None = None,
    seconds: float = 2.0,
    steps: int | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[tuple[str, Video]]:
    """(prompt, video) of every prompt, number i at seed i."""
    shown = []
    asked = tuple(prompts) if prompts is not None else gallery_prompts()
    for index, prompt in enumerate(asked):
        progress("gallery", index, len(asked))
        request = Request(prompt=prompt, seconds=seconds, seed=index, steps=steps)
        shown.append((prompt, generator.generate(request)))
    progress("gallery", len(asked), len(asked))
    return shown


def page(shown: Sequence[tuple[str, Video]], *, columns: int = 3) -> Image.Image:
    """One picture of all of them: a card each, its prompt below four moments."""
    return contact_sheet(list(shown), columns=columns, frames=4, thumb=128)


def main() -> None:
    """Makes the page for README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    from worldreel.generator import Generator

    made = gallery(Generator.load(), seconds=arguments.seconds, steps=arguments.steps)
    page(made).save(arguments.out)


if __name__ == "__main__":
    main()
