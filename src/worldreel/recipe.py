"""How a video was made, carried inside its own file so that it can be made again.

A `Recipe` travels as JSON, `{"worldreel": {…}}`, in the place where each format keeps a remark:

    .mp4   the `comment` tag (and the prompt as `title`)
    .gif   the comment extension
    .webp  EXIF ImageDescription
    .png   the text chunk `worldreel`

Players and web pages pass these on, editors and messengers often drop them. Files come from
strangers: what is read back is checked before it is believed. No torch here.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from worldreel.errors import MediaError, RecipeError, message, shown
from worldreel.request import Caching, Character, KnownClip, Lora, Request, Shot

__all__ = ["IMAGE_DESCRIPTION", "Recipe", "extract", "pack", "unpack"]

_KEY = "worldreel"
_MAX_JSON = 200_000
_OPTIONAL = (
    *("negative", "created", "task", "known", "shots", "latents", "fit", "steady", "loras"),
    *("cast", "cache", "fp8"),
)
IMAGE_DESCRIPTION = 0x010E
"""The EXIF tag that holds the recipe in WebP."""


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the frames: the same recipe and weights give the same video.

    `width` and `height` are the written pixels, `native_width` and `native_height` those that the
    model made; `seconds` and `fps` are the video's own. `created` is the UTC time, ISO 8601.
    """

    model: str
    weights_sha256: str
    prompt: str
    negative: str = ""
    seed: int
    seconds: float
    width: int
    height: int
    native_width: int
    native_height: int
    fps: float
    steps: int
    guidance: float
    version: str
    task: str = "generate"
    known: list[Any] = field(default_factory=list)
    shots: list[Any] = field(default_factory=list)
    latents: str = ""
    fit: str = "crop"
    steady: str = "auto"
    loras: list[Any] = field(default_factory=list)
    cast: list[Any] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    fp8: str = ""
    created: str = field(default_factory=_now)

    @classmethod
    def of(
        cls, request: Request, *, size: tuple[int, int], native: tuple[int, int], **settled: Any
    ) -> Recipe:
        """The recipe of a request with everything settled."""
        known = [
            {
                "name": k.name,
                "sha256": k.sha256,
                "at": round(k.at, 6),
                "seconds": round(k.clip.seconds, 6),
                "frames": len(k.clip),
                "noise_level": k.noise_level,
                "span": list(k.span) if k.span is not None else None,
                "region": k.unknown is not None,
            }
            for k in request.known
        ]
        return cls(
            prompt=request.prompt,
            negative=request.negative,
            width=size[0],
            height=size[1],
            native_width=native[0],
            native_height=native[1],
            task=request.task,
            known=known,
            shots=[{"prompt": s.prompt, "seconds": s.seconds} for s in request.shots],
            steady={None: "auto", True: "on", False: "off"}[request.steady],
            loras=[
                {"name": Path(x.path).name, "sha256": x.sha256, "weight": x.weight, "part": x.part}
                for x in request.loras
            ],
            cast=[
                {"name": m.name, "about": m.about, "file": m.known.name, "sha256": m.known.sha256}
                for m in request.cast
            ],
            cache=_told(request.caching),
            fp8=request.fp8,
            **settled,
        )

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return asdict(self)

    def to_json(self) -> str:
        """The recipe as readable JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe in `values`; entries unknown to this version are left out.

        Raises `RecipeError` if an entry is missing or of another kind.
        """
        known: dict[str, Any] = {}
        for entry in fields(cls):
            if entry.name not in values:
                if entry.name in _OPTIONAL:
                    continue
                came = f"the recipe has no {entry.name}"
                raise RecipeError(message(came, "it may come from another version or be damaged"))
            known[entry.name] = _checked(entry.name, values[entry.name], str(entry.type))
        known.setdefault("created", "")
        return cls(**known)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe in JSON; raises `RecipeError` if it is none."""
        return cls.from_dict(_object(text))

    def request(
        self,
        known: tuple[KnownClip, ...] = (),
        loras: tuple[Lora, ...] = (),
        cast: tuple[Character, ...] = (),
    ) -> Request:
        """The request that makes this video again from what was given, which `known`, `loras` and
        `cast` name here.

        Raises as `Request` does.
        """
        shots = tuple(
            Shot(prompt=str(s.get("prompt", "")), seconds=float(s.get("seconds", 0)))
            for s in self.shots
            if isinstance(s, dict)
        )
        names = ("prompt", "negative", "seconds", "width", "height", "fps", "seed", "steps")
        values = {name: getattr(self, name) for name in names}
        return Request(
            **values,
            guidance=self.guidance,
            model=self.model,
            shots=shots,
            task=self.task,
            known=known,
            loras=loras,
            cast=cast,
            cache=_caching(self.cache),
            fp8=self.fp8,
            steady={"on": True, "off": False}.get(self.steady),
        )


def _told(caching: Caching | None) -> dict[str, Any]:
    if caching is None:
        return {}
    told = {"method": caching.method, "threshold": caching.threshold}
    return told | ({"ratios": list(caching.ratios)} if caching.ratios else {})


def _caching(told: Mapping[str, Any]) -> Caching | None:
    if not told:
        return None
    try:
        ratios = tuple(float(ratio) for ratio in told.get("ratios") or ())
        method, threshold = str(told["method"]), float(told["threshold"])
        return Caching(method=method, threshold=threshold, ratios=ratios)
    except (KeyError, TypeError, ValueError) as error:
        came = "the recipe's cache cannot be understood"
        raise RecipeError(message(came, "it needs a method and a threshold")) from error


def _checked(name: str, value: Any, kind: str) -> Any:
    """`value` if it is of `kind` ("str", "int", "float", a list or a dict), as JSON has it; else
    `RecipeError`."""
    kind = kind.partition("[")[0]
    kinds: dict[str, tuple[type, ...]] = {
        "str": (str,),
        "int": (int,),
        "float": (int, float),
        "list": (list,),
        "dict": (dict,),
    }
    # JSON may hold integers of any length, which no float and no seed can be.
    huge = isinstance(value, int) and abs(value) >= 2**64
    if isinstance(value, bool) or not isinstance(value, kinds[kind]) or huge:
        raise RecipeError(message(f"the recipe's {name} is {shown(value)}", f"it must be a {kind}"))
    return float(cast("float", value)) if kind == "float" else value


def _object(text: str) -> dict[str, Any]:
    if len(text) > _MAX_JSON:
        raise RecipeError(message(f"the recipe has {len(text):,} characters", "that is no recipe"))
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise RecipeError(message("the recipe cannot be read", "it must be a JSON object"))
    return values


def pack(recipe: Mapping[str, Any]) -> str:
    """The one line that goes into a file; ASCII, so that no format's encoding can bend it."""
    return json.dumps({_KEY: dict(recipe)}, ensure_ascii=True, separators=(",", ":"))


def unpack(text: str) -> dict[str, Any] | None:
    """The recipe of a file's remark, or None where the remark is somebody else's."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        recipe = _object(text.strip("\0")).get(_KEY)
    except RecipeError:
        return None
    return recipe if isinstance(recipe, dict) else None


def extract(path: str | Path) -> dict[str, Any]:
    """The recipe inside a file that this program wrote.

    Raises `MediaError` if the file cannot be read, `RecipeError` if it holds no recipe.
    """
    file = Path(path)
    if not file.is_file():
        needed = "give a video that worldreel wrote"
        raise MediaError(message(f"there is no file {shown(str(path))}", needed))
    for remark in _remarks(file):
        recipe = unpack(remark)
        if recipe is not None:
            return recipe
    came = f"{shown(file.name)} holds no recipe"
    raise RecipeError(message(came, "only files that worldreel wrote have one, until edited"))


def _remarks(file: Path) -> list[str]:
    """All places of `file` in which a recipe may be; `MediaError` if it is broken."""
    from PIL import UnidentifiedImageError

    try:
        try:
            found = _picture_remarks(file)
        except UnidentifiedImageError:
            found = _film_remarks(file)
    except Exception as error:  # decoders meet broken files with errors of every kind
        came = f"{shown(file.name)} cannot be read as a video or picture"
        raise MediaError(message(came, "give a file that worldreel wrote")) from error
    texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else t for t in found]
    return [text for text in texts if isinstance(text, str)]


def _picture_remarks(file: Path) -> list[object]:
    from PIL import Image

    with Image.open(file) as image:
        exif = image.getexif().get(IMAGE_DESCRIPTION)
        return [image.info.get("comment"), image.info.get(_KEY), exif]


def _film_remarks(file: Path) -> list[object]:
    import av

    options = {"protocol_whitelist": "file"}
    with av.open(f"file:{file}", options=options, metadata_errors="replace") as container:
        return [container.metadata.get("comment")]
