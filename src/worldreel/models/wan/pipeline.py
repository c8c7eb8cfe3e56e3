"""A folder of open weights → a model.

Parts lie where either layout puts them, and may be mixed:

    transformer        transformer/ (and transformer_2/); high_noise_model/ and low_noise_model/;
                       or config.json and safetensors in the folder itself
    codec              vae/ or vae.safetensors
    text encoder       text_encoder/ or text_encoder.safetensors
    tokenizer          tokenizer/ or google/umt5-xxl/
    image encoder      image_encoder/ (and image_processor/) or image_encoder.safetensors
    scheduler          scheduler/, else as published (published.py)
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from worldreel.errors import WeightsError, message, shown
from worldreel.models.model import Settings
from worldreel.models.offload import bytes_at_work
from worldreel.models.running import Running
from worldreel.models.wan.cards import CARD, card
from worldreel.models.wan.files import INDEX, Weights
from worldreel.models.wan.image import ImageReader
from worldreel.models.wan.kinds import Kind, kind_of, level_a_patch
from worldreel.models.wan.load import described, read_codec, read_transformer
from worldreel.models.wan.model import Expert, OpenModel
from worldreel.models.wan.placing import Placing, placing
from worldreel.models.wan.published import TABLE, Published, own_settings
from worldreel.models.wan.text import TextReader
from worldreel.shapes import latent_frames, nearest_frames
from worldreel.transformer.config import TransformerConfig

_TRANSFORMERS = (("transformer", "transformer_2"), ("high_noise_model", "low_noise_model"))
_OTHERS = ("vae.safetensors", "text_encoder.safetensors", "image_encoder.safetensors")
_FEW = {Kind.DMD: 3, Kind.SELF_FORCING: 4, Kind.RCM: 4}
"""Steps of few-step weights."""
SMALL = 2**28
"""Parameters below which weights are kept in fp32: there is nothing to be saved."""


def load_open(folder: Path, *, name: str = "", running: Running | None = None) -> OpenModel:
    """The model in a folder of open weights, to be run as `running` says (None: on the CPU).

    Large networks are kept in bf16, as they were published to be; the text encoder is in memory
    only while prompts are read, and the transformers come after it.

    Raises `WeightsError` if anything is missing, damaged, of a kind that is not known or too large
    for this machine.
    """
    running = running or Running()
    device = running.device
    parts = _Parts.of(folder)
    kind, config, published, boundary = _told(parts, folder, name)
    settings, solver = _scheduled(folder / "scheduler", published.settings, kind)
    settings = own_settings(folder, settings)
    codec, looker = read_codec(parts.codec, device=device), _looker(parts, device)
    text = Weights(parts.text)
    work = _work(config, settings, codec.config.spatial, by_patch=level_a_patch(kind, config))
    where = placing(
        running,
        [_bytes(Weights(place)) for place in parts.transformers],
        text=_bytes(text),
        others=0 if looker is None else 4 * looker.parameters,
        work=work,
    )
    found, dtype = _card(parts.text), _dtype(text)
    reader = TextReader(text, found, parts.tokenizer, dtype=dtype, device=where.text)
    _check(config, codec.config.channels, reader.config.width, looker)
    experts = [_expert(place, where) for place in parts.transformers]
    if len(experts) == 2:
        experts[0] = replace(experts[0], above=boundary)
        experts[1] = replace(experts[1], guidance=published.late)
    return OpenModel(
        name=name or folder.name,
        kind=kind,
        experts=tuple(experts),
        codec=codec,
        reader=reader,
        looker=looker if config.image_width is not None else None,
        settings=settings,
        sha256=_fingerprint(parts),
        device=device,
        solver=solver,
    )


def settings_of_open(folder: Path, *, name: str = "") -> Settings:
    """The settings of the weights in a folder, of which no more than names is read.

    Raises `WeightsError` if anything is missing or of a kind that is not known.
    """
    kind, _, published, _ = _told(_Parts.of(folder), folder, name)
    settings, _ = _scheduled(folder / "scheduler", published.settings, kind)
    return own_settings(folder, settings)


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """Where everything lies."""

    transformers: tuple[Path, ...]
    codec: Path
    text: Path
    tokenizer: Path
    image: Path | None
    fitting: Path | None

    @staticmethod
    def of(folder: Path) -> _Parts:
        image = _either(folder, "image_encoder", "image_encoder.safetensors")
        fitting = folder / "image_processor" / "preprocessor_config.json"
        tokenizers = (folder / "tokenizer", folder / "google" / "umt5-xxl")
        tokenizer = next((t for t in tokenizers if t.is_dir()), tokenizers[0])
        return _Parts(
            transformers=_transformers(folder),
            codec=_needed(folder, "codec", "vae", "vae.safetensors"),
            text=_needed(folder, "text encoder", "text_encoder", "text_encoder.safetensors"),
            tokenizer=tokenizer / "tokenizer.json",
            image=image,
            fitting=fitting if fitting.is_file() else None,
        )


def _transformers(folder: Path) -> tuple[Path, ...]:
    if (folder / CARD).is_file():
        if any(folder.glob(f"*{INDEX}")):
            return (folder,)
        found = [f for f in sorted(folder.glob("*.safetensors")) if f.name not in _OTHERS]
        return (found[0],) if len(found) == 1 else (folder,)
    for pair in _TRANSFORMERS:
        places = tuple(folder / name for name in pair if (folder / name).is_dir())
        if places and places[0].name == pair[0]:
            return places
    came = f"the folder {shown(folder.name)} holds no transformer"
    raise WeightsError(message(came, f"a folder transformer, or {CARD} beside its weights"))


def _either(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).exists()), None)


def _needed(folder: Path, what: str, *names: str) -> Path:
    place = _either(folder, *names)
    if place is None:
        came = f"the folder {shown(folder.name)} holds no {what}"
        needed = f"{' or '.join(names)}, which `worldreel models convert` makes of a .pth file"
        raise WeightsError(message(came, needed))
    return place


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
        if not isinstance(found, dict):
            raise ValueError(type(found))
    except (OSError, ValueError) as error:
        came = f"the file {shown(file.name)} in {shown(file.parent.name)} cannot be read"
        raise WeightsError(message(came, "the one that came with the model")) from error
    return found


def _card(place: Path) -> dict[str, Any]:
    return card(place) if (place / CARD).is_file() else {}


def _told(
    parts: _Parts, folder: Path, name: str
) -> tuple[Kind, TransformerConfig, Published, float]:
    """What kind of weights these are, how they were published, and where two experts change."""
    index = _json(folder / "model_index.json") if (folder / "model_index.json").is_file() else {}
    first = parts.transformers[0]
    config, found = described(first)[0], card(first if first.is_dir() else folder)
    called = f"{folder.name if Path(name).is_dir() else name} {folder.name}"
    kind = kind_of(config, found, names=f"{called} {found.get('few_steps', '')}", index=index)
    published = _published(kind, config, len(parts.transformers), called)
    try:
        boundary = float(index.get("boundary_ratio") or published.boundary)
    except (TypeError, ValueError) as error:
        came = f"the boundary_ratio is {shown(index['boundary_ratio'])}"
        raise WeightsError(message(came, "it must be a number")) from error
    return kind, config, published, boundary


def _expert(place: Path, where: Placing) -> Expert:
    config, _, weights = described(place)
    dtype = _dtype(weights)
    return Expert(
        config=config,
        load=lambda: read_transformer(place, dtype=dtype, device=where.read_to),
        put=where.put,
    )


def _work(config: TransformerConfig, settings: Settings, spatial: int, *, by_patch: bool) -> int:
    """Bytes that the work on a clip of the favourite size takes on a GPU."""
    frames = latent_frames(nearest_frames(settings.longest, settings.fps))
    width, height = (side // spatial for side in settings.natives[0])
    patches = frames * height * width // math.prod(config.patch)
    return bytes_at_work(config, patches, levels=patches if by_patch else 1)


def _bytes(weights: Weights) -> int:
    """In memory, about: the few that stay fp32 do not count."""
    return _dtype(weights).itemsize * _count(weights)


def _count(weights: Weights) -> int:
    return sum(math.prod(shape) for shape in weights.shapes.values())


def _dtype(weights: Weights) -> torch.dtype:
    return torch.float32 if _count(weights) < SMALL else torch.bfloat16


def _looker(parts: _Parts, device: str | torch.device) -> ImageReader | None:
    if parts.image is None:
        return None
    fitting = None if parts.fitting is None else _json(parts.fitting)
    found = _card(parts.image)
    return ImageReader(Weights(parts.image), found, fitting, dtype=torch.float32, device=device)


def _check(config: TransformerConfig, channels: int, text: int, looker: ImageReader | None) -> None:
    """Raises `WeightsError` if the parts of a folder are not of one model."""
    if looker is None and config.image_width is not None:
        needed = "image_encoder or image_encoder.safetensors"
        raise WeightsError(message("the folder holds no image encoder", needed))
    states = None if looker is None else looker.config.width
    for what, has, needs in (
        ("codec's channels", channels, config.channels),
        ("text encoder's width", text, config.text_width),
        ("image encoder's width", states, config.image_width),
    ):
        if needs is not None and has != needs:
            came = f"the {what}: {has}"
            raise WeightsError(message(came, f"the transformer needs {needs}"))
    if config.beside not in (0, 4 + config.channels):
        came = f"the transformer takes {config.beside} further channels"
        raise WeightsError(message(came, f"0 or {4 + config.channels} are known here"))


def _published(kind: Kind, config: TransformerConfig, experts: int, called: str) -> Published:
    large = "720" in called
    if kind.few or kind is Kind.T2V:
        base = "t2v-experts" if experts > 1 else "t2v-small" if config.width <= 1536 else "t2v"
        base = "ti2v" if config.channels == 48 else base
    elif kind is Kind.I2V:
        base = "i2v-experts" if experts > 1 else "i2v-large" if large else "i2v"
    elif kind is Kind.DF:
        base = "df-large" if large else "df"
    else:
        base = kind.value
    published = TABLE[base]
    if kind.few:
        few = replace(published.settings, steps=_FEW[kind], guidance=1.0, negative="")
        return replace(published, settings=few, late=None)
    return published


def _scheduled(folder: Path, settings: Settings, kind: Kind) -> tuple[Settings, str]:
    """Settings with the shift that the folder's scheduler says, and which solver it names."""
    file = folder / "scheduler_config.json"
    if kind.few or not file.is_file():
        return settings, "unipc"
    found = _json(file)
    solver, shift = _solver(found)
    return replace(settings, shift=shift), solver


def _solver(found: Mapping[str, Any]) -> tuple[str, float]:
    named = str(found.get("_class_name", ""))
    try:
        if named == "FlowMatchEulerDiscreteScheduler":
            odd = [n for n in ("use_dynamic_shifting", "shift_terminal") if found.get(n)]
            solver, shift = "euler", float(found.get("shift", 1.0))
        elif named.endswith("UniPCMultistepScheduler"):
            usual = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
            odd = [n for n, value in usual.items() if found.get(n, value) != value]
            odd += ["solver_order"] if found.get("solver_order", 2) != 2 else []
            solver, shift = "unipc", float(found.get("flow_shift", 1.0))
        else:
            raise ValueError(f"a scheduler {named}")
        odd += [n for n in found if n.endswith("_sigmas") and n != "use_flow_sigmas" and found[n]]
        if odd:
            raise ValueError(f"{odd[0]}: {found[odd[0]]}")
        return solver, shift
    except (TypeError, ValueError) as error:
        came = f"the folder's scheduler has {shown(str(error), limit=80)}"
        needed = "UniPC or Euler over flow levels, as the family was published with"
        raise WeightsError(message(came, needed)) from error


def _fingerprint(parts: _Parts) -> str:
    """A name for the weights: a hash of all files' sizes, headers and some of their bytes. Whole
    checksums of tens of gigabytes would take longer than a short video."""
    hashed = hashlib.sha256()
    places = [*parts.transformers, parts.codec, parts.text, parts.image]
    for place in (place for place in places if place is not None):
        for file in sorted(set(Weights(place).files.values())):
            size = file.stat().st_size
            hashed.update(f"{file.name} {size}\n".encode())
            with file.open("rb") as opened:
                for begin in sorted({0, size // 4, size // 2, 3 * size // 4, max(0, size - 2**16)}):
                    opened.seek(begin)
                    hashed.update(opened.read(2**16))
    return hashed.hexdigest()
