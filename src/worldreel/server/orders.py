"""Orders: what a request asks for, checked, settled and written down so that any worker can do it.

Everything is checked by the same `Request` that the command line uses, field by field, so that an
error names the field it is about. The seed is drawn here: a job that is begun again after a crash
makes the same video.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from worldreel.errors import WorldreelError, message, shown
from worldreel.request import MAX_PROMPT, Request
from worldreel.server.errors import invalid, missing
from worldreel.server.schema import CreateBody, EditBody, ExtendBody, LoraBody, RemixBody
from worldreel.server.settings import Settings
from worldreel.shapes import parse_size

__all__ = ["Given", "Member", "Order", "Source", "create", "edit", "even", "extend"]

MOST_SECONDS = 120.0
_FPS = 24.0  # of `num_frames`, where no rate is given, as other servers count


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a video is made from: the name of its upload, its size in pixels and its length."""

    file: str
    width: int
    height: int
    seconds: float
    moves: bool = True


@dataclass(frozen=True, kw_only=True)
class Given:
    """An upload that an order is made from, where there may be several.

    `kind` is clip, still or mask. It appears `at` seconds of the result; of a clip, the seconds
    from `start` to `end` do, and a still out of a clip is its picture at `start`.
    """

    file: str
    kind: str
    at: float = 0.0
    start: float = 0.0
    end: float | None = None


@dataclass(frozen=True, kw_only=True)
class Member:
    """A character in an order: an upload of its own, so that it stays when the character goes."""

    name: str
    about: str
    file: str


@dataclass(frozen=True, kw_only=True)
class Order:
    """One video to be made; `seconds` is what is to be made, `total` what the result will last.

    `file` is an upload; where there are several, they are `given` (and of `cast`), and it is the
    first of them. `shots` have a prompt and a length each; `span` is what is to be filled. `notes`
    say what was done to make things fit; `ignored` are the fields of the request that nobody here
    knows.
    """

    task: str
    prompt: str
    engine: str
    seconds: float
    total: float
    width: int
    height: int
    seed: int
    negative: str = ""
    fps: float | None = None
    steps: int | None = None
    guidance: float | None = None
    strength: float = 0.6
    file: str = ""
    loras: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    given: tuple[Given, ...] = ()
    shots: tuple[tuple[str, float], ...] = ()
    span: tuple[float, float] | None = None
    cast: tuple[Member, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """All uploads that it needs."""
        named = (self.file, *(g.file for g in self.given), *(m.file for m in self.cast))
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def size(self) -> str:
        """WIDTHxHEIGHT."""
        return f"{self.width}x{self.height}"

    def to_json(self) -> str:
        """As the database keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Order:
        """The order in `to_json`'s text."""
        values: dict[str, Any] = json.loads(text)
        for name in ("notes", "ignored"):
            values[name] = tuple(values[name])
        values["loras"] = tuple((name, weight) for name, weight in values["loras"])
        values["given"] = tuple(Given(**given) for given in values.get("given", ()))
        values["shots"] = tuple((text, seconds) for text, seconds in values.get("shots", ()))
        values["cast"] = tuple(Member(**member) for member in values.get("cast", ()))
        values["span"] = tuple(values["span"]) if values.get("span") else None
        return cls(**values)


def create(
    body: CreateBody, settings: Settings, still: Source | None, cast: tuple[Member, ...] = ()
) -> Order:
    """The order of POST /videos; `still` is the picture that is to be its first frame, and `cast`
    are the characters that its prompt names.

    Raises `ApiError`.
    """
    for member in cast:
        if member.name.casefold() not in body.prompt.casefold():
            came = f"the prompt does not name {shown(member.name)}"
            told = message(came, "say what the character does")
            raise invalid(told, param="prompt", code="character_not_named")
    fps = _checked("fps", body.fps, fps=body.fps)
    if body.num_frames is not None:
        fps = fps or _FPS
        seconds = _seconds(body.num_frames / fps, "num_frames")
    else:
        seconds = _seconds(float(body.seconds or "4"), "seconds")
    width, height = _size(body, settings)
    notes: tuple[str, ...] = ()
    if still is not None and abs(still.width / still.height / (width / height) - 1) > 0.02:
        notes = (f"the picture was cropped to the aspect of {width}x{height}",)
    order = Order(
        task="generate" if still is None else "animate",
        prompt="",
        engine=settings.engine(body.model or ""),
        seconds=seconds,
        total=seconds,
        width=width,
        height=height,
        seed=0,
        file=still.file if still is not None else cast[0].file if cast else "",
        notes=notes,
        cast=cast,
    )
    return _settled(replace(order, fps=fps), body, settings)


def edit(body: EditBody | RemixBody, settings: Settings, source: Source, engine: str) -> Order:
    """The order of an edit or a remix: the same length, in other words. Raises `ApiError`."""
    seconds = _length(source)
    width, height = even(source)
    order = Order(
        task="edit",
        prompt="",
        engine=engine,
        seconds=seconds,
        total=seconds,
        width=width,
        height=height,
        seed=0,
        strength=body.strength or 0.6,
        file=source.file,
    )
    return _settled(order, body, settings)


def extend(body: ExtendBody, settings: Settings, source: Source, engine: str) -> Order:
    """The order of an extension; the result is the whole. Raises `ApiError`."""
    seconds, before = _seconds(float(body.seconds), "seconds"), _length(source)
    if before + seconds > MOST_SECONDS:
        came = f"the result would last {before + seconds:g} seconds"
        raise invalid(message(came, f"it may last {MOST_SECONDS:g}"), param="seconds")
    width, height = even(source)
    order = Order(
        task="extend",
        prompt="",
        engine=engine,
        seconds=seconds,
        total=before + seconds,
        width=width,
        height=height,
        seed=0,
        file=source.file,
    )
    return _settled(order, body, settings)


def _settled(
    order: Order, body: CreateBody | EditBody | ExtendBody | RemixBody, settings: Settings
) -> Order:
    """The order with what all kinds have."""
    prompt, notes = _prompt(body.prompt)
    negative = _checked("negative_prompt", body.negative_prompt, negative=body.negative_prompt)
    steps, guidance = body.num_inference_steps, body.guidance_scale
    extra = sorted(body.model_extra or {})
    return replace(
        order,
        prompt=prompt,
        negative=negative or "",
        fps=order.fps if order.fps is not None else _checked("fps", body.fps, fps=body.fps),
        steps=_checked("num_inference_steps", steps, steps=steps),
        guidance=_checked("guidance_scale", guidance, guidance=guidance),
        seed=secrets.randbelow(2**31) if body.seed is None else body.seed,
        loras=_loras(body.loras or (), settings),
        notes=(*order.notes, *notes),
        ignored=tuple(shown(name)[1:-1] for name in extra[:50]),
    )


def _checked(param: str, value: Any, **given: Any) -> Any:
    """`value`, if a request can have it; raises `ApiError` that names the field."""
    if value is not None:
        try:
            Request(**{"prompt": "x", **given})
        except WorldreelError as error:
            raise invalid(str(error), param=param) from error
    return value


def _prompt(text: str) -> tuple[str, tuple[str, ...]]:
    """The prompt as models take it: the API allows more than any text encoder reads."""
    short = text
    if len(text) > MAX_PROMPT:
        short = text[:MAX_PROMPT].rpartition(" ")[0] or text[:MAX_PROMPT]
    _checked("prompt", short, prompt=short)
    told = f"the model was given the first {len(short):,} characters of the prompt"
    return short, () if short == text else (told,)


def _seconds(seconds: float, param: str) -> float:
    if not 0 < seconds <= MOST_SECONDS:
        nearest = f"{min(max(seconds, 1.0), MOST_SECONDS):g}"
        came = f"the duration is {seconds:g} seconds"
        told = message(came, f"it must be 1 to {MOST_SECONDS:g}", nearest=nearest)
        raise invalid(told, param=param)
    return seconds


def _size(body: CreateBody, settings: Settings) -> tuple[int, int]:
    try:
        if body.size is None and body.width is not None and body.height is not None:
            return parse_size(f"{body.width}x{body.height}")
        return parse_size(body.size or settings.size)
    except WorldreelError as error:
        raise invalid(str(error), param="size") from error


def _length(source: Source) -> float:
    if not source.moves or not 0 < source.seconds <= MOST_SECONDS:
        came = f"the video lasts {source.seconds:g} seconds" if source.moves else "it is a picture"
        told = message(came, f"give a video of at most {MOST_SECONDS:g} seconds")
        raise invalid(told, param="video")
    return round(source.seconds, 3)


def even(source: Source) -> tuple[int, int]:
    """The source's size, or the nearest that can be made."""
    from worldreel.shapes import fit_size

    scale = min(1.0, 1920 / max(source.width, source.height))
    width, height = fit_size(source.width * scale, source.height * scale)
    return width - width % 2, height - height % 2


def _loras(given: Mapping[str, Any] | Any, settings: Settings) -> tuple[tuple[str, float], ...]:
    """LoRAs by their names in the operator's folder: requests name no paths of ours."""
    from pathlib import Path

    found = []
    for lora in given:
        assert isinstance(lora, LoraBody)
        there = Path(settings.loras) / lora.path if settings.loras else None
        plain = lora.path == Path(lora.path).name and not lora.path.startswith(".")
        if there is None or not plain or not there.is_file():
            raise missing("LoRA", lora.path, param="loras")
        found.append((lora.path, lora.scale))
    return tuple(found)
