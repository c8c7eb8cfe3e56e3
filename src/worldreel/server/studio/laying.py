"""What each tool asks for, in seconds and pixels: where the given things lie in the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from worldreel.errors import WorldreelError, message
from worldreel.server.errors import invalid
from worldreel.server.orders import Given, Order, Source, even
from worldreel.server.studio.schema import OrderBody
from worldreel.shapes import parse_size

__all__ = ["laid_out"]

Found = Sequence[tuple[Given, Source]]


def laid_out(base: Order, fields: OrderBody, found: Found, size: str) -> Order:
    """The order of a tool. `size` is taken where nothing given has one. Raises `ApiError`."""
    width, height = _size(fields, found, size)
    placed = replace(base, width=width, height=height)
    lay = {
        "extend": _recut,
        "recut": _recut,
        "loop": _loop,
        "blend": _blend,
        "keyframes": _keyframes,
        "region": _region,
        "storyboard": _storyboard,
    }[fields.tool]
    return lay(placed, fields, found)


def _size(fields: OrderBody, found: Found, size: str) -> tuple[int, int]:
    if fields.size is None and found and fields.tool != "storyboard":
        return even(found[0][1])
    try:
        return parse_size(fields.size or size)
    except WorldreelError as error:
        raise invalid(str(error), param="size") from error


def _recut(order: Order, fields: OrderBody, found: Found) -> Order:
    """A part of a clip, and what came before it and comes after it."""
    given, source = _clip(found, 0)
    length = _part(given, source)
    after = _seconds(fields, 0.0)
    placed = replace(given, at=fields.before)
    total = fields.before + length + after
    return replace(order, task="extend", given=(placed,), seconds=total - length, total=total)


def _loop(order: Order, fields: OrderBody, found: Found) -> Order:
    given, source = _clip(found, 0)
    seconds = _seconds(fields, 2.0)
    total = _part(given, source) + seconds
    return replace(order, task="loop", given=(given,), seconds=seconds, total=total)


def _blend(order: Order, fields: OrderBody, found: Found) -> Order:
    first, second = _clip(found, 0), _clip(found, 1)
    seconds = _seconds(fields, 2.0)
    total = _part(*first) + seconds + _part(*second)
    both = (first[0], second[0])
    return replace(order, task="connect", given=both, seconds=seconds, total=total)


def _keyframes(order: Order, fields: OrderBody, found: Found) -> Order:
    stills = tuple(replace(given, kind="still") for given, _ in found)
    if not stills:
        raise invalid(message("no picture was given", "give at least one"), param="given")
    _worded(fields)
    last = max(given.at for given in stills)
    seconds = _seconds(fields, max(4.0, last))
    if last > seconds:
        came = f"a picture is to appear at {last:g} seconds"
        raise invalid(message(came, f"the video lasts {seconds:g}"), param="given")
    return replace(order, task="animate", given=stills, seconds=seconds, total=seconds)


def _region(order: Order, fields: OrderBody, found: Found) -> Order:
    given, source = _clip(found, 0)
    if fields.mask is None and fields.span is None:
        came = "neither a part of the picture nor a time was chosen"
        raise invalid(message(came, "paint over what is to change"), param="mask")
    span = None
    if fields.span is not None:
        span = (fields.span[0], min(fields.span[1], source.seconds))
        if span[0] >= span[1]:
            told = message("the time to change ends before it begins", "choose another")
            raise invalid(told, param="span")
    whole = round(source.seconds, 3)
    return replace(order, task="fill", given=(given,), span=span, seconds=whole, total=whole)


def _storyboard(order: Order, fields: OrderBody, found: Found) -> Order:
    from worldreel.storyboard import Storyboard, StoryShot

    plain = [StoryShot(prompt=shot.prompt, seconds=shot.seconds) for shot in fields.shots]
    try:
        board = Storyboard(shots=tuple(plain), cast=fields.cast, style=fields.style)
    except WorldreelError as error:
        raise invalid(str(error), param="shots") from error
    shots = tuple(zip(board.texts(), (shot.seconds for shot in plain), strict=True))
    texts = " ".join(f"Shot {n}: {text}" for n, (text, _) in enumerate(shots, 1))
    return replace(
        order,
        task="storyboard",
        prompt=texts[:4000],
        shots=shots,
        given=tuple(given for given, _ in found),
        seconds=board.seconds,
        total=board.seconds,
    )


def _clip(found: Found, number: int) -> tuple[Given, Source]:
    if len(found) <= number or found[number][0].kind != "clip":
        came = "a video is missing" if len(found) <= number else "a picture is given"
        raise invalid(message(came, "this needs a moving clip"), param="given")
    return found[number]


def _part(given: Given, source: Source) -> float:
    """Seconds of what is taken of a clip."""
    end = source.seconds if given.end is None else given.end
    if end - given.start < 0.1:
        told = message("nothing of the clip is left", "leave a tenth of a second at least")
        raise invalid(told, param="given")
    return round(end - given.start, 3)


def _seconds(fields: OrderBody, usual: float) -> float:
    return usual if fields.seconds is None else fields.seconds


def _worded(fields: OrderBody) -> None:
    if not fields.prompt.strip():
        told = message("there is no prompt", "say what should happen")
        raise invalid(told, param="prompt", code="missing_required_parameter")
