"""Detail for a prompt that leaves much open: where, in what light, how it is filmed.

The words are those of the world that the embedded model learned from. What comes out lies in the
prompt box, to be changed or undone: what is in the box is what is made, always.
"""

from __future__ import annotations

import random
import re

__all__ = ["worded"]

_PLACES = (
    "on the beach", "in the desert", "in a green forest", "in a meadow", "in the snow",
    "under water", "on a neon street", "over the mountains", "in the park", "in the city",
    "among the stars", "in a small town",
)  # fmt: skip
_NEAR = {
    "fish": "under water", "whale": "under water", "dolphin": "under water",
    "shark": "under water", "octopus": "under water", "penguin": "in the snow",
    "snowman": "in the snow", "rocket": "among the stars", "ufo": "over the mountains",
    "car": "along a neon street", "bus": "along a neon street", "camel": "in the desert",
    "rabbit": "in a meadow", "elephant": "in the desert", "balloon": "over the mountains",
}  # fmt: skip
_LIGHTS = ("in bright daylight", "at sunset", "at dusk", "at night")
_CAMERAS = (
    "the camera follows", "the camera pans slowly to the right", "slow zoom in", "static shot",
    "the camera pans slowly to the left", "slow zoom out",
)  # fmt: skip
_MOVES = {
    "fish": "swims", "whale": "swims", "dolphin": "swims", "shark": "swims", "car": "drives",
    "bus": "drives", "rocket": "flies", "ufo": "hovers", "balloon": "floats up", "ball": "bounces",
    "rabbit": "hops", "penguin": "waddles", "bird": "flies", "snowman": "dances", "robot": "dances",
}  # fmt: skip

_PLACED = r"\b(beach|desert|forest|meadow|snow|water|sea|ocean|street|mountains?|park|city|stars|space|town|sky|river|lake|field|garden|room|kitchen|jungle|island|moon|road)\b"  # noqa: E501
_LIT = r"\b(day(light)?|sunset|sunrise|dusk|dawn|night|noon|evening|morning|midnight|moonlight)\b"
_FILMED = r"\b(camera|zoom|pan(s|ning)?|tilts?|shot|close-?up|follows|handheld)\b"
_VERB = r"\b\w+(s|ing)\b"


def worded(prompt: str, again: int = 0) -> tuple[str, tuple[str, ...]]:
    """The prompt with what it leaves open, and what was added; `again` draws other words."""
    text = " ".join(prompt.split()).rstrip(" .,;")
    if not text:
        return "", ()
    draw, low = random.Random(f"{text}|{again}"), text.lower()
    noun = next((noun for noun in _NEAR | _MOVES if re.search(rf"\b{noun}\b", low)), "")
    added: list[str] = []

    def add(part: str, joint: str = " ") -> None:
        nonlocal text
        text = f"{text}{joint}{part}"
        added.append(part)

    if noun in _MOVES and not re.search(_VERB, low.partition(noun)[2]):
        add(_MOVES[noun])
    if not re.search(_PLACED, low):
        near = _NEAR.get(noun)
        add(near if near and not again else draw.choice(_PLACES))
    if not re.search(_LIT, low):
        add(draw.choice(_LIGHTS))
    if not re.search(_FILMED, low):
        add(draw.choice(_CAMERAS), ", ")
    return text, tuple(added)
