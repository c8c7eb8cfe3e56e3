"""What one source answers to "made by us?": the words that all of them use."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DETECTOR", "NO", "UNKNOWN", "YES", "Evidence"]

YES, NO, UNKNOWN = "yes", "no", "unknown"
DETECTOR = "detector"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one `source` answers to "made by us?": yes, no or unknown, and why."""

    source: str
    answer: str
    why: str
