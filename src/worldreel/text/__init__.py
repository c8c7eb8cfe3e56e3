"""Text: a prompt in people's own words becomes a row of meaning for each of its words.

`Tokens` (no torch) cuts prompts into words and word-pieces; `TextTable` gives each its 128 numbers,
distilled from a sentence encoder so that words never seen in captions land near those that were.
What the words of one prompt mean *together* is the transformer's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldreel.text.table import TextTable
    from worldreel.text.tokens import Tokens

__all__ = ["TextTable", "Tokens"]


def __getattr__(name: str) -> Any:
    """Load on first use: whoever only counts tokens should not wait for torch."""
    if name == "TextTable":
        from worldreel.text.table import TextTable

        return TextTable
    if name == "Tokens":
        from worldreel.text.tokens import Tokens

        return Tokens
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
