"""A model: codec, text encoder and transformer, with the sizes it knows; loaded from a folder.

    model.json                 what it is made of, how it was trained, a checksum a file
    codec.safetensors          encoder, decoder, statistics of the latents
    transformer.safetensors    text encoder and transformer

The embedded model ships inside the package; a model of one's own is a folder of the same kind.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from worldreel.codec.model import Codec, CodecConfig
from worldreel.errors import ModelError, WeightsError, message, shown
from worldreel.models import storage
from worldreel.text.encoder import Reader, TextConfig, TextEncoder
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

ASSETS = Path(__file__).parent / "assets"
EMBEDDED = "embedded"
CODEC, TRANSFORMER, CARD = "codec.safetensors", "transformer.safetensors", "model.json"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a model makes when it is not told otherwise, and what it can make at all.

    `natives` are (width, height) in pixels, the favourite first; `longest` is in seconds, what is
    made in one window. Pictures from elsewhere that surprise it more than `familiar` are held
    (holding.py). `shift` is that of 2,048 latent numbers (`flow.shift_for`);
    `temperature` scales the noise that sampling starts from: below 1 a network that has not learned
    all of its latents' detail makes up less of it, and its shapes hold together.
    """

    natives: tuple[tuple[int, int], ...]
    fps: float = 12.0
    seconds: float = 4.0
    longest: float = 4.0
    steps: int = 20
    guidance: float = 4.0
    shift: float = 2.0
    familiar: float | None = None
    temperature: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Model:
    """The parts of a model, ready to run; `sha256` names its weights."""

    name: str
    codec: Codec
    text: TextEncoder
    transformer: Transformer
    reader: Reader
    settings: Settings
    sha256: str

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.transformer.parameters()).device

    @torch.no_grad()
    def read(self, prompt: str) -> tuple[Tensor, Tensor]:
        """Text states `[1, L, D]` and mask `[1, L]` of a prompt; "" is no prompt."""
        rows, mask = self.reader.read([prompt])
        states: Tensor = self.text(rows, mask)
        return states, mask


def names() -> tuple[str, ...]:
    """Models that go by a name."""
    return (EMBEDDED,)


def load_model(name: str = EMBEDDED, *, device: str | torch.device = "cpu") -> Model:
    """A model by name, or by the path of its folder.

    Raises:
        ModelError: no model goes by that name.
        WeightsError: its weights are missing or damaged.
    """
    folder = ASSETS / EMBEDDED if name == EMBEDDED else Path(name)
    if not folder.is_dir():
        if name == EMBEDDED:
            raise WeightsError(message("the embedded model is missing", "install worldreel again"))
        came = f"there is no model {shown(name)}"
        raise ModelError(message(came, "name a model or a folder with one", nearest=EMBEDDED))
    card = _card(folder)
    try:
        files: dict[str, str] = card["files"]
        codec = Codec(CodecConfig(**card["codec"]))
        text_config = TextConfig(**card["text"])
        text = TextEncoder(text_config)
        patch = tuple(card["transformer"]["patch"])
        transformer = Transformer(TransformerConfig(**{**card["transformer"], "patch": patch}))
        natives = tuple((int(w), int(h)) for w, h in card["settings"]["natives"])
        settings = Settings(**{**card["settings"], "natives": natives})
        parts = {part: storage.read(folder / part, files[part]) for part in (CODEC, TRANSFORMER)}
        codec.load_state_dict(parts[CODEC])
        text.load_state_dict(_under(parts[TRANSFORMER], "text."))
        transformer.load_state_dict(_under(parts[TRANSFORMER], "transformer."))
    except (KeyError, TypeError, ValueError, RuntimeError, AssertionError) as error:
        if isinstance(error, WeightsError):
            raise
        came = f"the model in {folder.name} does not fit its {CARD}"
        raise WeightsError(message(came, "both must come from the same training run")) from error
    for module in (codec, text, transformer):
        module.eval().requires_grad_(False).to(device)
    return Model(
        name=name,
        codec=codec,
        text=text,
        transformer=transformer,
        reader=Reader(length=text_config.length, device=device),
        settings=settings,
        sha256=hashlib.sha256("".join(files[part] for part in sorted(files)).encode()).hexdigest(),
    )


def _card(folder: Path) -> dict[str, Any]:
    try:
        card = json.loads((folder / CARD).read_text())
    except (OSError, ValueError) as error:
        came = f"the folder {shown(folder.name)} has no readable {CARD}"
        raise WeightsError(message(came, "a model's folder has one")) from error
    if not isinstance(card, dict):
        raise WeightsError(message(f"{CARD} is no object", "a model's card is a JSON object"))
    return card


def _under(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def save_model(
    folder: Path,
    *,
    codec: dict[str, Tensor],
    learner: dict[str, Tensor],
    codec_config: CodecConfig,
    text_config: TextConfig,
    config: TransformerConfig,
    settings: Settings,
    training: dict[str, Any],
) -> None:
    """Writes a model's folder: the weights in 8 bits, and the card with how it was trained.

    `learner` holds the weights of the text encoder (`text.…`) and transformer (`transformer.…`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        CODEC: storage.write(folder / CODEC, codec),
        TRANSFORMER: storage.write(folder / TRANSFORMER, learner),
    }
    card = {
        "files": files,
        "codec": asdict(codec_config),
        "text": asdict(text_config),
        "transformer": asdict(config),
        "settings": asdict(settings),
        "training": training,
    }
    _write_card(folder, card)


def set_settings(folder: Path, settings: Settings) -> None:
    """Other settings for the model in a folder; its weights stay as they are."""
    _write_card(folder, _card(folder) | {"settings": asdict(settings)})


def _write_card(folder: Path, card: dict[str, Any]) -> None:
    (folder / CARD).write_text(json.dumps(card, indent=2) + "\n")
