"""Trains the detector of hate symbols: `python -m worldreel.safety.train_symbols`.

    --pictures FOLDER   photos and clips without symbols, to be backgrounds
    --minutes 9         of processor time
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
from safetensors.torch import save_file
from torch import Tensor

from worldreel.errors import MediaError
from worldreel.safety.symbol_net import SEEN, STRIDE, SymbolNet
from worldreel.safety.symbol_scenes import Drawings, backgrounds, batch, invented
from worldreel.video.foreign import read_clip

__all__ = ["main", "train"]

_BATCH = 128
_RATE = 3e-3
_MINED = 150  # steps from one search for mistakes to the next
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
    each: int = 400,
) -> None:
    """Trains for `seconds` of processor time. What goes to `output`, again and again, is the mean
    of the weights over the last steps, so it may be stopped at any time."""
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    drawings = Drawings.made(chance, each=each)
    behind = invented(each, chance)
    if pictures:
        behind = torch.cat([behind, backgrounds(pictures, 3 * each, chance)])
    network = SymbolNet().train()
    mean = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.02)
    hard = behind.new_zeros(0, 3, SEEN, SEEN)
    began, step = time.process_time(), 0
    while (share := (time.process_time() - began) / seconds) < 1:
        if step % _MINED == _MINED - 2:
            hard = torch.cat([mistaken(mean, behind, limit=2000), hard])[:8000]
            _log.info("%d windows mistaken", len(hard))
        seen, answers = batch(drawings, behind, _BATCH, chance)
        for turn in (0, 1):  # pictures cost as much as a step: each is used twice, once turned
            pictures_now, answers_now = torch.rot90(seen, turn, (2, 3)), answers
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


@torch.no_grad()
def _follow(mean: SymbolNet, network: SymbolNet, keep: float) -> None:
    """Moves the mean of the weights towards the latest."""
    latest = network.state_dict()
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            value.lerp_(latest[name], 1 - keep)


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
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--seed", type=int, default=0)
    here = Path(__file__).parent / "data" / "symbols.safetensors"
    parser.add_argument("--output", type=Path, default=here)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pictures = _pictures(arguments.pictures) if arguments.pictures else []
    _log.info("%d pictures", len(pictures))
    seconds = 60 * arguments.minutes
    train(pictures, seconds=seconds, output=arguments.output, seed=arguments.seed)
    _log.info("%s", arguments.output)


if __name__ == "__main__":
    main()
