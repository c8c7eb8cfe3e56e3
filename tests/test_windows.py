"""Windows over long videos: every frame is made once, after what it needs, within the size."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from worldreel.diffusion.windows import GAP, Window, moments, windows


def plan(unknown: list[bool], shots: list[int], size: int = 13, context: int = 4) -> list[Window]:
    return list(windows(unknown, shots, size=size, context=context))


def made(found: list[Window]) -> list[int]:
    return [i for w in found for i, fresh in zip(w.indices, w.fresh, strict=True) if fresh]


def case(seed: int) -> tuple[list[bool], list[int]]:
    rng = random.Random(seed)
    length = rng.randint(1, 120)
    shots = sorted(rng.randrange(rng.choice([1, 1, 4])) for _ in range(length))
    shots = [shots.index(s) for s in shots]
    ranks = sorted(set(shots))
    unknown, value = [], rng.random() < 0.5
    while len(unknown) < length:
        unknown += [value] * rng.randint(1, 40)
        value = not value
    return unknown[:length], [ranks.index(s) for s in shots]


@pytest.mark.parametrize("seed", range(200))
def test_every_unknown_frame_is_made_once_and_known_ones_never(seed: int) -> None:
    unknown, shots = case(seed)
    found = plan(unknown, shots)
    assert sorted(made(found)) == [i for i, u in enumerate(unknown) if u]
    there = {i for i, u in enumerate(unknown) if not u}
    for window in found:
        assert list(window.indices) == sorted(set(window.indices))
        assert len(window.indices) <= 13 + 3
        fresh = {i for i, f in zip(window.indices, window.fresh, strict=True) if f}
        assert fresh and set(window.indices) - fresh <= there  # nothing is seen before it is made
        there |= fresh


@pytest.mark.parametrize("seed", range(200))
def test_a_window_sees_the_neighbours_that_are_there(seed: int) -> None:
    """A frame beside one that is there already is never made blind to it, so seams join."""
    unknown, shots = case(seed)
    there = {i for i, u in enumerate(unknown) if not u}
    for window in plan(unknown, shots):
        fresh = [i for i, f in zip(window.indices, window.fresh, strict=True) if f]
        for i in fresh:
            for beside in (i - 1, i + 1):
                inside = 0 <= beside < len(shots) and shots[beside] == shots[i]
                if inside and beside in there:
                    assert beside in window.indices
        there |= set(fresh)


def test_a_minute_goes_forward_with_context_and_a_memory_of_its_beginning() -> None:
    found = plan([True] * 181, [0] * 181)
    assert found[0].indices == tuple(range(13)) and all(found[0].fresh)
    for before, window in pairwise(found):
        assert window.indices[0] == 1 and not window.fresh[0]  # the memory
        assert window.indices[1] == before.indices[-1] - 3  # four frames of context
        assert window.fresh[1:5] == (False,) * 4
    assert len(found) <= 1 + -(-(181 - 13) // 9)


def test_only_the_end_known_is_gone_towards_backwards() -> None:
    found = plan([True] * 40 + [False] * 8, [0] * 48)
    assert made(found)[-1] < 13
    firsts = [min(i for i, f in zip(w.indices, w.fresh, strict=True) if f) for w in found]
    assert firsts == sorted(firsts, reverse=True)


def test_the_last_window_between_two_clips_sees_both() -> None:
    found = plan([False] * 10 + [True] * 30 + [False] * 10, [0] * 50)
    assert {38, 39, 40, 41}.issubset(found[-1].indices) and 39 in made(found[-1:])


def test_a_later_shot_remembers_the_earlier_ones() -> None:
    shots = [0] * 10 + [1] * 10 + [2] * 10
    found = plan([True] * 30, shots)
    last = found[-1]
    assert {shots[i] for i in last.indices} == {0, 1, 2}
    assert sum(shots[i] < 2 for i in last.indices) == 2


def test_what_fits_one_window_is_one_window() -> None:
    assert plan([True, False, True], [0, 0, 0]) == [
        Window(indices=(0, 1, 2), fresh=(True, False, True))
    ]
    assert plan([False] * 5, [0] * 5) == []


def test_moments_jump_at_cuts_and_after_memories_and_nowhere_else() -> None:
    assert moments([0, 1, 2], [0, 0, 0]) == [0.375, 1, 2]
    assert moments([4, 5, 6], [0, 0, 0]) == [0, 1, 2]
    assert moments([4, 5, 6], [0, 0, 1]) == [0, 1, 1 + GAP]
    assert moments([1, 9, 10], [0, 0, 0]) == [0, GAP, GAP + 1]
