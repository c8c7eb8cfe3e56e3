"""`worldreel train`: a plan by its name, a folder that keeps the run, now and then a line of log.

A run is four commands over one folder, each of which goes on where it stopped:

    codec        → FOLDER/codec.pt (checkpoint), FOLDER/codec.safetensors (the result)
    latents      → FOLDER/latents/SHAPE/*.safetensors
    transformer  → FOLDER/transformer.pt, FOLDER/log.jsonl, FOLDER/transformer.safetensors
    export       → FOLDER/model/: what `--model` loads, weights in 8 bits with checksums

A codec's decoder may be sharpened at any time (plans `cpu_sharp`, `h200_sharp`): the result takes
the place of FOLDER/codec.safetensors, and latents and transformer stay what they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldreel.errors import OutputError, RequestError, WeightsError, message, shown

if TYPE_CHECKING:
    from torch import Tensor

    from worldreel.codec.model import Codec

__all__ = ["train"]

_EVERY = 10.0  # seconds between lines of the log


def train(arguments: argparse.Namespace) -> None:
    """Train what was named, by the plan that was named."""
    if arguments.network == "export":
        _export(arguments.plan, _folder(arguments.folder))
        return
    plan = _plan(arguments.plan, arguments.network)
    folder = _folder(arguments.folder)
    if arguments.minutes is not None and arguments.network != "latents":
        plan = replace(plan, minutes=arguments.minutes)
    device = _device(arguments.device)
    if arguments.network == "latents":
        _latents(arguments.plan, plan, folder, device)
        return
    start = None
    if arguments.start is not None:
        start = _weights(Path(arguments.start), "network")
        _note_start(folder, arguments.network, Path(arguments.start))
    if start is None and arguments.network == "codec" and plan.decoder_only:
        start = _weights(folder / "codec.safetensors", "codec")
    {"codec": _codec, "transformer": _transformer}[arguments.network](plan, folder, device, start)


def _note_start(folder: Path, network: str, path: Path) -> None:
    """Keeps what a run was started from, for the model's card."""
    notes = folder / "start.json"
    told = json.loads(notes.read_text()) if notes.exists() else {}
    with path.open("rb") as file:
        told[network] = {
            "file": path.name,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }
    notes.write_text(json.dumps(told, indent=2) + "\n")


def _plan(name: str, network: str) -> Any:
    """What the function NAME_NETWORK of `worldreel.train.plans` returns."""
    from worldreel.train import plans

    ending = f"_{network}"
    known = sorted(found.removesuffix(ending) for found in vars(plans) if found.endswith(ending))
    if name not in known:
        came = f"there is no plan {shown(name)} for the {network}"
        raise RequestError(message(came, f"the plans are {', '.join(known) or 'none'}"))
    return getattr(plans, name + ending)()


def _folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        came = f"the folder {shown(name, limit=200)} cannot be made"
        raise OutputError(message(came, "choose one in which you may write")) from error
    return folder


def _device(name: str | None) -> str:
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:  # builds without CUDA assert
        came = f"the device {shown(name)} cannot be used"
        raise RequestError(message(came, "give cpu, or cuda where there is one")) from error
    return name


class _Log:
    """Prints a line of numbers at most every few seconds."""

    def __init__(self) -> None:
        self.last = -_EVERY

    def __call__(self, numbers: Mapping[str, object]) -> None:
        now = time.monotonic()
        if now - self.last >= _EVERY:
            self.last = now
            print("  ".join(f"{name} {_short(n)}" for name, n in numbers.items()), flush=True)


def _short(number: object) -> str:
    return f"{number:.4g}" if isinstance(number, float) else str(number)


def _codec(plan: Any, folder: Path, device: str, start: dict[str, Tensor] | None) -> None:
    from worldreel.train.codec import train_codec

    log = _Log()
    codec = train_codec(
        plan, folder, device=device, start=start, report=lambda line: log(vars(line))
    )
    _save(codec.state_dict(), folder / "codec.safetensors")


def _latents(name: str, plan: Any, folder: Path, device: str) -> None:
    from worldreel.train.latents import make_latents

    log = _Log()
    make_latents(
        _trained_codec(name, folder).to(device).eval(),
        plan,
        folder / "latents",
        device=device,
        # A GPU waits for scenes unless several cores think of them; a CPU is busy rendering.
        workers=max(1, (os.cpu_count() or 2) - 2) if device.startswith("cuda") else 0,
        progress=lambda shape, done, count: log({"shape": shape, "clips": done, "of": count}),
    )


def _transformer(plan: Any, folder: Path, device: str, start: dict[str, Tensor] | None) -> None:
    from worldreel.train.transformer import train_transformer

    latents, log = folder / "latents", _Log()
    if not any(latents.glob("*/*.safetensors")):
        came = f"there are no latents in {shown(str(folder), limit=200)}"
        raise WeightsError(message(came, "run `worldreel train latents` with this folder first"))
    weights = train_transformer(
        plan, latents, folder, device=device, start=start, report=lambda line: log(vars(line))
    )
    _save(weights, folder / "transformer.safetensors")


def _export(name: str, folder: Path) -> None:
    """Puts what was trained together as a model's folder."""
    from worldreel.models.embedded import save_model

    transformer = _plan(name, "transformer")
    log = (folder / "log.jsonl").read_text().splitlines() if (folder / "log.jsonl").exists() else []
    training = {
        "plan": name,
        "commit": _commit(),
        "codec": {"minutes": _plan(name, "codec").minutes},
        "transformer": {"minutes": transformer.minutes, "last": json.loads(log[-1])} if log else {},
        "started_from": _started(folder),
        "world": asdict(_plan(name, "world")) if name != "tiny" else {},
    }
    settings = _plan(name, "settings")
    save_model(
        folder / "model",
        codec=_trained_codec(name, folder).state_dict(),
        learner=_weights(folder / "transformer.safetensors", "transformer"),
        codec_config=_plan(name, "codec").config,
        text_config=transformer.text,
        config=transformer.config,
        settings=settings,
        training=training,
    )
    if name != "tiny":  # what it knows can only be measured once it is a model
        from worldreel.models.embedded import load_embedded, set_settings
        from worldreel.train.familiar import measure_familiar

        bound = measure_familiar(load_embedded(folder / "model"), _plan(name, "world"))
        set_settings(folder / "model", replace(settings, familiar=bound))
    print(folder / "model")


def _started(folder: Path) -> dict[str, Any]:
    """What the networks were started from, by name; nothing if from scratch."""
    notes = folder / "start.json"
    told: dict[str, Any] = json.loads(notes.read_text()) if notes.exists() else {}
    return told


def _commit() -> str:
    """The commit of the checkout that trained, or nothing outside of one."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _weights(path: Path, network: str) -> dict[str, Tensor]:
    """The safetensors that an earlier command left in the folder."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        came = f"there is no {network} in {shown(str(path.parent), limit=200)}"
        raise WeightsError(message(came, f"run `worldreel train {network}` with this folder first"))
    try:
        return load_file(str(path))
    except SafetensorError as error:
        came = f"the {network} {shown(str(path), limit=200)} is damaged"
        raise WeightsError(message(came, "train it again")) from error


def _trained_codec(name: str, folder: Path) -> Codec:
    """The codec that `worldreel train codec` left in the folder."""
    from worldreel.codec.model import Codec

    codec = Codec(_plan(name, "codec").config)
    try:
        codec.load_state_dict(_weights(folder / "codec.safetensors", "codec"))
    except RuntimeError as error:
        came = f"the codec in {shown(str(folder), limit=200)} is of another plan"
        raise WeightsError(message(came, "train it again or name its plan")) from error
    return codec


def _save(weights: Mapping[str, Tensor], path: Path) -> None:
    """Weights as safetensors, whole or not at all."""
    from safetensors.torch import save_file

    from worldreel.video.write import atomic

    with atomic(path) as beside:
        save_file({k: v.detach().cpu().contiguous() for k, v in weights.items()}, str(beside))
    print(path)
