"""Safety: what may be asked for. Prompts are reviewed here, on this machine, without torch.

    verdict = review("a penguin waddles across the snow")
    verdict.allowed, verdict.category, verdict.words

`normalise` undoes disguises, `names` finds names and words of lists, `classify` scores the rest
with small trained heads, `policy` is what an operator may change, `judge` puts them together.
"""

from __future__ import annotations

from worldreel.safety.judge import VERSION, Verdict, review
from worldreel.safety.policy import CATEGORIES, MINORS, Policy, PolicyError, load_policy

__all__ = [
    "CATEGORIES",
    "MINORS",
    "VERSION",
    "Policy",
    "PolicyError",
    "Verdict",
    "load_policy",
    "review",
]
