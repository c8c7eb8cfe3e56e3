"""A model of our own: codec, text encoder and transformer, with the sizes it knows, in a folder.

    model.json                 what it is made of, how it was trained, a checksum a file
    codec.safetensors          encoder, decoder, statistics of the latents
    transformer.safetensors    text encoder and transformer

The embedded model ships inside the package; a model of one's own is a folder of the same kind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worldreel.codec.model import Codec, CodecConfig
from worldreel.diffusion import flow
from worldreel.diffusion.sampler import Around, Step, guided, sample, schedule
from worldreel.errors import WeightsError, message, shown
from worldreel.models import storage
from worldreel.models.model import Settings, Text, View
from worldreel.text.encoder import Reader, TextConfig, TextEncoder
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

ASSETS = Path(__file__).parent / "assets"
EMBEDDED = "embedded"
CODEC, TRANSFORMER, CARD = "codec.safetensors", "transformer.safetensors", "model.json"


@dataclass(frozen=True, kw_only=True)
class EmbeddedModel:
    """A model of our own making, as `models.model.Model` asks for it."""

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

    @property
    def patch(self) -> tuple[int, int, int]:
        """Latent positions that a patch covers."""
        return self.transformer.config.patch

    @torch.no_grad()
    def read(self, prompt: str) -> Text:
        """Text states `[1, L, D]` and mask `[1, L]` of a prompt; "" is no prompt."""
        rows, mask = self.reader.read([prompt])
        states: Tensor = self.text(rows, mask)
        return states, mask

    def denoise(
        self,
        view: View,
        texts: Sequence[Text],
        other: Text,
        noise: Tensor,
        *,
        steps: int,
        guidance: float,
        around: Around | None = None,
    ) -> Iterator[Step]:
        """Every patch is told its own noise level; levels are shifted by the clip's size."""
        text, mask = _together(texts)
        times = torch.tensor(view.times, device=self.device)
        shots = torch.tensor(view.shots, device=self.device)

        def conditional(noisy: Tensor, level: Tensor) -> Tensor:
            return self.transformer(  # type: ignore[no-any-return]
                noisy, level, text, mask, times=times, shots=shots
            )

        def unconditional(noisy: Tensor, level: Tensor) -> Tensor:
            return self.transformer(noisy, level, *other, times=times)  # type: ignore[no-any-return]

        amount = flow.shift_for(view.known.latents[0].numel(), self.settings.shift)
        velocity = guided(conditional, unconditional, guidance)
        velocity = velocity if around is None else around(velocity)
        yield from sample(
            velocity, noise, view.known, schedule(steps, shift=amount), patch=self.patch
        )


def _together(texts: Sequence[Text]) -> Text:
    """Text states `[1, L, D]` and masks `[1, L]` of shots → `[1, S, L, D]` and `[1, S, L]`."""
    longest = max(mask.shape[1] for _, mask in texts)
    states = [nn.functional.pad(s, (0, 0, 0, longest - s.shape[1])) for s, _ in texts]
    masks = [nn.functional.pad(m, (0, longest - m.shape[1])) for _, m in texts]
    return torch.stack(states, 1), torch.stack(masks, 1)


def load_embedded(
    folder: Path, *, name: str = EMBEDDED, device: str | torch.device = "cpu"
) -> EmbeddedModel:
    """The model in a folder that `save_model` wrote.

    Raises `WeightsError` if its weights are missing or damaged.
    """
    card = _card(folder)
    try:
        files: dict[str, str] = card["files"]
        codec = Codec(CodecConfig(**card["codec"]))
        text_config = TextConfig(**card["text"])
        text = TextEncoder(text_config)
        patch = tuple(card["transformer"]["patch"])
        transformer = Transformer(TransformerConfig(**{**card["transformer"], "patch": patch}))
        settings = _settings(card)
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
    return EmbeddedModel(
        name=name,
        codec=codec,
        text=text,
        transformer=transformer,
        reader=Reader(length=text_config.length, device=device),
        settings=settings,
        sha256=hashlib.sha256("".join(files[part] for part in sorted(files)).encode()).hexdigest(),
    )


def read_settings(folder: Path) -> Settings:
    """The settings in a model's card; raises `WeightsError` if they cannot be read."""
    try:
        return _settings(_card(folder))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        came = f"the settings in {CARD} of {shown(folder.name)} cannot be read"
        raise WeightsError(message(came, "those that it was trained with")) from error


def _settings(card: dict[str, Any]) -> Settings:
    natives = tuple((int(w), int(h)) for w, h in card["settings"]["natives"])
    magnitudes = tuple(float(ratio) for ratio in card["settings"].get("magnitudes", ()))
    return Settings(**{**card["settings"], "natives": natives, "magnitudes": magnitudes})


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
