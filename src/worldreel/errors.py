"""Everything that can go wrong because of what a person gave us.

One tree under `WorldreelError`, itself a `ValueError`. Each message is one sentence that says what
came, what is needed and, where there is one, the nearest value that would work; `message()`
puts the three together, so that all of them read alike. The command line prints the sentence and
ends with exit code 2. A broken invariant of ours is an `assert`, never one of these.
"""

from __future__ import annotations

import unicodedata

__all__ = [
    "DurationError",
    "MediaError",
    "ModelError",
    "OutputError",
    "PromptError",
    "RecipeError",
    "RefusedError",
    "RequestError",
    "SizeError",
    "WeightsError",
    "WorldError",
    "WorldreelError",
    "message",
    "shown",
]


class WorldreelError(ValueError):
    """The root: something a person gave cannot be used; the message says what would."""


class RequestError(WorldreelError):
    """A request, or one setting in it, cannot be carried out."""


class RefusedError(WorldreelError):
    """What was asked for, or what came of it, is against the policy; `category` says which part of
    it, `words` what decided."""

    def __init__(self, text: str, *, category: str = "", words: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.category, self.words = category, words


class PromptError(RequestError):
    """The prompt (or the negative prompt) cannot be read."""


class SizeError(RequestError):
    """A width, height or aspect ratio is outside what can be made."""


class DurationError(RequestError):
    """A duration or a frame rate is outside what can be made."""


class ModelError(WorldreelError):
    """No model goes by that name."""


class WeightsError(ModelError):
    """Weights are missing, incomplete or not the ones that the checksum names."""


class MediaError(WorldreelError):
    """A picture or video file cannot be read."""


class RecipeError(MediaError):
    """A file holds no recipe, or one that cannot be understood."""


class OutputError(WorldreelError):
    """A result cannot be written where it was asked for."""


class WorldError(WorldreelError):
    """The captioned world has no such place, actor, behaviour or camera move."""


def shown(value: object, *, limit: int = 40) -> str:
    """`value` as a message may quote it: printable, on one line, at most `limit` characters."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        text = f"an enormous {type(value).__name__}"
    # Categories C* are control, format, surrogate and private characters; Z[lp] break lines.
    text = "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(c)[0] == "C" or unicodedata.category(c) in ("Zl", "Zp")
        else c
        for c in text[: limit + 1]
    )
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def message(came: str, needed: str, *, nearest: object | None = None) -> str:
    """One sentence, "CAME; NEEDED; the nearest is NEAREST.", its last part only if there is one."""
    parts = [came, needed]
    if nearest is not None:
        parts.append(f"the nearest is {nearest}")
    return "; ".join(parts) + "."
