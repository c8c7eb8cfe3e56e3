"""Videos longer than a model's window: which latent frames it sees at a time, and when they are.

A window is a list of latent frames, in order: those to be made, their neighbours that are there
already (known, or made a moment ago), and a few remembered ones from earlier, so that who and
where stay the same. Windows go outward from what is known: forward as a rule, backward where
only the end is given. Training draws its views of clips from the same arithmetic.

No torch here: these are plain numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

GAP = 16.0
"""Latent frames by which positions jump where time does: at a cut, and after a memory."""
FIRST = -0.375
"""Latent frame 0 is one frame where others are four; (0 − 1.5) frames from its group's centre."""
MEMORIES = 3
"""Earlier latent frames that a window remembers at most."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Latent frames `indices`, ascending, and which of them this window is to make."""

    indices: tuple[int, ...]
    fresh: tuple[bool, ...]


def moments(indices: Sequence[int], shots: Sequence[int]) -> list[float]:
    """The time of each latent frame of a window, in latent frames, from 0.

    Args:
        indices: ascending positions in the whole video.
        shots: the shot that each of them belongs to.
    """
    times, now = [], 0.0
    for number, index in enumerate(indices):
        if number:
            together = index == indices[number - 1] + 1 and shots[number] == shots[number - 1]
            now += 1 if together else GAP
        times.append(now - FIRST if index == 0 else now)
    return times


def windows(
    unknown: Sequence[bool], shots: Sequence[int], *, size: int, context: int
) -> Iterator[Window]:
    """Windows that make every unknown latent frame once, in an order that each can follow.

    Args:
        unknown: for each latent frame, whether anything in it is to be made.
        shots: the shot of each latent frame, ascending.
        size: latent frames a window may hold (memories come on top).
        context: neighbours that a window should see, of those which are there.
    """
    assert 0 < 2 * context < size, (size, context)
    if len(unknown) <= size:
        if any(unknown):
            yield Window(indices=tuple(range(len(unknown))), fresh=tuple(unknown))
        return
    done = [not u for u in unknown]
    for first, last in _runs(unknown, shots):
        begin = next(i for i, s in enumerate(shots) if s == shots[first])
        end = next((i for i, s in enumerate(shots) if s > shots[first]), len(shots))
        for a, b in _parts(first, last, before=first - begin, after=end - last, size=size,
                           context=context):  # fmt: skip
            low, high = a, b
            while low > begin and a - low < context and done[low - 1]:
                low -= 1
            while high < end and high - b < context and done[high]:
                high += 1
            kept = _memories(low, shots, done)
            near = range(low, high)
            yield Window(
                indices=(*kept, *near),
                fresh=(*(False for _ in kept), *(a <= i < b for i in near)),
            )
            for i in range(a, b):
                done[i] = True


def _runs(unknown: Sequence[bool], shots: Sequence[int]) -> Iterator[tuple[int, int]]:
    """[first, last) of each stretch of unknown latent frames within a shot."""
    first: int | None = None
    for i, new in enumerate(unknown):
        if first is not None and (not new or shots[i] != shots[first]):
            yield first, i
            first = None
        if new and first is None:
            first = i
    if first is not None:
        yield first, len(unknown)


def _parts(
    first: int, last: int, *, before: int, after: int, size: int, context: int
) -> Iterator[tuple[int, int]]:
    """Cuts a run into windows' shares: from what is known to what is not, meeting the far end."""
    if last - first <= size - min(context, before) - min(context, after):
        yield first, last
        return
    if after and not before:
        for a, b in _parts(0, last - first, before=after, after=0, size=size, context=context):
            yield last - b, last - a
        return
    place, behind = first, min(context, before)
    ending = size - 2 * context if after else 0  # room for both sides in the last window
    while last - place > size - behind - (context if after else 0):
        share = min(size - behind, last - place - ending)
        yield place, place + share
        place, behind = place + share, context
    yield place, last


def _memories(low: int, shots: Sequence[int], done: Sequence[bool]) -> tuple[int, ...]:
    """What a window that begins at `low` remembers: a moment of each of the last shots, and of
    the beginning of its own."""
    found = []
    shot = shots[low]
    for earlier in range(max(0, shot - MEMORIES), shot + 1):
        moments_of = [i for i in range(low) if shots[i] == earlier and done[i] and i > 0]
        if earlier < shot and moments_of:
            found.append(moments_of[len(moments_of) // 2])
        elif earlier == shot and len(moments_of) > 1:
            found.append(moments_of[0])  # never drifts: it was made first
    return tuple(found[-MEMORIES:])
