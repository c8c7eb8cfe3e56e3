"""What a person asks for, checked before anything heavy is loaded (no torch here).

A `Request` that exists is valid: `__post_init__` refuses everything that no model could make, in
one sentence each. What is left open (`None`) is the model's to choose: its native size, its frame
rate, its number of steps; `Request.sizes` settles the size as soon as the natives are known.
"""

from __future__ import annotations

import math
import operator
import secrets
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import cast

from worldreel.errors import (
    DurationError,
    ModelError,
    PromptError,
    RequestError,
    SizeError,
    message,
    shown,
)
from worldreel.shapes import (
    MAX_SIDE,
    MIN_SIDE,
    aspect_size,
    check_size,
    native_size,
    parse_aspect,
)

__all__ = ["MAX_COUNT", "MAX_PROMPT", "MAX_SECONDS", "MAX_SEED", "Request"]

MAX_PROMPT = 4_000
"""Characters of a prompt: far above what any text encoder here reads, far below a denial."""

MAX_SEED = 2**63 - 1
MIN_SECONDS, MAX_SECONDS = 0.01, 60.0
MAX_FPS, MAX_STEPS, MAX_GUIDANCE, MAX_COUNT = 60.0, 200, 30.0, 100


@dataclass(frozen=True, kw_only=True)
class Request:
    """One thing to make: text, size, duration and the sampler's settings.

    `prompt` and `negative` are kept with runs of white space made single spaces. `seconds`,
    `width` and `height` (pixels), `aspect` ("16:9" or width over height), `fps`, `steps` and
    `guidance` may be left to the model; a missing `seed` is drawn by `seeded`. `count` asks for
    that many videos, with the seeds that follow. One of `width` and `height` may be given with an
    `aspect`; both of them leave no room for one.

    Raises `PromptError`, `SizeError`, `DurationError`, `ModelError` or `RequestError`, each a
    `WorldreelError` and so a `ValueError`.
    """

    prompt: str
    negative: str = ""
    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    aspect: str | float | None = None
    fps: float | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    model: str = "embedded"
    count: int = 1

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # the one place where a frozen request is set

        put("prompt", _text(self.prompt, name="prompt", needed="say what the video should show"))
        put("negative", _text(self.negative, name="negative prompt"))
        if self.seconds is not None:
            limits = (MIN_SECONDS, MAX_SECONDS)
            put("seconds", _number(self.seconds, limits, "duration in seconds", DurationError))
        if self.fps is not None:
            put("fps", _number(self.fps, (1, MAX_FPS), "frame rate", DurationError))
        if self.guidance is not None:
            put("guidance", _number(self.guidance, (0, MAX_GUIDANCE), "guidance"))
        if self.seed is not None:
            put("seed", _integer(self.seed, (0, MAX_SEED), "seed"))
        if self.steps is not None:
            put("steps", _integer(self.steps, (1, MAX_STEPS), "number of steps"))
        put("count", _integer(self.count, (1, MAX_COUNT), "count"))
        if not isinstance(self.model, str) or not self.model.strip() or _control(self.model):
            raise ModelError(message(f"the model is {shown(self.model)}", "give a name or a path"))
        self._check_size(put)

    def _check_size(self, put: Callable[[str, object], None]) -> None:
        for name in ("width", "height"):
            side = getattr(self, name)
            if side is not None:
                put(name, _integer(side, (MIN_SIDE, MAX_SIDE), f"{name} in pixels", SizeError))
        if self.aspect is not None:
            parse_aspect(_decimal(self.aspect))
            if self.width is not None and self.height is not None:
                came = f"the size is {self.width}x{self.height} and the aspect {self.aspect}"
                raise SizeError(message(came, "give a size or an aspect, not both"))
        if self.width is not None and self.height is not None:
            check_size(self.width, self.height)

    @property
    def ratio(self) -> float | None:
        """Width over height if this request settles it."""
        if self.aspect is not None:
            return parse_aspect(_decimal(self.aspect))
        if self.width is not None and self.height is not None:
            return self.width / self.height
        return None

    def sizes(self, natives: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], tuple[int, int]]:
        """What to write and what to make: ((width, height), native (width, height)).

        `natives` are the model's own sizes, its favourite first. With no wish at all both are the
        favourite. An aspect alone keeps the native's area, and the native itself where its aspect
        is within 2 % of what was asked.
        """
        ratio = self.ratio
        if self.width is not None and self.height is not None:
            size = (self.width, self.height)
            return size, native_size(*size, natives)
        if self.width is not None or self.height is not None:
            ratio = ratio if ratio is not None else natives[0][0] / natives[0][1]
            width = self.width if self.width is not None else round((self.height or 0) * ratio)
            height = self.height if self.height is not None else round(width / ratio)
            size = check_size(width, height)
            return size, native_size(*size, natives)
        if ratio is None:
            return natives[0], natives[0]
        native = native_size(*aspect_size(ratio, area=2**20), natives)
        if abs(math.log(native[0] / native[1] / ratio)) <= 0.02:
            return native, native
        return aspect_size(ratio, area=native[0] * native[1]), native

    def seeded(self) -> Request:
        """The same request with a seed: its own, or one drawn now (short enough to be typed)."""
        return self if self.seed is not None else replace(self, seed=secrets.randbelow(2**31))

    def each(self) -> Iterator[Request]:
        """`count` requests for one video each, with the seeds that follow the first."""
        first = self.seeded().seed
        assert first is not None
        for i in range(self.count):
            yield replace(self, seed=(first + i) % (MAX_SEED + 1), count=1)


def _control(text: str) -> str | None:
    """The first control character or lone surrogate of `text`; tabs and line ends are no harm."""
    return next(
        (c for c in text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\n\r"), None
    )


def _text(text: object, *, name: str, needed: str = "") -> str:
    """`text` with single spaces; empty is an error only if `needed` says what is needed."""
    if not isinstance(text, str):
        raise PromptError(message(f"the {name} is {shown(text)}", "it must be text"))
    if len(text) > MAX_PROMPT:
        came = f"the {name} has {len(text):,} characters"
        raise PromptError(message(came, f"it may have at most {MAX_PROMPT:,}"))
    bad = _control(text)
    if bad is not None:
        came = f"the {name} holds the control character U+{ord(bad):04X}"
        raise PromptError(message(came, "it must be plain text", nearest="the same without it"))
    # Format characters (zero-width spaces and joiners, marks of direction) show nothing alone.
    if needed and all(c.isspace() or unicodedata.category(c) == "Cf" for c in text):
        raise PromptError(message(f"the {name} is empty", needed))
    return " ".join(text.split())


def _decimal(value: object) -> str:
    """`value` as `parse_aspect` reads it: text as it is, numbers without exponents."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(float(value)):
        return repr(value)
    return f"{float(value):.6f}"


def _number(
    value: object,
    limits: tuple[float, float],
    name: str,
    error: type[RequestError] = RequestError,
) -> float:
    """`value` as a float within `limits`, both ends included; `error` otherwise."""
    low, high = limits
    needed = f"it must be {low:g} to {high:g}"
    try:
        number = math.nan if isinstance(value, bool) else float(cast("Real", value))
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, str) or math.isnan(number):
        raise error(message(f"the {name} is {shown(value)}", needed))
    if not low <= number <= high:
        nearest = f"{min(max(number, low), high):g}"
        raise error(message(f"the {name} is {number:g}", needed, nearest=nearest))
    return number


def _integer(
    value: object,
    limits: tuple[int, int],
    name: str,
    error: type[RequestError] = RequestError,
) -> int:
    """`value` as an int within `limits`, both ends included; `error` otherwise."""
    low, high = limits
    needed = f"it must be a whole number from {low} to {high}"
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise error(message(f"the {name} is {shown(value)}", needed))
    if not low <= number <= high:
        nearest = min(max(number, low), high)
        raise error(message(f"the {name} is {shown(number)}", needed, nearest=nearest))
    return number
