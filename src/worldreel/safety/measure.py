"""The figures: how many prompts are refused, by label and language.

python -m worldreel.safety.measure dev        (or test, or second: the frozen parts)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from worldreel.safety.data import LANGUAGES, Prompt, prompts
from worldreel.safety.judge import Verdict, review
from worldreel.safety.policy import CATEGORIES

__all__ = ["Count", "leet", "measure", "spaced", "table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many of `total` prompts (or videos) were refused."""

    refused: int = 0
    total: int = 0

    def __add__(self, more: Count) -> Count:
        return Count(refused=self.refused + more.refused, total=self.total + more.total)

    @property
    def share(self) -> float:
        """Refused of all, 0 … 1."""
        return self.refused / max(self.total, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share, by Wilson's score."""
        if not self.total:
            return 0.0, 1.0
        z, n, p = 1.96, self.total, self.share
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        middle = p + z * z / (2 * n)
        return max(0.0, (middle - half) / (1 + z * z / n)), min(
            1.0, (middle + half) / (1 + z * z / n)
        )


def measure(
    given: Iterable[Prompt], *, change: Callable[[str], str] = str
) -> tuple[dict[str, Count], list[tuple[Prompt, Verdict]]]:
    """Refusals by label, by language and of both, and the prompts that were judged wrongly.

    `change` disguises the prompts first.
    """
    counts: dict[str, Count] = {}
    wrong: list[tuple[Prompt, Verdict]] = []
    for prompt in given:
        verdict = review(change(prompt.text))
        bad = prompt.label != "ok"
        if verdict.allowed == bad:
            wrong.append((prompt, verdict))
        kind = "refuse" if bad else "ok"
        for key in {prompt.label, kind, f"{kind} {prompt.language}"}:
            counts[key] = counts.get(key, Count()) + Count(refused=not verdict.allowed, total=1)
    return dict(sorted(counts.items())), wrong


def leet(text: str) -> str:
    """Digits and signs for letters."""
    return text.translate(str.maketrans("aeiostAEIOST", "4310574310$7"))


def spaced(text: str) -> str:
    """A blank between all letters, two between words."""
    return "  ".join(" ".join(word) for word in text.split(" "))


def table(counts: dict[str, Count]) -> str:
    """The counts as lines."""
    names: Sequence[str] = (
        "refuse",
        *CATEGORIES,
        "ok",
        *(f"{k} {x}" for k in ("refuse", "ok") for x in LANGUAGES),
    )
    rows = ((name, counts[name]) for name in names if name in counts)
    return "\n".join(f"{n:12s} {c.refused:5d} of {c.total:5d}  {c.share:7.2%}" for n, c in rows)


def main() -> None:
    """Print the figures of one part of the prompts."""
    import sys

    part = sys.argv[1] if len(sys.argv) > 1 else "dev"
    chosen = [p for p in prompts() if p.part == part]
    counts, wrong = measure(chosen)
    print(table(counts))
    for prompt, verdict in wrong:
        print(
            f"{prompt.language} {prompt.label}: {prompt.text}"
            f"  [{verdict.category} {verdict.score} {verdict.words}]"
        )
    for change in (leet, spaced, str.upper):
        latin = [p for p in chosen if p.language not in ("zh", "ja")]
        counts, _ = measure(latin, change=change)
        print(change.__name__, {k: f"{counts[k].share:.2%}" for k in ("refuse", "ok")})


if __name__ == "__main__":
    main()
