"""Where trust enters before a job is taken; what its video passes is the generator's business
(`worldreel.trust`: frames reviewed, marked and signed before the file has its name).

No request can turn any of it off.
"""

from __future__ import annotations

from functools import lru_cache

from worldreel.errors import RefusedError
from worldreel.server.errors import ApiError
from worldreel.trust import Trust

__all__ = ["RefusedPromptError", "review_prompt", "warm"]


class RefusedPromptError(ApiError):
    """A prompt that the policy refuses; the operator will want to know which, and why."""

    def __init__(self, prompt: str, refused: RefusedError) -> None:
        told = f"This prompt is not allowed here ({refused.category}); change its wording."
        super().__init__(400, told, code="moderation_blocked", param="prompt")
        self.prompt, self.category, self.words = prompt, refused.category, refused.words


def warm() -> None:
    """Loads the prompt policy before the first request has to wait for it."""
    review_prompt("a red ball")


def review_prompt(*texts: str) -> None:
    """Raises `ApiError` if the prompt policy refuses one of the texts."""
    for text in texts:
        try:
            _trust().ask(text)
        except RefusedError as refused:
            raise RefusedPromptError(text, refused) from refused


@lru_cache(maxsize=1)
def _trust() -> Trust:
    """What the operator has settled, as it was when the server started."""
    return Trust.load()
