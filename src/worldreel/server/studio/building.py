"""Orders with several given things as requests of the generator: each is a choice of what is known.

connect    two clips                    loop      a clip
extend     a part of a clip, with time before it and after it (re-cut is no more than that)
animate    stills at their times        fill      a clip and a mask, a time, or both
storyboard stills and clips at their times, a text per shot
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from worldreel.server.orders import Given, Order

if TYPE_CHECKING:
    from worldreel.models.model import Settings
    from worldreel.request import KnownClip, Request
    from worldreel.video import Video

__all__ = ["build"]


def build(order: Order, first: Path | None, *, like: Settings, **made: Any) -> Request:
    """The request of an order; `first` is the path of its first upload, beside which all others
    lie. Clips are read at the rate and about the size of a model with the settings `like`.

    Raises `WorldreelError` for what cannot be read or put together.
    """
    from worldreel import tasks
    from worldreel.request import Request, Shot

    folder = Path() if first is None else first.parent
    known = [_known(one, folder, like) for one in order.given if one.kind != "mask"]
    if order.task == "connect":
        return tasks.connect(known[0], known[1], order.prompt, seconds=order.seconds, **made)
    if order.task == "loop":
        return tasks.loop(known[0], order.prompt, seconds=order.seconds, **made)
    if order.task == "extend":
        return Request(
            prompt=order.prompt, seconds=order.total, known=tuple(known), task="extend", **made
        )
    if order.task == "animate":
        return tasks.animate(known, order.prompt, seconds=order.seconds, **made)
    if order.task == "fill":
        return _fill(order, known[0], folder, made)
    assert order.task == "storyboard", order.task
    shots = [Shot(prompt=text, seconds=seconds) for text, seconds in order.shots]
    return tasks.storyboard(shots, known, **made)


def _fill(order: Order, clip: KnownClip, folder: Path, made: dict[str, Any]) -> Request:
    from worldreel import tasks
    from worldreel.video.foreign import measure
    from worldreel.video.mask import read_mask

    for one in order.given:
        if one.kind == "mask":
            told = measure(folder / order.given[0].file)
            mask = read_mask(folder / one.file, (told.width, told.height))
            clip = replace(clip, unknown=mask)
    start, end = order.span if order.span is not None else (None, None)
    end = end if end is None else min(end, clip.clip.seconds)
    return tasks.fill(clip, order.prompt, start=start, end=end, **made)


def _known(one: Given, folder: Path, like: Settings) -> KnownClip:
    """What was given, at its place, and no more of it than was asked for."""
    from worldreel.given import known_clip, known_still

    path = folder / one.file
    if one.kind == "still" and path.suffix == ".picture":
        return known_still(path, at=one.at)
    known = known_clip(path, like=like)
    clip = cast("Video", known.clip)
    if one.kind == "still":
        start = min(one.start, max(0.0, clip.seconds - 1 / clip.fps))
        return replace(known, clip=clip[start : start + 1 / clip.fps], at=one.at)
    if one.start or one.end is not None:
        clip = clip[one.start : one.end]
    return replace(known, clip=clip, at=one.at)
