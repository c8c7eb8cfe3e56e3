"""Hate symbols, by our own small network (symbol_net.py), trained on drawings of them.

The manji, the left-facing hooked cross, is a sign of Buddhist temples and of maps; it is also what
a Nazi flag looks like from behind. Celtic crosses stand on graves, Wolfsangel and Othala are old
signs too. Only their surroundings tell, so they are never more than of middle confidence, under a
category of its own that a policy can tolerate.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from worldreel.safety.reviewers import Confidence, Finding
from worldreel.safety.symbol_net import Sight, load, sights

__all__ = ["SymbolReviewer"]

_WEIGHTS = Path(__file__).parents[1] / "data" / "symbols.safetensors"
_SAID = {
    "right": "a swastika",
    "left": "a left-facing hooked cross, as Buddhist temples bear",
    "bolts": "two sig runes",
    "sun": "a black sun",
    "celtic": "a Celtic cross in a ring, as old graves bear",
    "wolfsangel": "a Wolfsangel, as some towns' arms bear",
    "othala": "an Othala rune",
}
_DEPENDS = {"left", "celtic", "wolfsangel", "othala"}


class SymbolReviewer:
    """Scores each frame; from `middle` and `high` on with that confidence."""

    name = "symbols"
    version = "1"

    def __init__(
        self, *, low: float = 0.5, middle: float = 0.9, high: float = 0.97, weights: str = ""
    ) -> None:
        self.low, self.middle, self.high = low, middle, high
        self._network = load(Path(weights) if weights else _WEIGHTS)

    def review(self, frames: Tensor) -> list[Finding]:
        """A finding for each symbol in each frame uint8 [n, H, W, 3]."""
        return [
            self._finding(number, sight)
            for number, frame in enumerate(frames)
            for sight in sights(self._network, frame)
            if sight.score >= self.low
        ]

    def _finding(self, number: int, sight: Sight) -> Finding:
        depends = sight.symbol in _DEPENDS
        confidence = Confidence.LOW
        if sight.score >= self.middle:
            sure = sight.score >= self.high and not depends
            confidence = Confidence.HIGH if sure else Confidence.MIDDLE
        return Finding(
            frame=number,
            category="symbols in context" if depends else "hate symbols",
            confidence=confidence,
            score=sight.score,
            what=_SAID[sight.symbol],
        )
