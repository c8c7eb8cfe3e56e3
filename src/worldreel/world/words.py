"""The vocabulary of captions: how behaviours, colours, times, weather and cameras are said.

Verbs are stored as (walks, walking) pairs. `HELD_OUT_WORDS` never occur in captions for training;
evaluation puts them in the place of their seen synonym to ask whether the text part understands
words that the video model was never shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

HELD_OUT_WORDS: dict[str, str] = {
    "crimson": "red",
    "azure": "blue",
    "violet": "purple",
    "emerald": "green",
    "automobile": "car",
    "puppy": "dog",
    "bunny": "rabbit",
    "aeroplane": "airplane",
    "spaceship": "rocket",
    "lady": "woman",
    "gentleman": "man",
    "coach": "bus",
    "strolls": "walks",
    "sprints": "runs",
    "leaps": "jumps",
    "seaside": "beach",
    "prairie": "meadow",
    "nighttime": "night",
}
"""Held-out word → the seen word that it stands for."""

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "bright red", "scarlet", "ruby red"),
    "orange": ("orange", "bright orange", "tangerine orange"),
    "yellow": ("yellow", "bright yellow", "golden yellow", "lemon yellow"),
    "green": ("green", "bright green", "grass-green"),
    "blue": ("blue", "bright blue", "sky-blue", "deep blue"),
    "purple": ("purple", "lilac", "deep purple"),
    "pink": ("pink", "hot pink", "rose-pink"),
    "white": ("white", "snow-white", "plain white"),
}

Verb = tuple[str, str]

VERBS: dict[str, tuple[Verb, ...]] = {
    "idle": (
        ("stands still", "standing still"),
        ("stands", "standing"),
        ("waits", "waiting"),
        ("rests", "resting"),
        ("stays in place", "staying in place"),
    ),
    "float": (
        ("floats", "floating"),
        ("hovers", "hovering"),
        ("drifts in place", "drifting in place"),
    ),
    "walk": (
        ("walks", "walking"),
        ("walks", "walking"),
        ("wanders", "wandering"),
        ("marches", "marching"),
        ("ambles", "ambling"),
    ),
    "run": (
        ("runs", "running"),
        ("runs", "running"),
        ("dashes", "dashing"),
        ("races", "racing"),
        ("rushes", "rushing"),
    ),
    "jump": (
        ("jumps up and down", "jumping up and down"),
        ("jumps", "jumping"),
        ("hops", "hopping"),
        ("jumps on the spot", "jumping on the spot"),
    ),
    "bounce": (
        ("bounces", "bouncing"),
        ("bounces up and down", "bouncing up and down"),
        ("bounces on the ground", "bouncing on the ground"),
    ),
    "fall": (
        ("falls down", "falling down"),
        ("falls from above", "falling from above"),
        ("drops from the sky", "dropping from the sky"),
        ("falls", "falling"),
        ("tumbles down", "tumbling down"),
    ),
    "roll": (
        ("rolls", "rolling"),
        ("rolls along", "rolling along"),
        ("rolls over the ground", "rolling over the ground"),
    ),
    "slide": (("slides", "sliding"), ("glides over the ground", "gliding over the ground")),
    "fly": (
        ("flies", "flying"),
        ("flies", "flying"),
        ("soars", "soaring"),
        ("glides through the air", "gliding through the air"),
    ),
    "swim": (
        ("swims", "swimming"),
        ("swims", "swimming"),
        ("glides through the water", "gliding through the water"),
        ("paddles", "paddling"),
    ),
    "drive": (
        ("drives", "driving"),
        ("drives", "driving"),
        ("rolls along", "rolling along"),
        ("cruises", "cruising"),
        ("speeds along", "speeding along"),
    ),
    "dance": (
        ("dances", "dancing"),
        ("dances to a beat", "dancing to a beat"),
        ("grooves", "grooving"),
    ),
    "spin": (
        ("spins around", "spinning around"),
        ("spins", "spinning"),
        ("twirls", "twirling"),
        ("turns round and round", "turning round and round"),
    ),
    "grow": (
        ("grows", "growing"),
        ("grows bigger", "growing bigger"),
        ("gets larger", "getting larger"),
    ),
    "shrink": (
        ("shrinks", "shrinking"),
        ("gets smaller", "getting smaller"),
        ("shrinks away", "shrinking away"),
    ),
    "leave": (
        ("leaves and comes back", "leaving and coming back"),
        ("walks off and returns", "walking off and returning"),
        ("disappears and returns", "disappearing and returning"),
    ),
}

GROUP_VERBS: dict[tuple[str, str], tuple[Verb, ...]] = {
    ("float", "water"): (
        ("floats in the water", "floating in the water"),
        ("drifts in the water", "drifting in the water"),
        ("floats", "floating"),
    ),
    ("drive", "boat"): (
        ("sails", "sailing"),
        ("cruises over the water", "cruising over the water"),
    ),
    ("swim", "boat"): (("sails", "sailing"), ("glides over the water", "gliding over the water")),
    ("drive", "person"): (("rides along", "riding along"), ("rides", "riding")),
    ("swim", "surfer"): (("surfs", "surfing"), ("rides the waves", "riding the waves")),
    ("idle", "vehicle"): (
        ("is parked", "parked"),
        ("stands still", "standing still"),
        ("waits", "waiting"),
    ),
    ("float", "face"): (
        ("floats in the air", "floating in the air"),
        ("hovers", "hovering"),
        ("floats", "floating"),
    ),
    **{
        ("idle", group): (
            ("stands still", "standing still"),
            ("rests", "resting"),
            ("stays in place", "staying in place"),
            ("is at rest", "at rest"),
        )
        for group in ("thing", "food", "shape", "prop")
    },
    ("fall", "water"): (("sinks slowly", "sinking slowly"), ("sinks", "sinking")),
    ("leave", "air"): (
        ("flies off and returns", "flying off and returning"),
        ("leaves and comes back", "leaving and coming back"),
    ),
    ("leave", "water"): (
        ("swims away and returns", "swimming away and returning"),
        ("leaves and comes back", "leaving and coming back"),
    ),
    ("fly", "up"): (
        ("rises", "rising"),
        ("flies up", "flying up"),
        ("floats upwards", "floating upwards"),
    ),
    ("fly", "down"): (
        ("sinks", "sinking"),
        ("flies down", "flying down"),
        ("floats downwards", "floating downwards"),
    ),
    ("swim", "up"): (("swims up", "swimming up"), ("rises", "rising")),
    ("swim", "down"): (("swims down", "swimming down"), ("sinks", "sinking")),
    ("walk", "penguin"): (("waddles", "waddling"), ("walks", "walking")),
    ("run", "horse"): (("gallops", "galloping"), ("runs", "running")),
}
"""Verbs that depend on who does it: a group, kind, medium or direction."""

DIRECTIONS: dict[str, tuple[str, ...]] = {
    "left": (
        "to the left",
        "to the left",
        "left",
        "leftwards",
        "from right to left",
        "towards the left",
    ),
    "right": (
        "to the right",
        "to the right",
        "right",
        "rightwards",
        "from left to right",
        "towards the right",
    ),
}

FACINGS = {"left": ("facing left", "looking left"), "right": ("facing right", "looking right")}

TIME_PHRASES: dict[str, tuple[str, ...]] = {
    "day": ("by day", "during the day", "in daylight", "at noon", "on a bright day"),
    "dusk": (
        "at dusk",
        "at sunset",
        "in the evening light",
        "in the golden hour",
        "in the evening",
    ),
    "night": ("at night", "at night", "in the dark", "late at night", "under the stars"),
}

WEATHER_PHRASES: dict[str, tuple[str, ...]] = {
    "clear": ("in clear weather",),
    "rain": ("in the rain", "in the rain", "while it rains", "on a rainy day", "in heavy rain"),
    "snow": ("in falling snow", "while it snows", "as snow falls", "in snowfall"),
    "fog": ("in the fog", "in thick fog", "in the mist", "on a foggy day"),
}

CAMERA_PHRASES: dict[str, tuple[str, ...]] = {
    "static": ("static camera", "the camera stands still", "still camera", "fixed shot"),
    "pan left": (
        "the camera pans left",
        "pan left",
        "camera panning to the left",
        "the camera moves left",
    ),
    "pan right": (
        "the camera pans right",
        "pan right",
        "camera panning to the right",
        "the camera moves right",
    ),
    "tilt up": ("the camera tilts up", "tilt up", "the camera moves upwards"),
    "tilt down": ("the camera tilts down", "tilt down", "the camera moves downwards"),
    "zoom in": ("the camera zooms in", "zoom in", "slow zoom in", "the camera moves closer"),
    "zoom out": ("the camera zooms out", "zoom out", "slow zoom out", "the camera moves away"),
    "follow": ("the camera follows", "following shot", "the camera follows along", "follow shot"),
    "handheld": ("handheld camera", "shaky handheld camera", "handheld shot"),
}

STYLE_PHRASES: dict[str, tuple[str, ...]] = {
    "plain": (),
    "grain": ("35mm film", "shot on 35 mm film", "grainy film"),
    "black and white": ("black and white", "in black and white", "monochrome film"),
    "watercolour": ("watercolour", "in watercolour", "watercolor painting"),
    "step-printing": ("step-printing", "step-printed", "step-printed motion blur"),
}

FEELINGS: dict[str, tuple[str, ...]] = {
    "happy": ("happy", "smiling", "cheerful"),
    "sad": ("sad", "crying", "unhappy"),
    "angry": ("angry", "furious", "mad"),
    "surprised": ("surprised", "astonished", "amazed"),
    "asleep": ("sleeping", "sleepy", "dozing"),
    "scared": ("scared", "frightened", "terrified"),
    "laughing": ("laughing", "giggling"),
    "in love": ("lovestruck",),
    "cool": ("cool",),
}

UNCOUNTABLE = frozenset(
    ("cattle", "luggage", "dice", "bananas", "great white", "pair", "man and woman holding hands")
)
"""Synonyms that do not go with an article or a singular verb."""

_VOWEL_EXCEPTIONS = ("uni", "ufo", "one", "eu", "use")


DUST_SENTENCES = (
    "Dust rises behind the wheels.",
    "A cloud of dust trails behind.",
    "The wheels kick up dust.",
)
WINDOW_PHRASES = ("at a window", "at an open window", "in a window", "behind a window sill")


def article(phrase: str) -> str:
    """`phrase` with a or an before it."""
    start = phrase.lower()
    vowel = start[:1] in "aeiou" and not start.startswith(_VOWEL_EXCEPTIONS)
    return f"{'an' if vowel or start.startswith('hour') else 'a'} {phrase}"


@cache
def _pattern() -> re.Pattern[str]:
    words = "|".join(sorted(HELD_OUT_WORDS))
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


def held_out_word(text: str) -> bool:
    """Whether `text` holds a word that training must not see."""
    return _pattern().search(text) is not None


def seen(options: Iterable[str]) -> tuple[str, ...]:
    """Those of `options` that training may see."""
    return tuple(option for option in options if not held_out_word(option))


def with_held_out(text: str) -> str | None:
    """`text` with seen words swapped for their held-out synonyms; None where there are none."""
    swapped = text
    for unseen, known in HELD_OUT_WORDS.items():
        swapped = re.sub(rf"\b{known}\b", unseen, swapped)
    swapped = re.sub(r"\ba (?=[aeio])", "an ", swapped)
    swapped = re.sub(r"\ban (?=[^aeiou ])", "a ", swapped)
    return None if swapped == text else swapped
