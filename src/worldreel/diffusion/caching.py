"""Steps that ask the network nothing: what it said a moment ago is used again.

From one step to the next a network's answer v changes little against its question x. So some steps
skip it and take the difference that the last real answer had, v ≈ x + r with r = v' − x'. The two
papers differ in how they guess when that is near enough; both add up the error they expect, and
ask again when the sum would pass `threshold`:

    EasyCache (Zhou et al. 2025, arXiv 2507.02860)   while sampling: answers have lately changed by
        k = mean|v − v'| / mean|x − x'|; a step of mean|Δx| costs k·mean|Δx| / mean|v'|
    MagCache (Ma et al. 2025, arXiv 2506.09045)      measured once: γ is by how much |r| grows in a
        step; n skipped steps cost |1 − γ₁| + |1 − γ₁γ₂| + …, and no more than `longest` are skipped

Here x and v are the whole network's, guidance included, as a velocity function has them. What this
costs in quality is measured in docs/log.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worldreel.diffusion.sampler import Velocity
from worldreel.request import Caching

_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class EasyCache:
    """`threshold` is the expected relative error at which the network is asked again; the first
    `begin` of the steps (a share) and the last are never skipped."""

    threshold: float = 0.05
    begin: float = 0.2

    def __post_init__(self) -> None:
        assert self.threshold >= 0, self.threshold
        assert 0 <= self.begin <= 1, self.begin


@dataclass(frozen=True, kw_only=True)
class MagCache:
    """`ratios` are γ of each step, as `Magnitudes` measures them, of one model at one guidance; for
    another number of steps the nearest are taken."""

    ratios: tuple[float, ...]
    threshold: float = 0.1
    longest: int = 2
    begin: float = 0.2

    def __post_init__(self) -> None:
        assert self.ratios, "MagCache needs ratios: see `Magnitudes`"
        assert self.threshold >= 0, self.threshold
        assert self.longest >= 0, self.longest
        assert 0 <= self.begin <= 1, self.begin

    def ratio(self, number: int, steps: int) -> float:
        """γ of step `number` (from 0) of `steps`."""
        last = len(self.ratios) - 1
        return self.ratios[round(number * last / (steps - 1)) if steps > 1 else last]


def rule(caching: Caching) -> EasyCache | MagCache:
    """What a request's `cache` means."""
    if caching.method == "easy":
        return EasyCache(threshold=caching.threshold)
    return MagCache(ratios=caching.ratios, threshold=caching.threshold)


class Cached:
    """A velocity function that skips steps; for one way from noise to a clip.

    After it, `asked` and `skipped` say how often the network was and was not asked.
    """

    def __init__(self, velocity: Velocity, caching: EasyCache | MagCache, *, steps: int) -> None:
        """`steps` is how often the sampler will call."""
        self._velocity, self._caching, self._steps = velocity, caching, steps
        self._guess = _Easy(caching) if isinstance(caching, EasyCache) else _Mag(caching, steps)
        self._difference: Tensor | None = None
        self.asked = self.skipped = 0

    def __call__(self, noisy: Tensor, noise_level: Tensor, /) -> Tensor:
        """As the network answers, or nearly."""
        number = self.asked + self.skipped
        assert number < self._steps, "a new Cached for every clip"
        needed = number < round(self._caching.begin * self._steps) or number == self._steps - 1
        near = self._guess.near(noisy, number, settled=not needed)
        if near and self._difference is not None:
            self.skipped += 1
            return noisy + self._difference
        self.asked += 1
        answer = self._velocity(noisy, noise_level)
        self._difference = answer - noisy
        self._guess.learn(noisy, answer)
        return answer


def skipped(cached: Sequence[Cached]) -> tuple[str, ...]:
    """How many steps were spared, in a line; none if nothing was cached."""
    spared, all_steps = sum(c.skipped for c in cached), sum(c.skipped + c.asked for c in cached)
    return (f"the cache spared {spared} of {all_steps} steps",) if cached else ()


class _Easy:
    """EasyCache's guess: how fast answers have lately changed with the question."""

    def __init__(self, caching: EasyCache) -> None:
        self.threshold, self.error = caching.threshold, 0.0
        self.rate: Tensor | None = None
        self.last: Tensor | None = None  # the question of the last step, skipped or not
        self.asked: tuple[Tensor, Tensor] | None = None  # last real question and answer

    def near(self, noisy: Tensor, number: int, *, settled: bool) -> bool:
        """Whether the last answer is near enough; `settled` is false where it must not be."""
        moved = None if self.last is None else _mean(noisy - self.last)
        self.last = noisy
        if not settled or moved is None or self.rate is None or self.asked is None:
            self.error = 0.0
            return False
        self.error += float(self.rate * moved / _mean(self.asked[1]).clamp_min(_TINY))
        if self.error < self.threshold:
            return True
        self.error = 0.0
        return False

    def learn(self, noisy: Tensor, answer: Tensor) -> None:
        """A real question and answer."""
        if self.asked is not None:
            moved = _mean(noisy - self.asked[0]).clamp_min(_TINY)
            self.rate = _mean(answer - self.asked[1]) / moved
        self.asked = (noisy, answer)


class _Mag:
    """MagCache's guess: how much answers grew at this step when it was measured."""

    def __init__(self, caching: MagCache, steps: int) -> None:
        self.caching, self.steps = caching, steps
        self.grown, self.error, self.row = 1.0, 0.0, 0

    def near(self, noisy: Tensor, number: int, *, settled: bool) -> bool:
        """Whether the last answer is near enough; `settled` is false where it must not be."""
        if settled:
            self.grown *= self.caching.ratio(number, self.steps)
            self.row += 1
            self.error += abs(1 - self.grown)
            if self.error < self.caching.threshold and self.row <= self.caching.longest:
                return True
        self.grown, self.error, self.row = 1.0, 0.0, 0
        return False

    def learn(self, noisy: Tensor, answer: Tensor) -> None:
        """Nothing: all was measured before."""


class Magnitudes:
    """A velocity function that measures, for MagCache, how |r| grows from step to step."""

    def __init__(self, velocity: Velocity) -> None:
        self._velocity = velocity
        self._last: Tensor | None = None
        self._ratios: list[float] = []

    def __call__(self, noisy: Tensor, noise_level: Tensor, /) -> Tensor:
        """As the network answers."""
        answer = self._velocity(noisy, noise_level)
        size = torch.linalg.vector_norm((answer - noisy).float(), dim=1)
        if self._last is None:
            self._ratios.append(1.0)
        else:
            self._ratios.append(float((size / self._last.clamp_min(_TINY)).mean()))
        self._last = size
        return answer

    @property
    def ratios(self) -> tuple[float, ...]:
        """γ of every step so far; of the first, 1."""
        return tuple(self._ratios)


def mean_ratios(runs: Sequence[Magnitudes]) -> tuple[float, ...]:
    """γ of a model: the mean of several clips' (they hardly differ, which is why this works)."""
    assert runs, "one clip at least"
    columns = zip(*(run.ratios for run in runs), strict=True)
    return tuple(sum(column) / len(runs) for column in columns)


def _mean(x: Tensor) -> Tensor:
    return x.float().abs().mean()
