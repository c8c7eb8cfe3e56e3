"""Where trust enters before a job is taken; what its video passes is the generator's business
(`worldreel.trust`: frames reviewed, marked and signed before the file has its name).

No request can turn any of it off.
"""

from __future__ import annotations

from functools import lru_cache

from worldreel.errors import RefusedError
from worldreel.server.errors import invalid
from worldreel.trust import Trust

__all__ = ["review_prompt", "warm"]


def warm() -> None:
    """Loads the prompt policy before the first request has to wait for it."""
    review_prompt("a red ball")


def review_prompt(*texts: str) -> None:
    """Raises `ApiError` if the prompt policy refuses one of the texts."""
    try:
        _trust().ask(*texts)
    except RefusedError as refused:
        told = f"This prompt is not allowed here ({refused.category}); change its wording."
        raise invalid(told, param="prompt", code="moderation_blocked") from refused


@lru_cache(maxsize=1)
def _trust() -> Trust:
    """What the operator has settled, as it was when the server started."""
    return Trust.load()
