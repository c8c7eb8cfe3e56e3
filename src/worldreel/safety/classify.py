"""Small heads over two kinds of features, for what no list can say.

A prompt x gives each category c the score p_c = sigmoid(b_c + f_c(x) + g_c(x)):

- f: hashed words, pairs of words, the 3 to 5 letters inside words (one to three signs in Chinese
  and Japanese), and ideas (`ideas`), alone and in pairs: f_c = sum_i W[h_i, c] / sqrt(n).
- g: meaning, in English (of other languages the ideas' English names): the rows e_i of the text
  table, three neighbours at a time through r_i = relu(A [e_(i-1), e_i, e_(i+1)] + a), the largest
  and the mean over the prompt, one hidden layer. Words never seen in training score as those near
  them in meaning.

Both are numpy; torch is needed to train them only. Text is features here and nothing else: there
is nothing in it that could be obeyed.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from worldreel.errors import WeightsError
from worldreel.safety.data import content
from worldreel.safety.ideas import found, guess, small
from worldreel.safety.normalise import is_east
from worldreel.text.tokens import Tokens, asset

__all__ = ["BUCKETS", "LENGTH", "Heads", "features", "load_heads", "pieces", "rows", "told"]

BUCKETS = 2**16
LENGTH = 48
"""Word-pieces of a window that count."""

Floats = NDArray[np.float32]


@lru_cache(maxsize=2**15)
def _bucket(name: str) -> int:
    return zlib.crc32(name.encode("utf-8", "replace")) % BUCKETS


@lru_cache(maxsize=2**15)
def _letters(word: str) -> tuple[int, ...]:
    """Buckets of a word and of the letters inside it."""
    names = [f"w {word}"]
    if len(word) > 3:
        edged = f"<{word[:40]}>"
        names += [edged[i : i + n] for n in (3, 4, 5) for i in range(len(edged) - n + 1)]
    return tuple(_bucket(name) for name in names)


def features(words: Sequence[str]) -> NDArray[np.int64]:
    """Buckets of the words' features, each once, in order."""
    buckets: set[int] = set()
    run = ""
    before = "<"
    for word in [*words, ""]:
        if word and is_east(word[0]):
            run += word
            continue
        if run:
            parts = (run[i : i + n] for n in (1, 2, 3) for i in range(len(run) - n + 1))
            buckets.update(map(_bucket, parts))
            run = ""
        if word:
            buckets.update(_letters(word))
            buckets.add(_bucket(f"b {before} {word}"))
            before = word
    ideas = sorted(found(words))
    buckets.update(_bucket(f"i {idea}") for idea in ideas)
    for i, one in enumerate(ideas):
        buckets.update(_bucket(f"ii {one} {two}") for two in ideas[i + 1 :])
    return np.array(sorted(buckets), dtype=np.int64)


def told(words: Sequence[str]) -> str:
    """What a text says in English: itself, or the ideas found in it."""
    if not words or guess(words)[0] == "en":
        return " ".join(words)
    return " ".join(found(words))


@lru_cache(maxsize=1)
def _table() -> tuple[NDArray[np.int8], Floats]:
    """Codes `[V, 128]` and scales `[V]` of the text table, read without torch."""
    data = asset("table.safetensors")
    size = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8 : 8 + size])
    kinds = {"I8": np.int8, "F16": np.float16, "F32": np.float32}

    def read(name: str) -> NDArray[np.generic]:
        first, last = head[name]["data_offsets"]
        flat = np.frombuffer(data[8 + size + first : 8 + size + last], kinds[head[name]["dtype"]])
        return flat.reshape(head[name]["shape"])

    return read("codes").astype(np.int8), read("scales").astype(np.float32)


@lru_cache(maxsize=1)
def _tokens() -> Tokens:
    return Tokens()


def pieces(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Ids of each text's pieces `[B, L]`, L at most `LENGTH`, and where they are."""
    ids, mask = _tokens().tokenize(texts, length=LENGTH)
    longest = max(1, int(mask.sum(1).max()))
    return ids[:, :longest].astype(np.int64), mask[:, :longest].astype(bool)


def rows(ids: NDArray[np.int64]) -> Floats:
    """Rows of the text table `[..., 128]` for ids `[...]` of pieces."""
    codes, scales = _table()
    return codes[ids].astype(np.float32) * scales[ids][..., None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Heads:
    """The trained heads: `W` `[BUCKETS, C]` int8 times `scale` `[C]`, and the layers of g."""

    categories: tuple[str, ...]
    thresholds: dict[str, float]
    sha256: str
    hashed: NDArray[np.int8]
    scale: Floats
    layers: dict[str, Floats]

    def scores(self, windows: Sequence[Sequence[str]]) -> Floats:
        """Scores in 0 … 1, `[B, C]`, of windows of words."""
        # readings of one text have most of their windows in common
        texts = {tuple(window): told(window) for window in windows}
        places = {text: i for i, text in enumerate(dict.fromkeys(texts.values()))}
        meaning = self._meaning(list(places))
        letters = {window: self._letters(window) for window in texts}
        logits = np.stack([letters[w] + meaning[places[texts[w]]] for w in map(tuple, windows)])
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), dtype=np.float32)

    def _letters(self, window: Sequence[str]) -> Floats:
        if small(window):
            # "a" or "of the": what exceptions have left says nothing
            return np.full(len(self.categories), -60, np.float32)
        buckets = features(window)
        summed = self.hashed[buckets].sum(0, dtype=np.int32) / np.sqrt(max(len(buckets), 1))
        return np.asarray(summed * self.scale, dtype=np.float32)

    def _meaning(self, texts: Sequence[str]) -> Floats:
        ids, mask = pieces(texts)
        states = rows(ids) * mask[..., None]
        padded = np.pad(states, ((0, 0), (1, 1), (0, 0)))
        near = np.concatenate([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], axis=-1)
        layers = self.layers
        inner = np.maximum(near @ layers["a.weight"].T + layers["a.bias"], 0) * mask[..., None]
        count = np.maximum(mask.sum(1, keepdims=True), 1)
        pooled = np.concatenate([inner.max(1), inner.sum(1) / count], axis=-1)
        hidden = np.maximum(pooled @ layers["b.weight"].T + layers["b.bias"], 0)
        return np.asarray(hidden @ layers["c.weight"].T + layers["c.bias"], dtype=np.float32)


@lru_cache(maxsize=1)
def load_heads() -> Heads:
    """The heads in the package; raises `WeightsError` if the file is missing or damaged."""
    import hashlib

    data = content("heads.npz")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            head = json.loads(bytes(file["told"]).decode("utf-8"))
            layers = {k: file[k].astype(np.float32) for k in file.files if k[1:2] == "."}
            return Heads(
                categories=tuple(head["categories"]),
                thresholds=dict(head["thresholds"]),
                sha256=hashlib.sha256(data).hexdigest(),
                hashed=file["hashed"],
                scale=file["scale"].astype(np.float32),
                layers=layers,
            )
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise WeightsError("The policy's heads are damaged; install worldreel again.") from error
