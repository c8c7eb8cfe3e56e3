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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Protocol, cast

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

__all__ = [
    "MAX_COUNT",
    "MAX_PROMPT",
    "MAX_SECONDS",
    "MAX_SEED",
    "Caching",
    "Character",
    "Clip",
    "KnownClip",
    "Lora",
    "Request",
    "Shot",
]

MAX_PROMPT = 4_000
"""Characters of a prompt: far above what any text encoder here reads, far below a denial."""

LORA_PARTS = ("high", "low")
"""The networks of a model that has two: for high noise levels, and for low ones."""
MAX_SEED = 2**63 - 1
MIN_SECONDS, MAX_SECONDS = 0.01, 600.0
MIN_SHOT = 0.5
"""Seconds: a shorter shot would hold fewer than two groups of frames."""
MAX_LORA, MAX_LORAS = 10.0, 20
MAX_CAST = 4
CACHINGS = {"easy": 0.05, "mag": 0.1}
"""Ways to skip steps, and at what expected error each asks the network again if nothing is said."""
EIGHT_BITS = ("memory", "speed")
"""What 8-bit weights may be for."""
MAX_FPS, MAX_STEPS, MAX_GUIDANCE, MAX_COUNT = 60.0, 200, 30.0, 100


class Clip(Protocol):
    """What of a video is needed here (`worldreel.Video` is one)."""

    @property
    def fps(self) -> float: ...
    @property
    def recipe(self) -> Mapping[str, Any] | None: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    def __len__(self) -> int: ...
    def __getitem__(self, span: slice, /) -> Clip: ...


@dataclass(frozen=True, kw_only=True)
class KnownClip:
    """A clip or still that the user gave, and where in the result it lies.

    `at` is the second of the result at which it begins; what lies before 0 or after the end is
    seen by the model and not shown. `noise_level` says how far it may change: 0 not at all, 1
    altogether. From `span[0]` to `span[1]` seconds of the clip the picture is to be made anew: the
    part that `unknown` marks (bool `[height, width]` in the clip's pixels), all of it without one.
    `path`, `name` and `sha256` are the file's, the latter two for the recipe; `foreign` says that
    no worldreel made it.
    """

    clip: Clip
    at: float = 0.0
    noise_level: float = 0.0
    unknown: Any = None
    span: tuple[float, float] | None = None
    name: str = ""
    sha256: str = ""
    path: str = ""
    foreign: bool = False


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One shot of several: what it shows, and for how many seconds."""

    prompt: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Lora:
    """A LoRA file (or PEFT folder) to put on the model, and how strongly: 1 is as it was trained.

    Of a model with two networks, `part` is the one that it is for: "high" noise, "low", or "" for
    both. `sha256` is the file's, for the recipe.
    """

    path: str
    weight: float = 1.0
    part: str = ""
    sha256: str = ""

    @classmethod
    def parse(cls, text: str) -> Lora:
        """FILE[:WEIGHT][@high|@low], as it is typed; raises `RequestError`."""
        path, part, weight = text, "", "1"
        if "@" in text and text.rpartition("@")[2] in LORA_PARTS:
            path, _, part = text.rpartition("@")
        before, colon, after = path.rpartition(":")
        if colon and before and not any(sign in after for sign in "/\\"):
            path, weight = before, after
        try:
            return cls(path=path, weight=float(weight), part=part)
        except ValueError:
            came = f"the weight of the LoRA {shown(path)} is {shown(weight)}"
            needed = "give FILE or FILE:WEIGHT, such as style.safetensors:0.8"
            raise RequestError(message(came, needed)) from None


@dataclass(frozen=True, kw_only=True)
class Caching:
    """Steps that ask the network nothing, by a `method` of CACHINGS (diffusion/caching.py), which
    asks again where it expects an error of `threshold`. `ratios` are what "mag" goes by: the
    model's own if none are given."""

    method: str
    threshold: float
    ratios: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Caching:
        """METHOD or METHOD:THRESHOLD, as it is typed; raises `RequestError`."""
        method, _, threshold = text.partition(":")
        usual = CACHINGS.get(method)
        try:
            if usual is None:
                raise ValueError(method)
            return cls(method=method, threshold=float(threshold) if threshold else usual)
        except ValueError:
            needed = "give easy or mag, or with a threshold, such as easy:0.1"
            raise RequestError(message(f"the cache is {shown(text)}", needed)) from None


@dataclass(frozen=True, kw_only=True)
class Character:
    """A cast member that prompts may name, and what shows it: the model sees that and does not
    show it. `about` says in words what it is, such as "a green owl"; it takes the name's place."""

    name: str
    known: KnownClip
    about: str = ""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One thing to make: text, size, duration and the sampler's settings.

    `known` holds what is given, in any order; without it a video is made from text alone. `shots`
    have prompts of their own, which then take the place of `prompt`, and durations that add up to
    `seconds`. `task` is the word the recipe uses for all that. Given pictures that the model knows
    too little about to move them well are held; `steady` says so (True) or forbids it (False).
    `loras` are put on the model, all at once. `cast` are characters that prompts name. `cache`
    (a `Caching`, or "easy", "mag:0.2" …) skips steps; with `fp8` the model's weights are kept in 8
    bits, for "memory", or multiplied in 8 bits too, for "speed".

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
    known: tuple[KnownClip, ...] = ()
    shots: tuple[Shot, ...] = ()
    task: str = "generate"
    steady: bool | None = None
    loras: tuple[Lora, ...] = ()
    cast: tuple[Character, ...] = ()
    cache: Caching | str | None = None
    fp8: str = ""

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # the one place where a frozen request is set

        needed = "" if self.known or self.shots else "say what the video should show"
        put("prompt", _text(self.prompt, name="prompt", needed=needed))
        self._check_shots(put)
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
        self._check_loras(put)
        self._check_cast(put)
        self._check_running(put)

    @property
    def caching(self) -> Caching | None:
        """`cache`, as it is checked."""
        return Caching.parse(self.cache) if isinstance(self.cache, str) else self.cache

    def _check_running(self, put: Callable[[str, object], None]) -> None:
        if self.fp8 not in ("", *EIGHT_BITS):
            came = f"8 bits are asked for {shown(self.fp8)}"
            raise RequestError(message(came, f"they may be for {' or '.join(EIGHT_BITS)}"))
        caching = self.caching
        if caching is not None:
            if caching.method not in CACHINGS:
                Caching.parse(caching.method)
            threshold = _number(caching.threshold, (0, 1), "threshold of the cache")
            for ratio in caching.ratios:
                _number(ratio, (0, 100), "ratio of the cache")
            put("cache", replace(caching, threshold=threshold))

    def _check_cast(self, put: Callable[[str, object], None]) -> None:
        if len(self.cast) > MAX_CAST:
            came = f"there are {len(self.cast)} characters"
            raise RequestError(message(came, f"there may be {MAX_CAST}"))
        told = " ".join((self.prompt, *(shot.prompt for shot in self.shots))).casefold()
        checked: list[Character] = []
        for member in self.cast:
            name = _text(member.name, name="character's name", needed="give it one")
            about = _text(member.about, name=f"description of {name}")
            if name.casefold() not in told:
                came = f"the prompt does not name {shown(name)}"
                raise RequestError(message(came, "say what the character does"))
            if name.casefold() in (other.name.casefold() for other in checked):
                raise RequestError(message(f"there are two {shown(name)}", "give each a name"))
            checked.append(replace(member, name=name, about=about))
        put("cast", tuple(checked))

    def _check_loras(self, put: Callable[[str, object], None]) -> None:
        if len(self.loras) > MAX_LORAS:
            came = f"there are {len(self.loras)} LoRAs"
            raise RequestError(message(came, f"there may be {MAX_LORAS}"))
        checked = []
        for given in self.loras:
            lora = Lora.parse(given) if isinstance(given, str) else given
            if not lora.path.strip() or _control(lora.path):
                raise RequestError(message(f"the LoRA is {shown(lora.path)}", "give a file's path"))
            if lora.part not in ("", *LORA_PARTS):
                came = f"the LoRA is for the part {shown(lora.part)}"
                raise RequestError(
                    message(came, f'it must be "{LORA_PARTS[0]}", "{LORA_PARTS[1]}" or ""')
                )
            weight = _number(lora.weight, (-MAX_LORA, MAX_LORA), "weight of a LoRA")
            checked.append(replace(lora, weight=weight))
        put("loras", tuple(checked))

    def _check_shots(self, put: Callable[[str, object], None]) -> None:
        checked = []
        for number, shot in enumerate(self.shots, 1):
            name = f"prompt of shot {number}"
            prompt = _text(shot.prompt, name=name, needed="say what the shot should show")
            limits = (MIN_SHOT, MAX_SECONDS)
            duration = f"duration of shot {number} in seconds"
            seconds = _number(shot.seconds, limits, duration, DurationError)
            checked.append(Shot(prompt=prompt, seconds=seconds))
        put("shots", tuple(checked))
        if checked:
            put("seconds", sum(shot.seconds for shot in checked))

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

    @property
    def texts(self) -> tuple[str, ...]:
        """What it is to show, in words: the prompt, those of the shots, and who is in them."""
        cast = (f"{member.name} {member.about}".strip() for member in self.cast)
        return (self.prompt, *(shot.prompt for shot in self.shots), *cast)

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
