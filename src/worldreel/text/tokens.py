"""Prompts cut into words and word-pieces, the same way for every script and language.

The vocabulary is BERT's uncased one, without its special words and with a few hundred whole words
that it would have cut to pieces ("hedgehog", "crimson"). Letters are lower-cased and accents
stripped; a sign that no piece covers becomes the one "unknown" token, whose row in the table is
zero: a word that nobody knows says nothing. There are no start and end tokens.

No torch here: the command line and the server count tokens long before they need a network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worldreel.errors import WeightsError

__all__ = ["NOTHING", "UNKNOWN", "Tokens", "asset"]

NOTHING = 0
"""The id of padding, and of the one token of an empty prompt."""
UNKNOWN = 1
"""The id of signs that the vocabulary does not cover."""

ASSETS = Path(__file__).parent / "assets"


def asset(name: str, folder: Path = ASSETS) -> bytes:
    """The bytes of one of the text assets, checked against `SHA256SUMS` beside it.

    Raises `WeightsError` if the file or its checksum is missing, or if they disagree.
    """
    try:
        content = (folder / name).read_bytes()
        sums = (folder / "SHA256SUMS").read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(
            f"The text file {name} cannot be read; install worldreel again."
        ) from error
    expected = dict(zip(sums[1::2], sums[0::2], strict=False)).get(name)
    if hashlib.sha256(content).hexdigest() != expected:
        raise WeightsError(
            f"The text file {name} is not the one that its checksum names; install worldreel again."
        )
    return content


class Tokens:
    """The tokenizer: texts to ids in the vocabulary of `TextTable`.

    Cheap to make; the vocabulary is read on first use (about 50 ms).
    """

    @cached_property
    def _tokenizer(self):  # type: ignore[no-untyped-def]  # tokenizers is written in Rust
        from tokenizers import Tokenizer

        return Tokenizer.from_str(asset("tokenizer.json").decode("utf-8"))

    @property
    def size(self) -> int:
        """How many ids there are."""
        return int(self._tokenizer.get_vocab_size())

    def pieces(self, text: str) -> list[str]:
        """The words and word-pieces of `text`, for people to read; "##" continues a word."""
        return list(self._tokenizer.encode(_clean(text), add_special_tokens=False).tokens)

    def tokenize(
        self, texts: Sequence[str], *, length: int = 64
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Cut each text; longer ones lose their end.

        Returns ids `[B, length]` and mask `[B, length]`, which is True where a token is. A text
        without any token (empty, blanks only) has one: `NOTHING`, so that attention over a
        prompt never has nothing to look at.
        """
        assert length >= 1, length
        assert not isinstance(texts, str), "a list of texts, not one text"
        ids = np.full((len(texts), length), NOTHING, dtype=np.int64)
        mask = np.zeros((len(texts), length), dtype=np.bool_)
        cleaned = [_clean(text) for text in texts]
        for row, encoding in enumerate(
            self._tokenizer.encode_batch(cleaned, add_special_tokens=False)
        ):
            found = encoding.ids[:length] or [NOTHING]
            ids[row, : len(found)] = found
            mask[row, : len(found)] = True
        return ids, mask


def _clean(text: str) -> str:
    """Lone surrogates (half an emoji, cut by a careless program) are no text: replaced by "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")
