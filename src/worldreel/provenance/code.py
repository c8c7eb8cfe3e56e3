"""64 bits as 256 coded bits: a convolutional code, decoded from soft values.

Each bit enters a register of 9 and leaves as 4 parities of it (generators 463, 535, 733, 745,
octal: free distance 24, Proakis, Digital Communications, table 8.2-3). Eight zeros follow the 64
bits, so that the register ends empty; of the 288 parities every ninth is dropped. The 256 that
remain differ in at least `DISTANCE` places between any two words, so that any `RADIUS` wrong bits
are corrected; soft values (log-likelihood ratios, 0 for a bit that was not seen) correct far more.

`decode` walks the trellis once with two sums over paths: the largest (Viterbi 1967: the likeliest
word) and the sum of all 2^64 (the forward algorithm), so that the word comes with its probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["BITS", "CODED", "DISTANCE", "RADIUS", "decode", "encode", "encode_all"]

BITS = 64
CODED = 256
DISTANCE = 20
"""The smallest weight of a code word that is not zero (a test counts it on the trellis)."""
RADIUS = (DISTANCE - 1) // 2

_MEMORY = 8
_STATES = 1 << _MEMORY
_GENERATORS = (0o463, 0o535, 0o733, 0o745)
_STEPS = BITS + _MEMORY

Floats = NDArray[np.float64]


@cache
def _parities() -> NDArray[np.int8]:
    """What leaves, [state, bit, 4] of ±1 (a 0 is +1), when a bit enters a register (newest bit
    highest)."""
    states, bits = np.arange(_STATES)[:, None, None], np.arange(2)[None, :, None]
    register = (bits << _MEMORY) | states
    ones = np.bitwise_count(register & np.array(_GENERATORS)[None, None])
    return np.asarray(1 - 2 * (ones % 2).astype(np.int8))


def kept() -> NDArray[np.intp]:
    """Places [256] of the coded bits among the 288 parities."""
    places = np.arange(_STEPS * len(_GENERATORS))
    return np.asarray(places[places % 9 != 8])


@cache
def _generator() -> NDArray[np.uint8]:
    """The coded bits [64, 256] of the numbers with one bit, the highest first (the sum of two
    words' coded bits is that of their sum)."""
    made = np.zeros((BITS, _STEPS * len(_GENERATORS)), np.uint8)
    for place in range(BITS):
        for delay in range(_MEMORY + 1):  # the bit moves down the register, a step at a time
            ones = [(g >> (_MEMORY - delay)) & 1 for g in _GENERATORS]
            start = (place + delay) * len(_GENERATORS)
            made[place, start : start + len(_GENERATORS)] = ones
    coded: NDArray[np.uint8] = made[:, kept()]
    return coded


def encode(word: int) -> NDArray[np.int8]:
    """The coded bits [256] of a 64-bit number, as ±1 (a 0 is +1)."""
    coded: NDArray[np.int8] = encode_all([word])[0]
    return coded


def encode_all(words: Sequence[int]) -> NDArray[np.int8]:
    """The coded bits [n, 256] of 64-bit numbers, as ±1 (a 0 is +1)."""
    assert all(0 <= word < 1 << BITS for word in words), "a number has more than 64 bits"
    text = b"".join(word.to_bytes(BITS // 8, "big") for word in words)
    bits = np.unpackbits(np.frombuffer(text, np.uint8)).reshape(-1, BITS)
    ones = np.rint(bits.astype(np.float32) @ _generator().astype(np.float32))
    signs: NDArray[np.int8] = (1 - 2 * (ones.astype(np.int8) & 1)).astype(np.int8)
    return signs


def decode(soft: Floats) -> tuple[int, float]:
    """The likeliest 64-bit number given log-likelihood ratios [256] (positive for +1), and the
    probability that it is the right one (if one was sent)."""
    full = np.zeros(_STEPS * len(_GENERATORS))
    full[kept()] = soft
    gains = np.einsum("tg,sbg->tsb", full.reshape(_STEPS, -1), _parities()) / 2
    best = np.full(_STATES, -np.inf)
    best[0] = 0.0
    every = best.copy()
    # Into state n come the two states whose lower bits are n's upper ones; the bit is n's highest.
    into = np.arange(_STATES)
    before = np.stack([(into << 1) & (_STATES - 1), ((into << 1) & (_STATES - 1)) | 1], 1)
    bit = (into >> (_MEMORY - 1))[:, None]
    choices = np.empty((_STEPS, _STATES), np.int64)
    for step in range(_STEPS):
        gain = gains[step][before, bit]
        if step >= BITS:
            gain = np.where(bit == 1, -np.inf, gain)
        paths, sums = best[before] + gain, every[before] + gain
        chosen = paths.argmax(1)
        choices[step], best = before[into, chosen], paths.max(1)
        every = np.logaddexp(sums[:, 0], sums[:, 1])
    state, word = 0, 0
    for step in reversed(range(_STEPS)):
        if step < BITS:
            word |= (state >> (_MEMORY - 1)) << (BITS - 1 - step)
        state = int(choices[step][state])
    return int(word), float(np.exp(min(0.0, best[0] - every[0])))
