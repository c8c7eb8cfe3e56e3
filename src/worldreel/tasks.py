"""Everything that can be asked for, as choices of what is known: each function makes a request.

    image      nothing known, one frame          extend    its beginning (or its end) is known
    animate    one frame, or several             fill      all but a while, or all but a part
    connect    both ends                         loop      its end, and its own beginning after
    edit       all, at a middle noise level      storyboard  stills and clips, a text per shot

None of them does anything: one generator makes all of these, by the same operation. Settings that
every request has (size, seed, steps, …) are passed on as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from worldreel.errors import DurationError, MediaError, RequestError, message
from worldreel.request import Clip, KnownClip, Request, Shot

__all__ = [
    "STILL_SECONDS",
    "animate",
    "connect",
    "edit",
    "extend",
    "fill",
    "image",
    "loop",
    "storyboard",
]

STILL_SECONDS = 0.01
"""Shorter than any frame: asks for a single one."""
SEEN = 1.5
"""Seconds of the far side that a loop's bridge looks at."""


def image(prompt: str, **settings: Any) -> Request:
    """A still: a video of one frame."""
    return Request(prompt=prompt, seconds=STILL_SECONDS, task="image", **settings)


def animate(
    stills: Sequence[KnownClip], prompt: str, *, seconds: float | None = None, **settings: Any
) -> Request:
    """A video in which each still appears at its time.

    Raises `RequestError` if two stills are less than half a second apart, `DurationError` if one
    lies outside the video.
    """
    if not stills:
        raise RequestError(message("no picture was given", "give at least one"))
    ordered = sorted(stills, key=lambda still: still.at)
    for before, after in pairwise(ordered):
        if after.at - before.at < 0.5:
            came = f"two pictures are given at {before.at:g} and {after.at:g} seconds"
            nearest = f"{before.at + 0.5:g} seconds for the second"
            raise RequestError(message(came, "they must be 0.5 seconds apart", nearest=nearest))
    last = ordered[-1].at
    long = seconds if seconds is not None else max(4.0, math.ceil(last + 0.1))
    for still in ordered:
        if not 0 <= still.at <= long:
            came = f"a picture is given at {still.at:g} seconds"
            nearest = f"{min(max(still.at, 0), long):g}"
            needed = f"the video lasts {long:g} seconds"
            raise DurationError(message(came, needed, nearest=nearest))
    return Request(prompt=prompt, seconds=long, known=tuple(ordered), task="animate", **settings)


def extend(
    clip: KnownClip,
    prompt: str = "",
    *,
    seconds: float = 4.0,
    before: bool = False,
    **settings: Any,
) -> Request:
    """The clip and what comes after it, or what came before it; all of it is the result."""
    _positive(seconds)
    return Request(
        prompt=prompt,
        seconds=clip.clip.seconds + seconds,
        known=(_at(clip, seconds if before else 0.0),),
        task="extend",
        **settings,
    )


def fill(
    clip: KnownClip,
    prompt: str = "",
    *,
    start: float | None = None,
    end: float | None = None,
    **settings: Any,
) -> Request:
    """The clip with the time from `start` to `end` made anew; or, if `clip.unknown` marks a part
    of the picture, that part during this time (throughout, if none is given).

    Raises `DurationError` for a range outside the clip, `RequestError` if nothing is to be filled.
    """
    whole = clip.clip.seconds
    first, last = (0.0 if start is None else start), (whole if end is None else end)
    if not 0 <= first < last <= whole + 1e-6:
        came = f"the range to fill is {first:g} to {last:g} seconds"
        nearest = f"{min(max(first, 0.0), whole):g} to {whole:g}" if last > whole else None
        needed = f"it must begin before it ends and lie in the clip, which lasts {whole:g}"
        raise DurationError(message(came, needed, nearest=nearest))
    if clip.unknown is None:
        if start is None and end is None:
            came = "neither a time nor a part of the picture was given"
            raise RequestError(message(came, "say what is to be filled"))
        if last - first > whole - 0.5 / clip.clip.fps:
            came = "the range to fill is the whole clip"
            raise DurationError(message(came, "leave a part of it, or use generate"))
    known = (_at(clip, 0.0, span=(first, last)),)
    return Request(prompt=prompt, seconds=whole, known=known, task="fill", **settings)


def connect(
    first: KnownClip, second: KnownClip, prompt: str = "", *, seconds: float = 2.0, **settings: Any
) -> Request:
    """Both clips, and between them `seconds` that lead from the one to the other."""
    _positive(seconds)
    begins = first.clip.seconds + seconds
    return Request(
        prompt=prompt,
        seconds=begins + second.clip.seconds,
        known=(_at(first, 0.0), _at(second, begins)),
        task="connect",
        **settings,
    )


def loop(clip: KnownClip, prompt: str = "", *, seconds: float = 2.0, **settings: Any) -> Request:
    """The clip and `seconds` that lead from its end back to its beginning.

    The beginning is known once more after the end, where the model sees it and nobody else does.
    """
    _positive(seconds)
    if len(clip.clip) < 2:
        raise MediaError(message("the clip has one frame", "a loop needs a moving clip"))
    ends = clip.clip.seconds + seconds
    again = clip.clip[: min(SEEN, clip.clip.seconds)]
    return Request(
        prompt=prompt,
        seconds=ends,
        known=(_at(clip, 0.0), _at(clip, ends, again)),
        task="loop",
        **settings,
    )


def edit(clip: KnownClip, prompt: str, *, strength: float = 0.6, **settings: Any) -> Request:
    """The clip made anew from a middle noise level: `strength` 0 changes nothing, 1 everything.

    Raises `RequestError` for another strength.
    """
    if not 0 < strength <= 1:
        nearest = "0.05" if not strength > 0 else "1"
        came = f"the strength is {strength:g}"
        raise RequestError(message(came, "it must be above 0 and at most 1", nearest=nearest))
    known = replace(_at(clip, 0.0), noise_level=strength, unknown=None)
    return Request(
        prompt=prompt, seconds=clip.clip.seconds, known=(known,), task="edit", **settings
    )


def storyboard(shots: Sequence[Shot], known: Sequence[KnownClip] = (), **settings: Any) -> Request:
    """Several shots in one video; what is given lies at times of the whole video."""
    if not shots:
        raise RequestError(message("the storyboard has no shots", "give at least one"))
    prompt = " ".join(f"Shot {n}: {shot.prompt}" for n, shot in enumerate(shots, 1))
    settings = {"prompt": prompt[:4000], **settings}
    return Request(shots=tuple(shots), known=tuple(known), task="storyboard", **settings)


def _at(
    known: KnownClip,
    at: float,
    clip: Clip | None = None,
    *,
    span: tuple[float, float] | None = None,
) -> KnownClip:
    placed = replace(known, at=at, span=span, noise_level=0.0)
    return placed if clip is None else replace(placed, clip=clip)


def _positive(seconds: float) -> None:
    if not 0.25 <= seconds <= 600:
        nearest = "0.25" if not seconds > 0.25 else "600"
        came = f"the duration to be made is {seconds:g} seconds"
        raise DurationError(message(came, "it must be 0.25 to 600", nearest=nearest))
