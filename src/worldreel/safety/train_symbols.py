"""Trains the detector of hate symbols: `python -m worldreel.safety.train_symbols`.

    --pictures FOLDER   photos and clips without symbols, to be backgrounds
    --minutes 25        of processor time
    --start FILE        weights to go on from
    --output FILE       where the weights go (safetensors, float16)

Every so often, windows of the backgrounds that the network takes for a symbol are collected
and join every batch: there are a thousand windows in a frame, so what it must learn most is what is
none.
"""

from __future__ import annotations

import argparse
import copy
import logging
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from worldreel.errors import MediaError
from worldreel.safety.symbol_net import SEEN, STRIDE, SymbolNet
from worldreel.safety.symbol_scenes import Drawings, backgrounds, batch, invented
from worldreel.video.foreign import read_clip

__all__ = ["main", "train"]

_BATCH = 128
_RATE = 3e-3
_MINED = 150  # steps from one search for mistakes to the next
_USES = 3  # times that a picture is shown: as it is, and turned
_SEARCHED = 500  # backgrounds that are searched then
_CLIPS = {".mp4", ".mov", ".webm", ".avi", ".mkv"}
_log = logging.getLogger(__name__)


def _pictures(folder: Path) -> list[NDArray[np.uint8]]:
    """Photos, and of clips a frame each second, [H, W, 3]."""
    found: list[NDArray[np.uint8]] = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            if path.suffix.lower() in _CLIPS:
                video = read_clip(path, fps=1.0, seconds=120.0, limit=480)
                found += [frame.numpy() for frame in video.frames]
            else:  # a photo of one's own is opened here: a process for each would take minutes
                with Image.open(path) as photo:
                    photo.thumbnail((640, 640))
                    found.append(np.asarray(photo.convert("RGB")))
        except (MediaError, OSError):
            continue
    return [picture for picture in found if min(picture.shape[:2]) >= 64]


@torch.inference_mode()
def mistaken(network: SymbolNet, behind: Tensor, *, limit: int) -> Tensor:
    """Windows uint8 [n, 3, 59, 59] of backgrounds that look most like a symbol to the network."""
    network.eval()  # the mean of the weights: never in training
    windows, scores = [], []
    for part in behind.split(64):
        chances = network(part.float() / 255).softmax(1)[:, 1:].amax(1)
        for index, row, column in torch.nonzero(chances > 0.1).tolist():
            y, x = row * STRIDE, column * STRIDE
            windows.append(part[index, :, y : y + SEEN, x : x + SEEN])
            scores.append(float(chances[index, row, column]))
    if not windows:
        return behind.new_zeros(0, 3, SEEN, SEEN)
    return torch.stack([windows[i] for i in np.argsort(scores)[::-1][:limit]])


def train(
    pictures: list[NDArray[np.uint8]],
    *,
    seconds: float,
    output: Path,
    seed: int = 0,
    each: int = 500,
    start: Path | None = None,
) -> None:
    """Trains for `seconds` of processor time. What goes to `output`, again and again, is the mean
    of the weights over the last steps, so it may be stopped at any time. From the weights `start`,
    of a network that may know fewer symbols, it learns on."""
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    drawings = Drawings.made(chance, each=each)
    behind = invented(each, chance)
    if pictures:
        behind = torch.cat([behind, backgrounds(pictures, 9 * each, chance)])
    network = SymbolNet().train()
    if start is not None:
        _begin(network, start)
    mean = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.02)
    hard = behind.new_zeros(0, 3, SEEN, SEEN)
    began, step = time.process_time(), 0
    while (share := (time.process_time() - began) / seconds) < 1:
        if step % _MINED == _MINED - 2:
            some = behind[torch.from_numpy(chance.integers(len(behind), size=_SEARCHED))]
            hard = torch.cat([mistaken(mean, some, limit=1500), hard])[:12000]
            _log.info("%d windows mistaken", len(hard))
        seen, answers = batch(drawings, behind, _BATCH, chance)
        for turn in range(_USES):  # pictures cost as much as a step: each is used more than once
            pictures_now, answers_now = _turned(seen, turn, chance), answers
            if len(hard):
                some = hard[torch.from_numpy(chance.integers(len(hard), size=_BATCH // 2))]
                pictures_now = torch.cat([pictures_now, some.float() / 255])
                answers_now = torch.cat([answers, answers.new_zeros(len(some))])
            for group in optimizer.param_groups:  # up, level, and down in the last third
                group["lr"] = _RATE * min(1.0, (step + 1) / 30, 0.02 + 3 * (1 - share))
            loss = _step(network, optimizer, pictures_now, answers_now)
            step += 1
            _follow(mean, network, min(0.995, step / (step + 10)))
        if step % 50 == 0:
            _log.info("step %d, %.0f %%: loss %.4f", step, 100 * share, loss)
            _save(mean, output)
    _save(mean, output)


def _turned(seen: Tensor, turn: int, chance: np.random.Generator) -> Tensor:
    """The pictures turned by quarters, with their colours exchanged, now and then as a negative."""
    order = torch.from_numpy(chance.permutation(3))
    turned = torch.rot90(seen, turn, (2, 3))[:, order] if turn else seen
    return 1 - turned if turn and chance.random() < 0.5 else turned


@torch.no_grad()
def _follow(mean: SymbolNet, network: SymbolNet, keep: float) -> None:
    """Moves the mean of the weights towards the latest."""
    latest = network.state_dict()
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            value.lerp_(latest[name], 1 - keep)


def _begin(network: SymbolNet, start: Path) -> None:
    """Takes over weights; the head's rows for symbols that are new stay as they are."""
    own = network.state_dict()
    for name, value in load_file(start).items():
        if value.ndim:
            own[name][: len(value)] = value
        else:
            own[name].copy_(value)
    network.load_state_dict(own)


def _save(network: SymbolNet, output: Path) -> None:
    tensors = {
        k: v.half().contiguous() if v.is_floating_point() else v
        for k, v in network.state_dict().items()
    }
    beside = output.with_suffix(".part")
    save_file(tensors, beside)
    beside.chmod(0o644)
    beside.replace(output)


def _step(
    network: SymbolNet, optimizer: torch.optim.Optimizer, seen: Tensor, answers: Tensor
) -> float:
    seen = seen.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        said = network(seen)[..., 0, 0]
    loss = F.cross_entropy(said.float(), answers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the detector of hate symbols.")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path)
    here = Path(__file__).parent / "data" / "symbols.safetensors"
    parser.add_argument("--output", type=Path, default=here)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pictures = _pictures(arguments.pictures) if arguments.pictures else []
    _log.info("%d pictures", len(pictures))
    seconds = 60 * arguments.minutes
    train(
        pictures,
        seconds=seconds,
        output=arguments.output,
        seed=arguments.seed,
        start=arguments.start,
    )
    _log.info("%s", arguments.output)


if __name__ == "__main__":
    main()
